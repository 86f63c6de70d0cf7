import itertools
import math
from typing import get_args

import pytest
import torch

from backend.distill.schedules import (
    CFD_DREAMTIME,
    DreamTime,
    Kind,
    Point,
    Schedule,
    bounds,
    constant,
    draw_timesteps,
    ramp,
    ramp_points,
    value_at,
)
from backend.errors import UserError

T = 1000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_literals_hold_ramp_and_hold():
    points = ramp_points([500, 2.0, 8.0, 1500])
    assert [value_at(points, step, 10_000) for step in (0, 500, 1000, 1500, 9999)] == [2.0, 2.0, 5.0, 8.0, 8.0]
    assert ramp_points([1.0, 0.5, 100]) == ramp_points([0, 1.0, 0.5, 100])
    with pytest.raises(ValueError, match="integers"):
        ramp_points([0, 1.0, 0.5, 3.0])


def test_k3_clamp_schedule_of_score_debiasing():
    points = ramp_points([0, 2.0, 8.0, 10_000])
    values = [value_at(points, step, 10_001) for step in range(0, 10_001, 2500)]
    assert values == [2.0, 3.5, 5.0, 6.5, 8.0]


def test_the_published_fall_of_the_upper_bound():
    schedule = Schedule(kind="window", high=ramp_points([5000, 0.98, 0.5, 5001]))
    assert [bounds(schedule, step, 25_000, T) for step in (0, 5000, 5001, 24_999)] == [(20, 980), (20, 980), (20, 500), (20, 500)]
    step = Schedule.of("step", high=(0.98, 0.5))
    assert [bounds(step, i, 25_000, T)[1] for i in (0, 4999, 5000, 24_999)] == [980, 980, 500, 500]


def test_a_point_is_placed_once():
    with pytest.raises(ValueError, match="either a step or a fraction"):
        Point(value=1.0)
    with pytest.raises(ValueError, match="either a step or a fraction"):
        Point(value=1.0, step=3, fraction=0.5)
    assert constant(0.3) == (Point(value=0.3, fraction=0.0),)


def test_ramps_reach_both_ends():
    points = ramp(1.0, 0.25)
    assert value_at(points, 0, 10) == 1.0
    assert value_at(points, 9, 10) == 0.25
    assert value_at(points, 0, 1) == 1.0
    schedule = Schedule.of("window", low=(0.02, 0.1), high=(0.98, 0.5))
    assert bounds(schedule, 0, 10, T) == (20, 980)
    assert bounds(schedule, 9, 10, T) == (100, 500)


def test_uniform_ignores_time():
    schedule = Schedule.of("uniform", high=(0.98, 0.5))
    assert bounds(schedule, 0, 10, T) == bounds(schedule, 9, 10, T) == (20, 980)


def test_pfd_narrows_in_its_last_third():
    schedule = Schedule.of("pfd", high=(0.98, 0.70))
    assert [bounds(schedule, i, 101, T) for i in (0, 70, 85, 100)] == [(20, 980), (20, 980), (20, 840), (20, 700)]


def test_linear_and_sqrt_run_down_without_chance():
    linear = Schedule.of("linear", low=(0.25, 0.25), high=(0.98, 0.98))  # SDI
    assert [bounds(linear, i, 100, T) for i in (0, 50, 100)] == [(980, 980), (615, 615), (250, 250)]
    root = Schedule.of("sqrt", low=(0.3, 0.3), high=(0.98, 0.98))  # HiFA
    assert [bounds(root, i, 100, T)[0] for i in (0, 25, 100)] == [980, 640, 300]
    assert draw_timesteps(linear, 50, 100, 3, T, generator()).tolist() == [615] * 3


def test_k1_dreamtime_reference_values():
    schedule = Schedule(kind="dreamtime")
    levels = [bounds(schedule, i, 1000, T)[0] for i in range(1000)]
    assert [levels[i] for i in (0, 250, 500, 750, 999)] == [980, 822, 673, 524, 218]
    assert all(a >= b for a, b in itertools.pairwise(levels))


def test_dreamtime_as_in_cfd():
    schedule = Schedule(kind="dreamtime", dreamtime=CFD_DREAMTIME)
    levels = [bounds(schedule, i, 1000, T)[0] for i in range(1000)]
    # By hand from W: the share above the middle of the plateau. Sides integrate to s sqrt(pi) / 2.
    above, below, plateau = 100 * torch.pi**0.5 / 2, 150 * torch.pi**0.5 / 2, 400.0
    at_600 = (above + plateau / 2) / (above + below + plateau)
    assert levels[round(at_600 * 1000)] == pytest.approx(600, abs=3)
    assert all(a >= b for a, b in itertools.pairwise(levels))
    assert DreamTime().two == 2.0


