import pytest
import torch

from backend.distill.clipping import ClipByRunningMean, clamp_elements
from backend.distill.schedules import ramp_points, value_at


def views(*norms):
    """One view per norm, [B,1,2,2]."""
    return torch.tensor(norms).view(-1, 1, 1, 1) * torch.full((1, 1, 2, 2), 0.5)


def norms(gradient):
    return torch.linalg.vector_norm(gradient.flatten(1), dim=1)


def test_only_outliers_are_scaled_and_keep_their_direction():
    clip = ClipByRunningMean(factor=3.0, decay=0.5)
    assert torch.equal(clip(views(1.0, 1.0)), views(1.0, 1.0))
    clipped = clip(views(2.0, 30.0))  # mean is 1, so the limit is 3
    torch.testing.assert_close(norms(clipped), torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(clipped[1] / 3.0, views(30.0)[0] / 30.0)
    # The outlier counted as 3: mean = (1 + 2.5)/2 = 1.75, limit 5.25.
    torch.testing.assert_close(norms(clip(views(5.0, 6.0))), torch.tensor([5.0, 5.25]))


def test_the_first_batch_is_measured_against_itself():
    torch.testing.assert_close(norms(ClipByRunningMean()(views(0.0, 0.0, 0.0, 8.0))), torch.tensor([0.0, 0.0, 0.0, 6.0]))


def test_nothing_stays_nothing():
    clip = ClipByRunningMean()
    for _ in range(2):
        assert torch.equal(clip(views(0.0, 0.0)), views(0.0, 0.0))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_non_finite_is_not_hidden_and_not_remembered(bad):
    clip = ClipByRunningMean()
    clip(views(1.0, 1.0))
    broken = views(1.0, 1.0)
    broken[1, 0, 0, 0] = bad
    out = clip(broken)
    assert torch.equal(out[0], views(1.0)[0])
    assert not out[1].isfinite().all()
    torch.testing.assert_close(norms(clip(views(9.0))), torch.tensor([3.0]))


def test_state_goes_through_a_checkpoint():
    clip = ClipByRunningMean()
    assert clip.state() == {}
    clip(views(1.0))
    other = ClipByRunningMean()
    other.load_state(clip.state())
    assert torch.equal(clip(views(7.0)), other(views(7.0)))
    other.reset()
    assert torch.equal(other(views(7.0)), views(7.0))


def test_no_value_is_read_back(monkeypatch):
    def forbidden(*_):
        raise AssertionError("a tensor was read back to the host")

    for name in ("item", "cpu", "numpy", "tolist", "__bool__", "__float__"):
        monkeypatch.setattr(torch.Tensor, name, forbidden)
    clip = ClipByRunningMean()
    for _ in range(3):
        clip(views(1.0, 5.0))


def test_clamped_elements():
    gradient = torch.tensor([-9.0, -1.0, 0.5, 9.0, torch.nan])
    assert clamp_elements(gradient, 2.0)[:4].tolist() == [-2.0, -1.0, 0.5, 2.0]
    assert clamp_elements(gradient, 2.0)[4].isnan()


@pytest.mark.parametrize(
    ("literal", "first", "middle", "last"), [((0, 2.0, 8.0, 10_000), 2.0, 5.0, 8.0), ((0, 0.5, 2.0, 10_000), 0.5, 1.25, 2.0)]
)
def test_k3_score_debiasing_clamps_to_a_bound_that_grows(literal, first, middle, last):
    # |G| <= c(i), c linear (arXiv 2303.15413), at its beginning, middle, end and after it
    gradient = torch.linspace(-20, 20, 41).view(1, 1, 1, 41)
    points = ramp_points(literal)
    for step, bound in ((0, first), (5000, middle), (10_000, last), (19_999, last)):
        clamped = clamp_elements(gradient, value_at(points, step, 20_000))
        assert clamped.abs().max() == bound
        inside = gradient.abs() <= bound
        assert torch.equal(clamped[inside], gradient[inside])
        assert torch.equal(clamped[~inside], bound * gradient[~inside].sign())
    bounds = [value_at(points, step, 20_000) for step in range(0, 20_000, 250)]
    assert bounds == sorted(bounds)
