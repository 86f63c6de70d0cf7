"""The critic of VSD, ESD and weighted JSD: a low-rank adapter (LoRA, arXiv 2106.09685) on the prior's own denoiser, taught by the renders.

The base weights are shared, not copied. Adapter layers stand in the network only during `predict` and `train_step`; at any other time
its modules are the original ones, so the prior's own passes cannot differ and cost nothing more.

The camera is a condition (ProlificDreamer, arXiv 2305.16213, section 3.2): camera-to-world as 16 numbers, through two layers without
biases, added to the embedding of t. The all-zero pose therefore adds exactly nothing, which is "no camera"; for a real pose the last of
the 16 numbers is 1 and serves the first layer as its bias.

That alone is slow: in 200 lessons on 16 pictures the starter's critic denoises no better for knowing whose picture it sees
(docs/results.md, "Views that differ"). With `camera_map` the first layer also feeds a map of the latents' shape, added to the input.

Adapter and camera embedding are float32 whatever the network is: a layer's input is cast up for the adapter, and its sum is cast back.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from backend.distill.contract import Pose, add_noise, broadcast
from backend.distill.parameters import ESDParameters, JSDParameters, VSDParameters
from backend.errors import UserError
from backend.priors.contract import Condition, Prior
from backend.priors.conversions import training_target
from backend.priors.counting import CountingPrior

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")  # every attention layer
ADAPTER = "critic"
POSE_SIZE = 16


def network_of(prior: Prior) -> Any:
    """The denoiser that a critic learns on. UserError for a prior without a network."""
    while isinstance(prior, CountingPrior):
        prior = prior.prior
    network = getattr(prior, "unet", None)
    if network is None:
        raise UserError(
            f"This method trains a critic on the prior's own network, and the prior '{prior.card.name}' has none.",
            "Choose a prior with a network, such as 'starter', or a method without a critic.",
        )
    return network


class _Place(NamedTuple):
    """Where an adapter layer goes: `owner.child` is its base layer outside of the critic's calls."""

    owner: nn.Module
    child: str
    layer: Any


