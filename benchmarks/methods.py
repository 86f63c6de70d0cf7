"""Milliseconds of one step of every method, and how much of it is not the denoiser, as a Markdown table.

    python -m benchmarks.methods                       a tiny random network on the CPU
    python -m benchmarks.methods --device cuda         one of the shape of Stable Diffusion 2.1, random weights in bf16
    python -m benchmarks.methods --write               also puts the table into docs/benchmarks.md

A step here is the method's gradient for some views, without rendering; methods with a critic also give it its lesson. The denoiser is
the network itself: conversions, joining of texts, adapters going in and out are not. All steps use the same noise levels, one from each
slice of the range, and of each part the fastest is told: whatever else a machine does only adds.
"""

import argparse
import platform
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from backend.distill import methods
from backend.distill.contract import Distilled, MethodState, Pose
from backend.distill.lora_critic import LoRACritic
from backend.distill.parameters import PARAMETERS
from backend.distill.read_parameters import parse_parameters
from backend.distill.schedules import Schedule, draw_timesteps
from backend.experiments.page import put
from backend.priors.card import PriorCard
from backend.priors.contract import Condition
from backend.priors.counting import CountingPrior
from backend.priors.diffusers_prior import DiffusersPrior
from backend.priors.loading import Networks
from backend.refine.device import choose_device

TABLE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
POSITIONS = 77
WARM = 2  # steps that are not counted

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "sample_size": 8,
        "block_out_channels": (32, 32, 32, 32),
        "layers_per_block": 1,
        "attention_head_dim": 8,
        "norm_num_groups": 16,
        "cross_attention_dim": 64,
    },
    "sd21": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "attention_head_dim": (5, 10, 20, 20),
        "cross_attention_dim": 1024,
        "use_linear_projection": True,
    },
}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in PARAMETERS},
    "sds, Perp-Neg": ("sds", {"perp_neg": True}),
    "jsd, weighted": ("jsd", {"form": "non_saturating"}),
    "pfd, forward only": ("pfd", {"form": "forward"}),
    "dual_bridge, inversion": ("dual_bridge", {"form": "inversion"}),
}


class Figures(NamedTuple):
    """Of one step: denoiser rows per view; milliseconds of the gradient's denoiser, of the rest of it, of the critic's lesson."""

    rows: float
    denoiser: float
    other: float
    lesson: float

    @property
    def gradient(self) -> float:
        return self.denoiser + self.other


class Clock:
    """Moments on the device's own time line, so that nothing waits while a step runs."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"

    def now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, first: Any, last: Any) -> float:
        """Milliseconds; the device must have reached both."""
        return first.elapsed_time(last) if self.cuda else 1000 * (last - first)


def random_prior(shape: str, device: torch.device) -> DiffusersPrior:
    """A denoiser of that shape with random weights, bf16 on CUDA. Autoencoder and text encoder are not part of a method's step."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with torch.device(device):
        unet = UNet2DConditionModel(**SHAPES[shape])
    torch.set_default_dtype(usual)
    unet.requires_grad_(False).eval()
    if device.type == "cuda":
        unet.to(memory_format=torch.channels_last)
    vae = SimpleNamespace(config=SimpleNamespace(block_out_channels=(1, 1, 1, 1), scaling_factor=0.18215))
    text = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=POSITIONS))
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="epsilon")
    networks = Networks(unet, vae, text, SimpleNamespace(model_max_length=POSITIONS), scheduler, ())
    return DiffusersPrior(networks, PriorCard(name=shape), device, dtype)


