import shutil

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from backend.errors import ResourceError, UserError
from backend.priors import diffusers_prior
from backend.priors.card import PriorCard, write_card
from backend.priors.conversions import clean_from
from backend.priors.diffusers_prior import DiffusersPrior
from backend.priors.resolve import STARTER, resolve_prior
from backend.priors.sampling import sample, sdedit

from .tiny import POSITIONS, write_tiny_folder


def pipeline_picture(folder, prompt, latents, guidance):
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(prompt, num_inference_steps=20, guidance_scale=guidance, latents=latents, output_type="pt").images


def assert_pipeline_agrees(folder, prompt):
    """20 guided DDIM steps through the prior against the diffusers pipeline's own picture."""
    prior = resolve_prior(str(folder), "cpu")
    latents = torch.randn(1, *prior.latent_shape, generator=torch.Generator().manual_seed(7))
    ours = prior.decode(sample(prior, prior.embed([prompt]), prior.embed([""]), guidance=5.0, steps=20, latents=latents))
    theirs = pipeline_picture(folder, prompt, latents, 5.0)
    assert theirs.std() > 0.05, "a flat picture proves nothing"
    assert (ours - theirs).abs().max() <= 1e-4


@pytest.mark.disable_socket
def test_twenty_ddim_steps_equal_the_pipeline(folder):
    assert_pipeline_agrees(folder, "a red mug")


@pytest.mark.disable_socket
def test_twenty_ddim_steps_equal_the_pipeline_of_a_v_model(velocity_folder):
    assert_pipeline_agrees(velocity_folder, "a red mug")


@pytest.mark.disable_socket
def test_twenty_ddim_steps_equal_the_pipeline_of_the_starter():
    assert (STARTER / "model_index.json").exists(), "the shipped prior is missing from the checkout"
    assert_pipeline_agrees(STARTER, "a red mug")


def test_sizes_come_from_the_configuration(prior):
    assert prior.latent_shape == (6, 8, 8)
    assert prior.image_size_px == 16
    assert prior.timesteps == 1000
    assert prior.embed(["x"]).text.shape == (1, POSITIONS, 12)


def test_latents_are_the_scaled_posterior_mean(prior):
    rgb = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = prior.vae.encode(2 * rgb - 1).latent_dist.mean * 0.7
    torch.testing.assert_close(prior.encode(rgb), expected)


def test_the_encoder_gradient_matches_finite_differences(folder):
    prior = DiffusersPrior.load(folder, dtype=torch.float32)
    prior.vae.double()
    prior.dtype = torch.float64
    rgb = torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    direction, pull = (torch.randn(1, *shape, dtype=torch.float64, generator=generator) for shape in ((3, 16, 16), (6, 8, 8)))
    value = lambda x: (prior.encode(x) * pull).sum()  # noqa: E731
    leaf = rgb.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(leaf), leaf)
    h = 1e-5
    numeric = (value(rgb + h * direction) - value(rgb - h * direction)) / (2 * h)
    torch.testing.assert_close((slope * direction).sum(), numeric, rtol=1e-7, atol=1e-7)