class LoRACritic:
    """See `Critic`. As long as nothing was learnt it predicts what the prior predicts, bit for bit."""

    def __init__(
        self,
        prior: Prior,
        *,
        rank: int = 4,
        rate: float = 1e-4,
        camera_dropout: float = 0.1,
        camera_map: bool = False,
        lessons: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        """rank: of the adapter. rate: of AdamW. camera_dropout: share of the samples that are taught without their camera.

        camera_map: the camera also as a map at the input, by which views are told apart sooner; as many more weights as the width of the
        embedding of t times the size of the latents.

        lessons: optimiser steps of one `train_step`, by which the critic keeps up (the two time-scales of DMD2, arXiv 2405.14867,
        section 4.2).

        generator: on the host, for the first weights; a fixed one by default. Errors: UserError for a prior without a network.
        """
        self._unet: Any = network_of(prior)
        while isinstance(prior, CountingPrior):  # rows of the critic are not the prior's
            prior = prior.prior
        self._prior: Any = prior
        self.rows = 0
        self._dropout, self._lessons = camera_dropout, lessons
        generator = generator or torch.Generator().manual_seed(0)
        named = _adapter_layers(self._unet, rank)
        self._places = [_Place(self._unet.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], layer) for name, layer in named]
        width = self._unet.time_embedding.linear_2.out_features
        with torch.random.fork_rng(devices=[]):  # the layers' own first weights are drawn and replaced
            first = nn.Linear(POSE_SIZE, width, bias=False).to(prior.device)
            self._camera = nn.Sequential(first, nn.SiLU())
            self._to_time = nn.Linear(width, width, bias=False).to(prior.device)
            self._to_input = nn.Linear(width, math.prod(prior.latent_shape), bias=False).to(prior.device) if camera_map else None
        weights = {"camera.first": first.weight, "camera.last": self._to_time.weight}
        if self._to_input is not None:
            weights["camera.map"] = self._to_input.weight
        for name, layer in named:
            weights[f"{name}.A"], weights[f"{name}.B"] = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        with torch.no_grad():
            for name, weight in weights.items():
                if name.endswith((".A", ".first")):  # uniform with variance 1 / (3 inputs), the layers' usual start
                    uniform = 2 * torch.rand(weight.shape, generator=generator) - 1
                    weight.copy_(uniform * weight.shape[1] ** -0.5)
                else:
                    weight.zero_()
        self._weights = weights
        # One kernel for all weights, and the count of steps stays on the device.
        self._optimiser = torch.optim.AdamW(weights.values(), lr=rate, fused=prior.device.type in ("cpu", "cuda"))

    @classmethod
    def of(cls, prior: Prior, parameters: VSDParameters | ESDParameters | JSDParameters, generator: torch.Generator) -> "LoRACritic":
        """As the settings of its method say."""
        return cls(
            prior,
            rank=parameters.critic_rank,
            rate=parameters.critic_rate,
            camera_dropout=parameters.camera_dropout,
            camera_map=parameters.camera_map,
            lessons=parameters.critic_lessons,
            generator=generator,
        )

    def predict(self, z_t: Tensor, t: Tensor, condition: Condition, poses: Sequence[Pose | None]) -> list[Tensor]:
        """See `Critic`. Rows are ordered by pose, then by view."""
        views, copies = z_t.shape[0], len(poses)

        def repeated(value: Tensor) -> Tensor:
            return value.repeat(copies, *[1] * (value.dim() - 1))

        camera = torch.cat([self._pose_rows(pose, views) for pose in poses])
        self.rows += copies * views
        with torch.no_grad(), self._adapted(camera):
            noise = self._prior.predict_noise(repeated(z_t), repeated(t), condition.expand(views).map(repeated))
        return list(noise.chunk(copies))

    def train_step(self, latents: Tensor, condition: Condition, pose: Pose | None, generator: torch.Generator) -> dict[str, Tensor]:
        """So many AdamW steps as asked for, on mean |output - target|^2, in what the network itself puts out, at t ~ U{0..T-1}.

        Losses of the last one: "critic" over all samples, "critic_camera" and "critic_camera_free" over those taught with and without a
        camera, where there are such. Numbers are drawn in the order t, noise, camera dropout.
        """
        losses: dict[str, Tensor] = {}
        for _ in range(self._lessons):
            losses = self._lesson(latents, condition, pose, generator)
        return losses

    def _lesson(self, latents: Tensor, condition: Condition, pose: Pose | None, generator: torch.Generator) -> dict[str, Tensor]:
        latents = latents.detach().float()
        views, device = latents.shape[0], latents.device
        t = torch.randint(0, self._prior.timesteps, (views,), generator=generator)
        noise = torch.randn(latents.shape, generator=generator).to(device, non_blocking=True)
        kept = [chance >= self._dropout and _has_camera(pose) for chance in torch.rand(views, generator=generator).tolist()]
        camera = self._pose_rows(pose, views) * torch.tensor(kept).view(-1, 1).to(device, non_blocking=True)
        alpha, sigma = (broadcast(value, latents) for value in self._prior.coefficients(t))
        target = training_target(latents, noise, self._prior.parametrisation, alpha, sigma)
        x_t = add_noise(self._prior, latents, t, noise)
        with torch.enable_grad(), self._adapted(camera):
            output = self._prior.network_output(x_t, t, condition.expand(views))
            errors = (output - target).square().flatten(1).mean(dim=1)
            # Within the context, for checkpointed blocks run again here. Only these weights get a gradient, whatever else asks for one.
            gradients = torch.autograd.grad(errors.mean(), list(self._weights.values()))
        for weight, gradient in zip(self._weights.values(), gradients, strict=True):
            weight.grad = gradient
        self._optimiser.step()
        self._optimiser.zero_grad()
        losses = {"critic": errors.detach().mean()}
        for name, camera_known in (("critic_camera", True), ("critic_camera_free", False)):
            chosen = [row for row, known in enumerate(kept) if known == camera_known]
            if chosen:
                losses[name] = errors.detach().index_select(0, torch.tensor(chosen).to(device, non_blocking=True)).mean()
        return losses

    def state(self) -> dict[str, Any]:
        """Copies of the adapter, the camera embedding and the optimiser's moments: tensors, numbers and names."""
        weights = {name: weight.detach().clone() for name, weight in self._weights.items()}
        return {"weights": weights, "optimiser": copy.deepcopy(self._optimiser.state_dict())}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()` of a critic with the same settings on the same network."""
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.copy_(state["weights"][name])
        self._optimiser.load_state_dict(copy.deepcopy(state["optimiser"]))  # it would go on in the given tensors themselves

    def close(self) -> None:
        """Let go of the prior. Its network needs no repair: outside of the calls it was as if there were no critic."""
        self._unet = None
        self._places = []

    @contextmanager
    def _adapted(self, camera: Tensor) -> Iterator[None]:
        """The network with the adapter in its layers and the camera rows [N,16] in its embedding of t."""
        if self._unet is None:
            raise RuntimeError("this critic was closed")
        features = self._camera(camera)
        embedding = self._to_time(features)
        added = None if self._to_input is None else self._to_input(features).unflatten(1, self._prior.latent_shape)

        def add_camera(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            summed: Tensor = output.float() + embedding
            return summed.to(output.dtype)

        def add_map(module: nn.Module, inputs: Any) -> Any:
            latents, *others = inputs
            return ((latents.float() + added).to(latents.dtype), *others)

        # A hook fits every UNet; `class_embedding` would have to be there in the prior's passes too.
        hooks = [self._unet.time_embedding.register_forward_hook(add_camera)]
        if added is not None:
            hooks.append(self._unet.register_forward_pre_hook(add_map))
        try:
            for owner, child, layer in self._places:
                setattr(owner, child, layer)
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for owner, child, layer in self._places:
                setattr(owner, child, layer.get_base_layer())

    def _pose_rows(self, pose: Pose | None, views: int) -> Tensor:
        """[views,16] on the device, zeros without a camera."""
        device = self._prior.device
        if pose is None or pose.camera_to_world is None:
            return torch.zeros(views, POSE_SIZE, device=device)
        return pose.camera_to_world.to(device, torch.float32, non_blocking=True).reshape(views, POSE_SIZE)


def _has_camera(pose: Pose | None) -> bool:
    return pose is not None and pose.camera_to_world is not None


def _adapter_layers(unet: Any, rank: int) -> list[tuple[str, Any]]:
    """float32 adapter layers by the name of the layer they wrap; the network is left as it was found."""
    trained = [(weight, weight.requires_grad) for weight in unet.parameters()]
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS)), unet, ADAPTER)
    del unet.peft_config
    named = [(name, module) for name, module in unet.named_modules() if isinstance(module, LoraLayer)]
    for name, layer in named:
        unet.set_submodule(name, layer.get_base_layer())
        layer.lora_A.float()
        layer.lora_B.float()
    for weight, wanted in trained:  # the library freezes all that is not the adapter's
        weight.requires_grad_(wanted)
    return named
