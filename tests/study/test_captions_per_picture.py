"""A run on pictures with a caption each, and with a camera each."""

import pytest
import torch

from backend.priors.resolve import resolve_prior
from backend.study.images import PictureRun
from tests.priors.tiny import write_tiny_folder


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return resolve_prior(str(write_tiny_folder(tmp_path_factory.mktemp("prior"))))


def _after(prior, method, prompt, steps=3, **more):
    run = PictureRun(prior, method, {}, prompt, count=2, seed=4, **more)
    try:
        for _ in range(steps):
            run.step(steps)
        return run.latents.detach().clone()
    finally:
        run.close()


@pytest.mark.parametrize("method", ["sds", "bridge", "nfsd"])
def test_each_picture_follows_its_own_caption(prior, method):
    """Picture k of a mixed batch is picture k of a batch that has its caption throughout."""
    mixed = _after(prior, method, ["a red mug", "a blue mug, side view"])
    for k, text in enumerate(("a red mug", "a blue mug, side view")):
        torch.testing.assert_close(mixed[k], _after(prior, method, text)[k], rtol=1e-4, atol=1e-5)
    assert (mixed[1] - _after(prior, method, "a red mug")[1]).abs().max() > 1e-3


def test_a_critic_is_told_the_cameras(prior):
    """Without cameras ESD's two critics are one, so that lambda does nothing; with them it does."""

    def apart(around):
        ends = [
            PictureRun(prior, "esd", {"lambda": share, "critic_rate": 1e-2}, "a red mug", count=4, seed=1, around=around)
            for share in (0.0, 1.0)
        ]
        for run in ends:
            for _ in range(6):
                run.step(6)
            run.close()
        return float((ends[0].latents - ends[1].latents).detach().abs().max())

    assert apart(False) < 1e-4 < 1e-3 < apart(True)


def test_a_critic_is_taught_without_cameras_as_often_as_asked(prior):
    for share, losses in ((0.0, {"critic", "critic_camera"}), (1.0, {"critic", "critic_camera_free"})):
        run = PictureRun(prior, "vsd", {"camera_dropout": share}, "a red mug", count=4, seed=1, around=True)
        try:
            made = run.critic.train_step(run.latents.detach(), run.conditions["critic"], run.pose, torch.Generator().manual_seed(0))
        finally:
            run.close()
        assert set(made) == losses
