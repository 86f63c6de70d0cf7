"""The critic on networks of the shapes of Stable Diffusion 1, 2 and XL, and on the shipped one."""

import io
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel

from backend.distill.contract import Pose, add_noise
from backend.distill.lora_critic import LoRACritic
from backend.errors import UserError
from backend.priors.card import read_card
from backend.priors.contract import Condition
from backend.priors.conversions import clean_from, noise_from, training_target
from backend.priors.counting import CountingPrior
from backend.priors.diffusers_prior import DiffusersPrior
from backend.priors.loading import load_networks
from backend.priors.resolve import STARTER
from tests.priors.tiny import write_tiny_folder

from .conformance import _NoReadBack
from .conftest import scene as mixture_scene
from .test_critic_contract import check_critic

SHAPES = ("sd1", "sd2", "sdxl", "starter")
COMMON = {
    "sample_size": 8,
    "in_channels": 6,
    "out_channels": 6,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "cross_attention_dim": 12,
    "norm_num_groups": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
}
UNETS = {
    "sd2": {**COMMON, "attention_head_dim": (2, 4)},
    "sdxl": {
        **COMMON,
        "attention_head_dim": (2, 4),
        "transformer_layers_per_block": (1, 2),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 6 * 4 + 10,
    },
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    eps, v, sample = (tmp_path_factory.mktemp(name) for name in ("eps", "v", "sample"))
    sd1, sample = write_tiny_folder(eps), write_tiny_folder(sample, prediction="sample")
    return {"sd1": sd1, "sd2": write_tiny_folder(v, prediction="v_prediction"), "sdxl": sd1, "starter": STARTER, "sample": sample}


@pytest.fixture
def load(folders):
    """A fresh prior of a shape."""

    def fresh(shape, dtype=torch.float32):
        networks = load_networks(folders[shape], torch.device("cpu"), dtype)
        if shape in UNETS:
            with torch.random.fork_rng():
                torch.manual_seed(1)
                unet = UNet2DConditionModel(**UNETS[shape])
            networks = replace(networks, unet=unet.requires_grad_(False).eval())
        return DiffusersPrior(networks, read_card(folders[shape]), torch.device("cpu"), dtype)

    return fresh


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Scene:
    """Two views of a prior: latents, noise levels, one text, two cameras."""

    def __init__(self, prior, views=2):
        self.z = random(views, *prior.latent_shape, seed=3)
        self.t = torch.tensor([100, 700])[:views]
        self.condition = prior.embed(["red"])
        if getattr(prior.unet.config, "addition_embed_type", None):
            self.condition = replace(self.condition, pooled=random(1, 10, seed=4))
        rotations = torch.linalg.qr(random(views, 3, 3, seed=5)).Q
        poses = torch.eye(4).repeat(views, 1, 1)
        poses[:, :3, :3], poses[:, :3, 3] = rotations, 2.0 * rotations[:, :, 2]
        self.pose = Pose(camera_to_world=poses)

    def predict(self, critic, *poses):
        return critic.predict(self.z, self.t, self.condition, poses)

    def prior_says(self, prior):
        return prior.predict_noise(self.z, self.t, self.condition.expand(len(self.z)))

    def teach(self, critic, steps, seed=9, pose="own"):
        generator = torch.Generator().manual_seed(seed)
        return [critic.train_step(self.z, self.condition, self.pose if pose == "own" else pose, generator) for _ in range(steps)]


def anatomy(unet):
    return [(name, type(module), len(module._forward_hooks)) for name, module in unet.named_modules()], sorted(vars(unet))


@pytest.mark.parametrize("shape", SHAPES)
def test_step_0_critic_equals_the_prior_bit_for_bit(load, shape):
    prior = load(shape)
    scene = Scene(prior)
    expected = scene.prior_says(prior)
    critic = LoRACritic(prior)
    for prediction in scene.predict(critic, scene.pose):
        assert torch.equal(prediction, expected)
    together = scene.predict(critic, None, scene.pose)
    assert torch.equal(together[0], together[1])
    torch.testing.assert_close(together[0], expected, atol=1e-5, rtol=1e-5)  # kernels may differ with the number of rows
    assert critic.rows == 6


@pytest.mark.parametrize("shape", SHAPES)
def test_the_prior_is_the_same_before_between_and_after(load, shape):
    prior = load(shape)
    scene = Scene(prior)
    expected, weights = scene.prior_says(prior), {name: value.clone() for name, value in prior.unet.state_dict().items()}
    before = anatomy(prior.unet)
    first, second = LoRACritic(prior, rate=1e-2), LoRACritic(prior, rate=1e-2, rank=2)  # a stage may begin before the last one is gone
    for _ in range(2):
        for critic in (first, second):
            scene.teach(critic, 1)
            assert torch.equal(scene.prior_says(prior), expected)
            assert not torch.equal(scene.predict(critic, scene.pose)[0], expected)
            assert torch.equal(scene.prior_says(prior), expected)
    assert anatomy(prior.unet) == before
    first.close()
    assert not torch.equal(scene.predict(second, scene.pose)[0], expected)
    second.close()
    assert torch.equal(scene.prior_says(prior), expected)
    assert anatomy(prior.unet) == before
    after = prior.unet.state_dict()
    assert after.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(after[name], value), f"{name} was trained"
    assert all(weight.grad is None and not weight.requires_grad for weight in prior.unet.parameters())
    with pytest.raises(RuntimeError, match="closed"):
        scene.predict(second, None)


def test_a_network_of_the_sdxl_shape_reads_the_pooled_text_and_the_picture_size(load):
    prior = load("sdxl")
    scene = Scene(prior)
    rows = scene.condition.expand(2)
    sizes = torch.tensor([[16, 16, 0, 0, 16, 16]] * 2)  # original height and width, crop's top and left, target height and width
    more = {"text_embeds": rows.pooled, "time_ids": sizes}
    expected = prior.unet(scene.z, scene.t, encoder_hidden_states=rows.text, added_cond_kwargs=more).sample
    assert torch.equal(prior.network_output(scene.z, scene.t, rows), expected)
    assert not torch.equal(prior.network_output(scene.z, scene.t, replace(rows, pooled=2 * rows.pooled)), expected)


def test_base_weights_that_ask_for_a_gradient_get_none_and_keep_asking(load):
    prior = load("sd1")
    prior.unet.requires_grad_(True)
    critic = LoRACritic(prior)
    Scene(prior).teach(critic, 1)
    assert all(weight.grad is None and weight.requires_grad for weight in prior.unet.parameters())


def test_an_error_inside_the_network_leaves_the_prior_as_it_was(load):
    prior = load("sd1")
    scene, before = Scene(prior), anatomy(prior.unet)
    critic = LoRACritic(prior)
    wrong = Condition(torch.zeros(1, 3, 99))
    with pytest.raises(RuntimeError):
        critic.predict(scene.z, scene.t, wrong, [None])
    with pytest.raises(RuntimeError):
        critic.train_step(scene.z, wrong, None, torch.Generator())
    assert anatomy(prior.unet) == before


def critic_loss(prior, critic, scene, pose):
    """mean |eps_q - e|^2 over fixed noise and levels."""
    losses = []
    for level in (50, 300, 600, 900):
        t, noise = torch.full((2,), level), random(*scene.z.shape, seed=level)
        predicted = critic.predict(add_noise(prior, scene.z, t, noise), t, scene.condition, [pose])[0]
        losses.append(float((predicted - noise).square().mean()))
    return sum(losses)


@pytest.mark.parametrize("shape", SHAPES)
def test_training_on_fixed_latents_lowers_the_loss_with_and_without_camera(load, shape):
    prior = load(shape)
    scene, critic = Scene(prior), LoRACritic(prior, rate=2e-2, camera_dropout=0.5)
    before = [critic_loss(prior, critic, scene, pose) for pose in (None, scene.pose)]
    reports = scene.teach(critic, 8 if shape == "starter" else 25)
    after = [critic_loss(prior, critic, scene, pose) for pose in (None, scene.pose)]
    assert after[0] < 0.97 * before[0]
    assert after[1] < 0.97 * before[1]
    assert {name for report in reports for name in report} == {"critic", "critic_camera", "critic_camera_free"}
    for report in reports:  # two samples: with a camera, without, or one of each
        parts = [value for name, value in report.items() if name != "critic"]
        torch.testing.assert_close(report["critic"], sum(parts) / len(parts))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_camera_changes_the_prediction_after_training_and_the_zero_pose_is_no_camera(load, shape):
    prior = load(shape)
    scene, critic = Scene(prior), LoRACritic(prior, rate=1e-2)
    scene.teach(critic, 5)
    zeros = Pose(camera_to_world=torch.zeros(2, 4, 4))
    swapped = Pose(camera_to_world=scene.pose.camera_to_world.flip(0))
    seen, other, zero, unknown, none = scene.predict(critic, scene.pose, swapped, zeros, Pose(azimuth_deg=torch.zeros(2)), None)
    assert torch.equal(zero, none) and torch.equal(unknown, none)
    size = none.square().mean().sqrt()
    assert (seen - none).square().mean().sqrt() > 1e-3 * size
    assert (seen - other).square().mean().sqrt() > 1e-4 * size


def test_camera_dropout_1_leaves_the_camera_untrained_and_0_never_drops_it(load):
    prior = load("sd1")
    scene = Scene(prior)
    blind, seeing = LoRACritic(prior, rate=1e-2, camera_dropout=1.0), LoRACritic(prior, rate=1e-2, camera_dropout=0.0)
    assert all(report.keys() == {"critic", "critic_camera_free"} for report in scene.teach(blind, 5))
    assert all(report.keys() == {"critic", "critic_camera"} for report in scene.teach(seeing, 5))
    for critic, same in ((blind, True), (seeing, False)):
        known, unknown = scene.predict(critic, scene.pose, None)
        assert torch.equal(known, unknown) == same
        assert critic.state()["weights"]["camera.last"].any() != same
    assert not torch.equal(scene.predict(blind, None)[0], scene.prior_says(prior)), "the rest was trained"
    # Lessons without a pose are lessons without a camera.
    twin = LoRACritic(prior, rate=1e-2, camera_dropout=0.0)
    scene.teach(twin, 5, pose=None)
    assert all(torch.equal(one, twin.state()["weights"][name]) for name, one in blind.state()["weights"].items() if "camera" not in name)


@pytest.mark.parametrize("shape", ["sd1", "sd2"])
def test_5_and_5_steps_equal_10_bit_for_bit_through_a_file(load, shape):
    def lesson(critic, steps):
        for step in steps:
            critic.train_step(0.9**step * scene.z, scene.condition, scene.pose, torch.Generator().manual_seed(step))

    prior = load(shape)
    scene = Scene(prior)
    whole = LoRACritic(prior, rate=1e-3, generator=torch.Generator().manual_seed(1))
    lesson(whole, range(5))
    file = io.BytesIO()
    torch.save(whole.state(), file)
    lesson(whole, range(5, 10))
    file.seek(0)
    fresh = load(shape)
    resumed = LoRACritic(fresh, rate=1e-3, generator=torch.Generator().manual_seed(2))
    resumed.load_state(torch.load(file, weights_only=True))
    lesson(resumed, range(5, 10))
    for one, other in zip(scene.predict(whole, None, scene.pose), scene.predict(resumed, None, scene.pose), strict=True):
        assert torch.equal(one, other)
    for name, weight in whole.state()["weights"].items():
        assert torch.equal(weight, resumed.state()["weights"][name]), name


@pytest.mark.parametrize("shape", SHAPES)
def test_the_critic_owns_only_low_ranks_and_a_camera_embedding(load, shape):
    prior = load(shape)
    base = {weight.data_ptr(): weight.numel() for weight in prior.unet.parameters()}
    critic = LoRACritic(prior, rank=4)
    layers = [name for name, _ in prior.unet.named_modules() if name.rpartition(".attn")[2][2:] in ("to_q", "to_k", "to_v", "to_out.0")]
    own = dict(critic._weights)
    assert len(own) == 2 + 2 * len(layers) and layers
    assert not base.keys() & {weight.data_ptr() for weight in own.values()}
    low_rank = sum(4 * sum(prior.unet.get_submodule(name).weight.shape) for name in layers)
    width = prior.unet.time_embedding.linear_2.out_features
    assert sum(weight.numel() for weight in own.values()) == low_rank + 16 * width + width**2
    # Nothing else that is held is a tensor of the base network's size.
    Scene(prior).teach(critic, 1)
    moments = [value for state in critic._optimiser.state.values() for value in state.values() if value.dim()]
    assert sum(value.numel() for value in moments) == 2 * (low_rank + 16 * width + width**2)
    assert {weight.data_ptr(): weight.numel() for weight in prior.unet.parameters()} == base
    if shape == "starter":
        assert sum(weight.numel() for weight in own.values()) < 0.05 * sum(base.values())


def test_adapter_and_camera_stay_float32_on_a_bf16_network(load):
    prior = load("sd1", torch.bfloat16)
    scene = Scene(prior)
    expected, critic = scene.prior_says(prior), LoRACritic(prior, rate=1e-2)
    assert {weight.dtype for weight in critic._weights.values()} == {torch.float32}
    assert torch.equal(scene.predict(critic, scene.pose)[0], expected)
    scene.teach(critic, 3)
    assert {weight.dtype for weight in prior.unet.parameters()} == {torch.bfloat16}
    assert {value.dtype for state in critic._optimiser.state.values() for value in state.values()} == {torch.float32}
    assert scene.predict(critic, scene.pose)[0].dtype == torch.float32
    assert not torch.equal(scene.predict(critic, scene.pose)[0], expected)
    assert torch.equal(scene.prior_says(prior), expected)
    # Float32 weights see a rate that bf16 would round away: 1e-6 on numbers near 1/3.
    slow = LoRACritic(prior, rate=1e-6)
    before = slow.state()["weights"]
    scene.teach(slow, 2)
    assert all(not torch.equal(before[name], weight) for name, weight in slow.state()["weights"].items() if name.endswith(".A"))


def test_checkpointed_blocks_give_the_same_training(load):
    plain, saving = load("sd2"), load("sd2")
    saving.unet.enable_gradient_checkpointing()
    scene, critics = Scene(plain), [LoRACritic(prior, rate=1e-3) for prior in (plain, saving)]
    for critic in critics:
        scene.teach(critic, 2)
    for one, other in zip(*(critic.state()["weights"].values() for critic in critics), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert saving.unet.is_gradient_checkpointing


@pytest.mark.parametrize("rank", [1, 4])
def test_the_adapter_adds_b_a_x_unscaled(load, rank):
    # lora_alpha = rank, so that a rate means the same at every rank.
    critic = LoRACritic(load("sd1"), rank=rank)
    assert {place.layer.scaling["critic"] for place in critic._places} == {1.0}


@pytest.mark.parametrize("shape", ["sd1", "sd2", "sample"])
def test_a_lesson_is_the_mean_square_of_the_networks_own_output(load, shape):
    prior = load(shape)
    scene, critic = Scene(prior), LoRACritic(prior)
    reported = scene.teach(critic, 1, seed=11)[0]["critic"]
    generator = torch.Generator().manual_seed(11)
    t = torch.randint(0, 1000, (2,), generator=generator)
    noise = torch.randn(scene.z.shape, generator=generator)
    x_t = add_noise(prior, scene.z, t, noise)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in prior.coefficients(t))
    said = scene_noise(prior, x_t, t, scene.condition)
    output = training_target(clean_from(said, x_t, alpha, sigma), said, prior.parametrisation, alpha, sigma)
    target = {"epsilon": noise, "v_prediction": alpha * noise - sigma * scene.z, "sample": scene.z}[prior.parametrisation]
    torch.testing.assert_close(reported, (output - target).square().mean(), rtol=1e-4, atol=1e-6)


def scene_noise(prior, x_t, t, condition):
    return prior.predict_noise(x_t, t, condition.expand(len(x_t)))


@pytest.mark.parametrize("parametrisation", ["epsilon", "v_prediction", "sample"])
def test_training_target_is_the_output_for_the_true_noise_and_finite_without_signal(parametrisation):
    z, e = random(2, 3, 4, 4, seed=1).double(), random(2, 3, 4, 4, seed=2).double()
    alpha = torch.tensor([0.8, 0.3], dtype=torch.float64).view(-1, 1, 1, 1)
    sigma = (1 - alpha**2).sqrt()
    x_t = alpha * z + sigma * e
    output = training_target(z, e, parametrisation, alpha, sigma)
    torch.testing.assert_close(noise_from(output, parametrisation, x_t, alpha, sigma), e, atol=1e-14, rtol=1e-12)
    torch.testing.assert_close(clean_from(e, x_t, alpha, sigma), z, atol=1e-14, rtol=1e-12)
    assert training_target(z, e, parametrisation, 0 * alpha, sigma / sigma).isfinite().all()
    with pytest.raises(ValueError, match="flow"):
        training_target(z, e, "flow", alpha, sigma)


def test_nothing_is_read_back_and_one_call_serves_all_poses(load):
    prior = CountingPrior(load("sd1"))
    scene, critic = Scene(prior), LoRACritic(prior)
    calls = []
    hook = prior.unet.register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[0])))
    with _NoReadBack():
        scene.predict(critic, scene.pose, None)
        scene.teach(critic, 2)
    hook.remove()
    assert calls == [4, 2, 2]
    assert critic.rows == 4 and prior.rows == 0