def level_by_definition(progress, m1, m2, s1, s2, two):
    """argmin_t | sum_{t' >= t} p(t') - progress | over t in [20, 980], written out."""

    def w(t):
        if m2 <= t <= m1:
            return 1.0
        return math.exp(-((t - m1) ** 2) / (two * s1**2)) if t > m1 else math.exp(-((t - m2) ** 2) / (two * s2**2))

    weights = {t: w(t) for t in range(20, 981)}
    total, above, distance = sum(weights.values()), 0.0, {}
    for t in range(980, 19, -1):
        above += weights[t] / total
        distance[t] = abs(above - progress)
    return min(distance, key=distance.get)


@pytest.mark.parametrize(
    ("dreamtime", "numbers", "expected"),
    [
        (DreamTime(), (800, 500, 300, 100, 2), [980, 822, 673, 524, 218]),
        (CFD_DREAMTIME, (800, 400, 100, 150, 1), [980, 733, 578, 423, 103]),
    ],
)
def test_k1_both_dreamtimes_follow_the_definition(dreamtime, numbers, expected):
    schedule = Schedule(kind="dreamtime", dreamtime=dreamtime)
    for i in (0, 1, 100, 250, 400, 500, 600, 750, 900, 990, 999):
        assert bounds(schedule, i, 1000, T) == (level_by_definition(i / 1000, *numbers),) * 2
    assert [bounds(schedule, i, 1000, T)[0] for i in (0, 250, 500, 750, 999)] == expected


def test_window_moves_both_bounds():
    schedule = Schedule.of("window", low=(0.6, 0.2), high=(1.0, 0.4))
    assert [bounds(schedule, i, 101, T) for i in (0, 25, 50, 100)] == [(600, 999), (500, 850), (400, 700), (200, 400)]


def test_step_holds_each_value_until_the_next():
    schedule = Schedule(kind="step", high=(Point(value=0.98, step=0), Point(value=0.5, step=5000), Point(value=0.3, step=9000)))
    assert [bounds(schedule, i, 10_000, T)[1] for i in (0, 4999, 5000, 8999, 9000, 9999)] == [980, 980, 500, 500, 300, 300]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_schedule_draws_within_its_bounds(kind):
    schedule, drawn = Schedule.of(kind, low=(0.1, 0.05), high=(0.98, 0.5)), generator()
    for step in range(0, 100, 7):
        low, high = bounds(schedule, step, 100, T)
        t = draw_timesteps(schedule, step, 100, 8, T, drawn)
        assert 0 <= low <= int(t.min()) and int(t.max()) <= high < T
        assert (low == high) == (kind in ("linear", "sqrt", "dreamtime"))


def test_other_training_ranges():
    assert bounds(Schedule(), 0, 1, 500) == (10, 490)
    assert bounds(Schedule(low=constant(0.0), high=constant(1.0)), 0, 1, 500) == (0, 499)
    assert bounds(Schedule(kind="dreamtime"), 500, 1000, 2000)[0] == pytest.approx(2 * 673, abs=2)


def test_levels_are_host_integers_one_per_slice():
    for seed in range(50):
        t = draw_timesteps(Schedule(), 0, 1, 4, T, generator(seed))
        assert t.dtype == torch.int64
        assert t.device.type == "cpu"
        assert sorted((t - 20) * 4 // 961) == [0, 1, 2, 3]


def test_every_level_is_drawn_alike_by_every_view():
    drawn = generator()
    t = torch.stack([draw_timesteps(Schedule(low=constant(0.1), high=constant(0.109)), 0, 1, 3, T, drawn) for _ in range(6000)])
    assert t.min() == 100
    assert t.max() == 109
    for view in t.T:
        counts = torch.bincount(view - 100, minlength=10).double()
        assert ((counts - 600).abs() < 5 * 600**0.5).all(), counts


def test_the_same_generator_draws_the_same_and_schedules_use_it_alike():
    assert torch.equal(draw_timesteps(Schedule(), 3, 9, 5, T, generator(1)), draw_timesteps(Schedule(), 3, 9, 5, T, generator(1)))
    states = []
    for kind in ("uniform", "linear", "dreamtime"):
        used = generator(1)
        draw_timesteps(Schedule.of(kind), 3, 9, 5, T, used)
        states.append(used.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kind": "dreamtme"}, "Did you mean 'dreamtime'"),
        ({"kind": "window", "high": (0.98, 1.5)}, "should lie in 0..1"),
        ({"kind": "window", "low": (0.02, 0.6), "high": (0.98, 0.5)}, "window is empty"),
    ],
)
def test_wrong_schedules_get_a_sentence(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        Schedule.of(**arguments)
