"""The object's own noise: white in every view, alike where two views show the same place."""

import torch
import trimesh

from backend.geometry.contract import Mesh
from backend.refine.object_noise import ObjectNoise
from backend.render.cameras import orbit


def noise_of(seed=3, channels=4):
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.8)
    mesh = Mesh(torch.from_numpy(ball.vertices).float(), torch.from_numpy(ball.faces))
    return ObjectNoise(mesh, channels, seed, "object noise", torch.device("cpu"))


def seen(noise, *azimuths, step=0):
    return noise.seen(orbit(list(azimuths), 10.0, 40.0, 0.9, radius=0.8), 32, 32, step)


def test_every_view_is_white():
    pictures = torch.cat([seen(noise_of(seed), 0.0, 50.0, 200.0) for seed in range(8)])
    assert pictures.shape == (24, 4, 32, 32)
    flat = pictures.flatten(2)  # 96 fields of 1024 pixels
    assert abs(float(flat.mean())) < 0.01
    assert abs(float(flat.var()) - 1.0) < 0.02
    beside = (pictures[..., 1:] * pictures[..., :-1]).mean(), (pictures[:, 1:] * pictures[:, :-1]).mean()
    assert max(abs(float(value)) for value in beside) < 0.01


def test_the_same_place_has_the_same_noise():
    noise = noise_of()
    again, near, far = seen(noise, 0.0), seen(noise, 0.5), seen(noise, 180.0)
    assert float((again != seen(noise, 0.0, step=7)).float().mean()) < 0.05  # few pixels are this step's own
    centre = (..., slice(12, 20), slice(12, 20))
    assert float((again[centre] * near[centre]).mean()) > 0.5
    assert abs(float((again[centre] * far[centre]).mean())) < 0.2


def test_drift_renews_a_share_and_stays_white():
    noise = noise_of()
    before = seen(noise, 0.0)
    noise.drift(0.0, 1)
    assert torch.equal(before, seen(noise, 0.0))
    noise.drift(0.19, 2)
    after = seen(noise, 0.0)
    assert abs(float((before * after).mean()) - 0.9) < 0.05  # sqrt(1 - .19)
    assert abs(float(after.var()) - 1.0) < 0.06