def test_first_weights_come_from_the_generator_alone(load):
    prior, state = load("sd1"), torch.random.get_rng_state()
    critics = [LoRACritic(prior, generator=torch.Generator().manual_seed(seed)).state()["weights"] for seed in (1, 1, 2)]
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(critics[0][name], critics[1][name]) for name in critics[0])
    for name, weight in critics[0].items():
        if name.endswith((".A", "first")):
            assert not torch.equal(weight, critics[2][name])
            assert weight.abs().max() <= weight.shape[1] ** -0.5
            assert weight.std() > 0.4 * weight.shape[1] ** -0.5
        else:
            assert not weight.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_lora_critic_keeps_the_contract(load, shape):
    prior = load(shape)
    scene = Scene(prior)
    critic = LoRACritic(CountingPrior(prior), rate=1e-2, camera_dropout=0.0)
    check_critic(
        critic, scene.z, scene.condition, scene.pose, steps=6 if shape == "starter" else 24, fixed=tuple(prior.unet.parameters()), atol=1e-5
    )


def test_a_prior_without_a_network_is_refused_in_one_sentence():
    with pytest.raises(UserError, match=r"trains a critic on the prior's own network, and the prior 'scene' has none\.") as caught:
        LoRACritic(CountingPrior(mixture_scene()))
    assert "starter" in caught.value.hint
