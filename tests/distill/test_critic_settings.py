"""What a critic may be given besides its rate and rank: a map of the camera at its input, and several lessons a step."""

import pytest
import torch

from backend.distill import methods
from backend.distill.contract import Pose, add_noise
from backend.distill.lora_critic import LoRACritic
from backend.distill.read_parameters import parse_parameters
from backend.priors.diffusers_prior import DiffusersPrior
from backend.priors.resolve import STARTER
from backend.refine.estimate import lesson_rows
from backend.study.images import PictureRun, sampled_latents
from tests.priors.tiny import write_tiny_folder

from .test_critic_contract import check_critic

CAMERAS = Pose(camera_to_world=torch.stack([torch.eye(4), torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))]))  # front and back


@pytest.fixture
def tiny(tmp_path):
    return DiffusersPrior.load(write_tiny_folder(tmp_path))


def _noise(latents, seed):
    return torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))


def _errors(prior, critic, latents, condition):
    """Mean |eps_q - eps|^2 without the camera, and with it, at middling noise."""
    found = torch.zeros(2)
    for level in (300, 500, 700):
        t, noise = torch.full((len(latents),), level), _noise(latents, level)
        both = critic.predict(add_noise(prior, latents, t, noise), t, condition, [None, CAMERAS])
        found += torch.stack([(said - noise).square().mean() for said in both])
    return found.tolist()


def test_the_map_tells_two_pictures_apart_where_the_embedding_of_t_does_not():
    prior = DiffusersPrior.load(STARTER)
    latents, condition = sampled_latents(prior, ["a red apple", "a red mug"], 2, 0), prior.embed(["a red thing"])
    ratios = []
    for camera_map in (False, True):
        critic = LoRACritic(prior, rate=prior.card.critic_rate, camera_dropout=0.5, camera_map=camera_map)
        generator = torch.Generator().manual_seed(5)
        for _ in range(80):
            critic.train_step(latents, condition, CAMERAS, generator)
        free, known = _errors(prior, critic, latents, condition)
        ratios.append(known / free)
        critic.close()
    assert ratios[1] < 0.9 < 0.97 < ratios[0]


def test_the_map_begins_as_nothing_goes_with_the_state_and_leaves_the_network(tiny):
    latents, condition = torch.randn(2, *tiny.latent_shape, generator=torch.Generator().manual_seed(3)), tiny.embed(["red"])
    t = torch.tensor([100, 700])
    expected = tiny.predict_noise(latents, t, condition.expand(2))
    whole, resumed = (LoRACritic(tiny, rate=1e-2, camera_dropout=0.0, camera_map=True) for _ in range(2))
    assert torch.equal(whole.predict(latents, t, condition, [CAMERAS])[0], expected)
    for seed in range(3):
        whole.train_step(latents, condition, CAMERAS, torch.Generator().manual_seed(seed))
    resumed.load_state(whole.state())
    for critic in (whole, resumed):
        critic.train_step(latents, condition, CAMERAS, torch.Generator().manual_seed(3))
    assert whole.state()["weights"]["camera.map"].any()
    for one, other in zip(*(critic.predict(latents, t, condition, [None, CAMERAS]) for critic in (whole, resumed)), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(tiny.predict_noise(latents, t, condition.expand(2)), expected)
    assert not tiny.unet._forward_pre_hooks
    check_critic(LoRACritic(tiny, rate=1e-2, camera_dropout=0.0, camera_map=True), latents, condition, CAMERAS)


def test_several_lessons_are_several_steps_of_one(tiny):
    latents, condition = torch.randn(2, *tiny.latent_shape, generator=torch.Generator().manual_seed(3)), tiny.embed(["red"])
    single, triple = LoRACritic(tiny, rate=1e-2), LoRACritic(tiny, rate=1e-2, lessons=3)
    one, other = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    for _ in range(2):
        expected = [single.train_step(latents, condition, CAMERAS, one) for _ in range(3)][-1]
        assert triple.train_step(latents, condition, CAMERAS, other) == expected
    assert all(torch.equal(weight, triple.state()["weights"][name]) for name, weight in single.state()["weights"].items())


def test_an_estimate_counts_the_lessons(tiny):
    rows = {}
    for method in ("sds", "vsd"):
        for lessons in (1, 4):
            parameters = parse_parameters(method, {"critic_lessons": lessons} if method == "vsd" else {}, tiny.card)
            rows[method, lessons] = lesson_rows(methods.method(method), parameters)
    assert rows["sds", 1] == rows["sds", 4] == 0 < rows["vsd", 1] == rows["vsd", 4] / 4


def test_pictures_that_stand_for_views_begin_alike_and_have_the_map_if_asked(tiny):
    runs = [
        PictureRun(tiny, "esd", {"camera_map": wanted, "critic_lessons": 2}, "a red mug", count=3, seed=1, around=True)
        for wanted in (False, True)
    ]
    apart = PictureRun(tiny, "esd", {}, "a red mug", count=3, seed=1)
    try:
        assert all(torch.equal(run.latents, apart.latents[:1].expand_as(run.latents)) for run in runs)
        assert not torch.equal(apart.latents[0], apart.latents[1])
        assert ["camera.map" in run.critic.state()["weights"] for run in runs] == [False, True]
    finally:
        for run in (*runs, apart):
            run.close()
