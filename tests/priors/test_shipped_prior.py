"""What the prior that ships must do on any machine, without a network. Nothing here knows which release it is."""

import json
import shutil

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline

from backend.assets.mesh import TriangleMesh
from backend.priors.card import PriorCard
from backend.priors.resolve import STARTER, resolve_prior
from backend.priors.sampling import ddim_nodes, sample
from backend.refine.inputs import Inputs
from backend.refine.run import refine
from backend.zoo.catalogue import make_object
from backend.zoo.mesh import object_mesh
from protocol.job import Budget, RefineJob, Shading, Stage, Timesteps

pytestmark = pytest.mark.disable_socket

MEBIBYTE = 2**20
NAMED = {"red": 0, "green": 1, "blue": 2}


@pytest.fixture(scope="module")
def starter():
    return resolve_prior("starter")


def test_it_is_at_most_twenty_megabytes_of_plain_files_that_anyone_may_read():
    files = [path for path in STARTER.rglob("*") if path.is_file()]
    assert 0 < sum(path.stat().st_size for path in files) <= 20_000_000
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in files)
    assert not [path for path in files if path.suffix in (".bin", ".ckpt", ".pt", ".pkl")]


def test_diffusers_opens_the_folder_as_the_pipeline_that_it_is(tmp_path):
    copy = shutil.copytree(STARTER, tmp_path / "elsewhere")
    pipeline = DiffusionPipeline.from_pretrained(copy)
    assert type(pipeline) is StableDiffusionPipeline
    pipeline.set_progress_bar_config(disable=True)
    (picture,) = pipeline("a red apple", num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images
    side = resolve_prior("starter").image_size_px
    assert picture.size == (side, side)


def test_the_same_seed_samples_the_same_and_another_one_does_not(starter):
    def draw(prior, seed):
        return sample(prior, prior.embed(["a green pear"]), prior.embed([""]), steps=4, generator=torch.Generator().manual_seed(seed))

    first = draw(starter, 7)
    assert torch.equal(first, draw(resolve_prior("starter"), 7)), "a second copy, loaded anew"
    assert (first - draw(starter, 8)).abs().mean() > 0.1


def test_samples_have_the_colours_that_were_measured_when_it_was_made(starter):
    expected = json.loads((STARTER / "expected.json").read_text())
    prompts = [each["prompt"] for each in expected["pictures"]]
    start = torch.stack(
        [
            torch.randn(starter.latent_shape, generator=torch.Generator().manual_seed(expected["first_seed"] + i))
            for i in range(len(prompts))
        ]
    )
    texts = starter.embed(prompts), starter.embed([""] * len(prompts))
    rgb = starter.decode(sample(starter, *texts, guidance=expected["guidance"], steps=expected["steps"], latents=start))
    side = rgb.shape[-1]
    edge, middle = max(side // 16, 1), slice(3 * side // 8, 5 * side // 8)
    border = torch.ones(side, side, dtype=torch.bool)
    border[edge:-edge, edge:-edge] = False
    for picture, each in zip(rgb, expected["pictures"], strict=True):
        assert picture[:, middle, middle].mean((1, 2)).tolist() == pytest.approx(each["centre"], abs=0.04), each["prompt"]
        assert picture[:, border].mean(1).tolist() == pytest.approx(each["border"], abs=0.04), each["prompt"]


def test_guidance_moves_the_clean_estimate_toward_each_named_colour(starter):
    """x0h of one and the same noisy grey, prompted for a colour and for no colour: the named channel gains most."""
    noise = torch.randn(4, *starter.latent_shape, generator=torch.Generator().manual_seed(0))
    grey = starter.encode(torch.full((4, 3, starter.image_size_px, starter.image_size_px), 0.5))
    t = torch.full((4,), ddim_nodes(starter.sampling, 20, starter.timesteps)[4])
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in starter.coefficients(t))
    noisy = alpha * grey + sigma * noise

    def estimate(prompt):
        predicted = starter.predict_noise(noisy, t, starter.embed([prompt] * 4))
        return starter.decode((noisy - sigma * predicted) / alpha).mean((0, 2, 3))

    plain = estimate("an apple")
    for colour, channel in NAMED.items():
        gain = estimate(f"a {colour} apple") - plain
        assert int((gain - gain.mean()).argmax()) == channel, (colour, gain)


def test_the_encoder_gradient_is_that_of_finite_differences_in_double_precision():
    prior = resolve_prior("starter", dtype=torch.float64)
    size = prior.image_size_px
    generator = torch.Generator().manual_seed(3)
    rgb = torch.rand(1, 3, size, size, dtype=torch.float64, generator=generator).requires_grad_()
    pull = torch.randn(1, *prior.latent_shape, dtype=torch.float64, generator=generator)
    (slope,) = torch.autograd.grad((prior.encode(rgb) * pull).sum(), rgb)
    h = 1e-5
    for _ in range(3):
        direction = torch.randn(rgb.shape, dtype=torch.float64, generator=generator)
        with torch.no_grad():
            ahead, behind = ((prior.encode(rgb + sign * h * direction) * pull).sum() for sign in (1, -1))
        torch.testing.assert_close((slope * direction).sum(), (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)


def test_a_grey_apple_turns_red_or_blue_as_prompted_in_a_hundred_steps(starter):
    apple = object_mesh(make_object(0, "apple", "red", "plain"), cells=32)
    grey = TriangleMesh(apple.vertices, apple.faces)
    colours = {}
    for colour in ("red", "blue"):
        stage = Stage(
            name="colour", steps=100, views=1, bank=12, timesteps=Timesteps(low=(0.02, 0.02), high=(0.98, 0.5)), shading=Shading(albedo=0.4)
        )
        job = RefineJob(
            prompt=f"a {colour} apple", stages=(stage,), grid=32, warm_start=False, preview_every=0, checkpoint_every=0,
            budget=Budget(faces=500, texture_px=64),
        )  # fmt: skip
        result = refine(job, Inputs(sketch=grey), prior=starter)
        colours[colour] = result.exported.base_colour.reshape(-1, 3).mean(0) / 255
        assert result.steps_done == 100
    red, blue = colours["red"], colours["blue"]
    assert red[0] > red[2] + 0.15 and red[0] > red[1] + 0.15, colours
    assert blue[2] > blue[0] + 0.15, colours


def test_its_card_says_everything_that_suits_it():
    """Not the defaults, which are those of large models."""
    card, written = resolve_prior("starter").card, json.loads((STARTER / "sketchbridge.json").read_text())
    suits = {name for name in PriorCard.__struct_fields__ if "guidance" in name or "rate" in name or name.startswith("bridge")}
    assert suits <= written.keys()
    assert 1.0 < card.guidance < PriorCard().guidance and card.sds_guidance < PriorCard().sds_guidance