def test_only_pictures_of_another_size_are_resized(prior):
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, 16, 16, generator=generator)
    doubled = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    halved = torch.nn.functional.interpolate(doubled, (16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(prior.encode(doubled), prior.encode(halved))
    assert prior.encode(torch.rand(1, 3, 5, 5, generator=generator)).shape == (1, 6, 8, 8)


def test_networks_are_frozen_and_gradients_pass_through_the_encoder_alone(prior):
    rgb = torch.rand(1, 3, 16, 16, requires_grad=True)
    prior.encode(rgb).sum().backward()
    assert rgb.grad is not None
    for network in (prior.unet, prior.vae, prior.text_encoder):
        assert not network.training
        assert all(not p.requires_grad and p.grad is None for p in network.parameters())


def test_embeddings_are_cached_by_content(folder, monkeypatch):
    prior = DiffusersPrior.load(folder)
    encoded = []
    encode = prior._encode_text
    monkeypatch.setattr(prior, "_encode_text", lambda prompt: encoded.append(prompt) or encode(prompt))
    prior.embed(["red", "blue", "red"])
    prior.embed(["blue", ""])
    assert encoded == ["red", "blue", ""]
    monkeypatch.setattr(diffusers_prior, "EMBEDDINGS_KEPT", 2)
    prior.embed(["red"])  # now the latest; "blue" goes
    prior.embed(["", "blue"])
    assert encoded == ["red", "blue", "", "blue"]


def test_a_prompt_that_is_too_long_is_cut_and_its_lost_words_are_known(prior):
    words = ["red"] * (POSITIONS - 2)
    assert prior.dropped_words(" ".join(words)) == []
    assert prior.dropped_words(" ".join([*words, "blue", "mug"])) == ["blue", "mug"]
    assert prior.dropped_words(" ".join([*words[:-2], "zebra", "mug"])) == ["zebra", "mug"]  # cut inside a word: all of it
    assert torch.equal(prior.embed([" ".join([*words, "blue", "mug"])]).text, prior.embed([" ".join(words)]).text)


def test_words_outside_the_vocabulary_are_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert DiffusersPrior.load(copy).unknown_words("a zebra") == []
    write_card(copy, PriorCard(vocabulary=("a", "Red", "mug", "front view")))
    prior = DiffusersPrior.load(copy)
    assert prior.unknown_words("A red zebra-mug, front view; zebra") == ["zebra-mug", "zebra"]


def test_fingerprint_follows_the_weights_and_not_the_place(folder, tmp_path):
    original = DiffusersPrior.load(folder).fingerprint()
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert DiffusersPrior.load(copy).fingerprint() == original
    path = copy / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert DiffusersPrior.load(copy).fingerprint() != original


def test_sampling_is_repeatable_and_follows_the_prompt(prior):
    def draw(prompt, seed):
        return sample(prior, prior.embed([prompt]), prior.embed([""]), steps=4, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(draw("red mug", 0), draw("red mug", 0))
    assert not torch.allclose(draw("red mug", 0), draw("blue", 0), atol=1e-2)
    assert not torch.allclose(draw("red mug", 0), draw("red mug", 1), atol=1e-2)


def test_sdedit_at_no_strength_is_the_autoencoder_and_follows_the_prompt_otherwise(prior):
    rgb = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    texts = prior.embed(["red", "blue"]), prior.embed([""])
    assert torch.equal(sdedit(prior, rgb, *texts, strength=0.0), prior.decode(prior.encode(rgb)))
    runs = [sdedit(prior, rgb, *texts, strength=s, steps=3, generator=torch.Generator().manual_seed(0)) for s in (0.05, 0.7)]
    assert runs[0].shape == (2, 3, 16, 16)
    near, far = ((run - prior.decode(prior.encode(rgb))).abs().mean() for run in runs)
    assert near < far
    with pytest.raises(ValueError, match="strength"):
        sdedit(prior, rgb, *texts, strength=1.5)


def test_half_precision_files_are_found(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    for part, stem in (("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (copy / part / f"{stem}.safetensors").rename(copy / part / f"{stem}.fp16.safetensors")
    assert DiffusersPrior.load(copy).embed(["red"]).text.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("exemplar:no_such_folder", "no folder of pictures 'no_such_folder'"),
        ("exemplar: ", "No prior was named"),
        (" ", "No prior was named"),
        ("no_such_folder", "There is no prior in 'no_such_folder'"),
        ("../no such/owner", "There is no prior"),
    ],
)
def test_names_that_mean_nothing(name, sentence):
    with pytest.raises(UserError, match=sentence):
        resolve_prior(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without CUDA")
def test_a_device_that_is_not_there(folder):
    with pytest.raises(ResourceError, match="no CUDA device"):
        DiffusersPrior.load(folder, "cuda")


def test_writing_a_folder_leaves_the_global_generator_alone(tmp_path):
    before = torch.random.get_rng_state()
    write_tiny_folder(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


def test_bf16_networks_keep_float32_arithmetic(folder, prior):
    half = DiffusersPrior.load(folder, dtype=torch.bfloat16)
    z, t = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([100, 800])
    noise = half.predict_noise(z, t, half.embed(["red", "blue"]))
    exact = prior.predict_noise(z, t, prior.embed(["red", "blue"]))
    assert noise.dtype == half.encode(torch.rand(1, 3, 16, 16)).dtype == half.decode(z).dtype == torch.float32
    assert (noise - exact).abs().mean() < 0.05 * exact.abs().mean()
    assert all(torch.equal(a, b) for a, b in zip(half.coefficients(t), prior.coefficients(t), strict=True))


def test_a_schedule_that_ends_without_any_signal_still_gives_finite_clean_latents(tmp_path):
    """Zero terminal SNR (arXiv 2305.08891): abar is exactly 0 at the last level of the file's own schedule."""
    prior = DiffusersPrior.load(write_tiny_folder(tmp_path / "zero", prediction="v_prediction", rescale_betas_zero_snr=True))
    assert 0.0 < prior.abar_host[-1] < prior.abar_host[-2] < 1e-5
    last = torch.tensor([prior.timesteps - 1])
    z_t = torch.randn(1, *prior.latent_shape, generator=torch.Generator().manual_seed(0))
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(last))
    noise = prior.predict_noise(z_t, last, prior.embed(["red"]))
    clean = clean_from(noise, z_t, alpha, sigma)
    said = prior.network_output(z_t, last, prior.embed(["red"])).detach()
    torch.testing.assert_close(clean, alpha * z_t - sigma * said, atol=2e-3, rtol=1e-3)
    assert sample(prior, prior.embed(["red"]), prior.embed([""]), steps=3, latents=z_t).isfinite().all()