def measure(prior: DiffusersPrior, name: str, given: dict[str, Any], views: int, steps: int) -> Figures:
    """The fastest of each part in `steps` steps, all at the same noise levels: one per view, from equal slices of the whole range."""
    method, parameters = methods.method(name), parse_parameters(name, given)
    counted, clock, device = CountingPrior(prior), Clock(prior.device), prior.device
    source = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=source).to(device)

    width = prior.unet.config.cross_attention_dim
    roles = method.roles(parameters)
    conditions = {role: Condition(normal(2 * views if role == "away" else views, POSITIONS, width)) for role in roles}
    latents, reference = normal(views, *prior.latent_shape), normal(views, *prior.latent_shape)
    pose = Pose(torch.zeros(views), torch.zeros(views), torch.eye(4).repeat(views, 1, 1).to(device))
    critic = LoRACritic(counted, rank=parameters.critic_rank) if method.uses_critic(parameters) else None
    inside: list[Any] = []  # moments at which the network begins and ends
    hooks = [
        prior.unet.register_forward_pre_hook(lambda *_: inside.append(clock.now())),
        prior.unet.register_forward_hook(lambda *_: inside.append(clock.now())),
    ]
    t = draw_timesteps(Schedule(), 0, 1, views, prior.timesteps, torch.Generator().manual_seed(0))
    moments = []
    for step in range(WARM + steps):
        draws = {draw.name: normal(*(latents.shape if draw.shape == "latent" else (views,))) for draw in method.draws(parameters)}
        away = torch.full((views, 2), -0.5, device=device) if "away" in roles else None
        state = MethodState(step, WARM + steps, critic, reference if method.uses_reference else None, away)
        inside.clear()
        began = clock.now()
        found: Distilled = method.gradient(counted, latents, t, draws, conditions, pose, parameters, state)
        ended, calls = clock.now(), list(inside)
        if critic:
            critic.train_step(latents, conditions["critic"], pose, source)
        moments.append((began, ended, clock.now(), calls))
    if not found.gradient.isfinite().all():  # waits for the device, too
        raise RuntimeError(f"{name} made a gradient that is not finite")
    if clock.cuda:
        torch.cuda.synchronize(device)
    for hook in hooks:
        hook.remove()
    if critic:
        critic.close()
    rows = (counted.rows + (critic.rows if critic else 0)) / views / len(moments)
    timed = []
    for began, ended, taught, calls in moments[WARM:]:
        denoiser = sum(clock.between(first, last) for first, last in zip(calls[::2], calls[1::2], strict=True))
        lesson = clock.between(ended, taught) if critic else 0.0
        timed.append((denoiser, clock.between(began, ended) - denoiser, lesson))
    return Figures(rows, *(min(part) for part in zip(*timed, strict=True)))


def table(results: dict[str, Figures]) -> str:
    lines = ["| method | rows a view | gradient, ms | of it not denoiser, ms | not denoiser | critic's lesson, ms | step, ms |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, it in results.items():
        lesson = f"{it.lesson:.1f}" if it.lesson else ""
        lines.append(
            f"| {name} | {it.rows:.3g} | {it.gradient:.1f} | {it.other:.2f} | {100 * it.other / it.gradient:.1f} % "
            f"| {lesson} | {it.gradient + it.lesson:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="auto")
    options.add_argument("--shape", choices=SHAPES, help="sd21 on CUDA, tiny elsewhere by default")
    options.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="METHOD")
    options.add_argument("--views", type=int, default=4)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    given = options.parse_args()
    device = choose_device(given.device)
    shape = given.shape or ("sd21" if device.type == "cuda" else "tiny")
    prior = random_prior(shape, device)
    results = {}
    for name in given.only:
        results[name] = measure(prior, *SETTINGS[name], given.views, given.steps)
        print(f"{name}: {results[name].gradient + results[name].lesson:.1f} ms", flush=True)
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()}, {torch.get_num_threads()} threads"
    millions = sum(weight.numel() for weight in prior.unet.parameters()) / 1e6
    size = prior.latent_shape[1]
    text = f"{device.type} ({named}), torch {torch.__version__}, {shape} with {millions:.3g} million random weights in "
    text += f"{str(prior.dtype).removeprefix('torch.')}, {given.views} views of {size} x {size} latents\n\n{table(results)}"
    print(text)
    if given.write:
        put(text, TABLE, f"methods {device.type}")


if __name__ == "__main__":
    main()
