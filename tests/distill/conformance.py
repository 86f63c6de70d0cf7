"""What every `Method` must do. A new method is checked as soon as it is in `METHODS`."""

import copy
from dataclasses import replace
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from backend.distill.contract import Distilled, Method, MethodState, Pose, broadcast, latent_loss
from backend.distill.parameters import PARAMETERS
from backend.priors.counting import CountingPrior
from backend.refine.seeds import generator as seeded

from .conftest import scene

LEVELS = torch.tensor([10, 900, 180, 420])
ROLES = {
    "target": ["target"],
    "null": [""],
    "source": ["source"],
    "negative": ["negative"],
    "critic": ["target"],
    "away": ["source", "negative"] * 4,
}

UNLIKE = ["target", "source", "negative", ""]  # a text for each of four views


class LinearCritic:
    """eps_q = .3 z_t, and .1 more per quarter turn where the camera is known."""

    def __init__(self):
        self.rows = 0

    def predict(self, z_t, t, condition, poses):
        self.rows += len(poses) * len(z_t)
        quarters = [torch.zeros(len(z_t)) if pose is None else pose.azimuth_deg / 90 for pose in poses]
        return [0.3 * z_t + 0.1 * broadcast(turn, z_t) for turn in quarters]


class Inputs:
    """Everything `gradient` takes, made the way a run makes it."""

    def __init__(self, method: Method, parameters, *, batch=4, dtype=torch.float32, prior=None, state=None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.method, self.parameters, self.batch = method, parameters, batch
        self.prior = prior or scene()
        self.latents = torch.randn(batch, *self.prior.latent_shape, generator=generator, dtype=torch.float64).to(dtype)
        self.t = LEVELS[:batch]
        self.draws = {}
        for draw in method.draws(parameters):
            assert draw.of == "step" or draw.shape == "latent"
            shape = self.latents.shape if draw.shape == "latent" else (batch,)
            make = torch.randn if draw.kind == "normal" else torch.rand
            self.draws[draw.name] = make(shape, generator=seeded(0, draw.name), dtype=torch.float64).to(dtype)
        self.conditions = {role: self.prior.embed(ROLES[role]) for role in method.roles(parameters)}
        self.pose = Pose(torch.linspace(0, 270, batch), torch.zeros(batch), torch.eye(4).expand(batch, 4, 4))
        self.critic = LinearCritic() if method.uses_critic(parameters) else None
        reference = 0.8 * self.latents + 0.1 if method.uses_reference else None
        away = torch.linspace(-1.5, 0, 2 * batch).view(batch, 2) if "away" in self.conditions else None
        self.state = state or MethodState(step=3, steps=10, critic=self.critic, reference=reference, away_weights=away)

    def run(self, rows=slice(None), **changed) -> Distilled:
        views = {
            name: None if value is None else value[rows]
            for name, value in (("reference", self.state.reference), ("away_weights", self.state.away_weights))
        }
        texts = dict(self.conditions)
        if "away" in texts:
            texts["away"] = texts["away"].map(lambda value: value.view(-1, 2, *value.shape[1:])[rows].flatten(0, 1))
        given = {
            "latents": self.latents[rows],
            "t": self.t[rows],
            "draws": {name: value[rows] for name, value in self.draws.items()},
            "conditions": texts,
            "pose": Pose(*(value[rows] for value in (self.pose.azimuth_deg, self.pose.elevation_deg, self.pose.camera_to_world))),
            "parameters": self.parameters,
            "state": replace(self.state, **views),
            "prior": self.prior,
        }
        return self.method.gradient(**{**given, **changed})


def check_method(method: Method, parameters) -> None:
    for check in (_declarations, _output, _purity, _rows, _batches, _plumbing, _no_synchronisation, _velocity, _non_finite):
        check(method, parameters)


def _declarations(method, parameters):
    assert PARAMETERS[method.name] is method.parameters
    assert isinstance(parameters, method.parameters)
    assert method.title
    assert method.source
    assert method.reduction in ("sum", "mean")
    assert method.first_stage in ("", *PARAMETERS)
    assert {method.uses_guidance, method.uses_reference, method.gives_clean} <= {True, False}
    assert method.uses_guidance == ("perp_neg" in PARAMETERS[method.name].__struct_fields__)
    assert method.uses_critic(parameters) == ("critic" in method.roles(parameters))
    roles, draws = method.roles(parameters), method.draws(parameters)
    assert roles
    assert set(roles) <= set(ROLES)
    assert len({draw.name for draw in draws}) == len(draws)
    # Exactly what is declared is enough: no other role and no other draw is looked up.
    Inputs(method, parameters).run()


def _output(method, parameters):
    inputs = Inputs(method, parameters)
    out = inputs.run(latents=inputs.latents.clone().requires_grad_())
    assert isinstance(out, Distilled)
    assert out.gradient.shape == inputs.latents.shape
    assert out.gradient.dtype == torch.float32
    assert not out.gradient.requires_grad
    assert out.gradient.grad_fn is None
    assert out.gradient.abs().sum() > 0
    if method.gives_clean:
        assert out.clean.shape == inputs.latents.shape and out.clean.grad_fn is None
    for name, value in out.diagnostics.items():
        assert isinstance(value, torch.Tensor), name
        assert value.dim() == 0
        assert not value.requires_grad


def _purity(method, parameters):
    inputs = Inputs(method, parameters)
    before = copy.deepcopy((inputs.latents, inputs.t, inputs.draws, inputs.conditions))
    generator_state = torch.random.get_rng_state()
    first, second = inputs.run(), inputs.run()
    assert torch.equal(first.gradient, second.gradient)
    after = (inputs.latents, inputs.t, inputs.draws, inputs.conditions)
    for old, new in zip(_tensors(before), _tensors(after), strict=True):
        assert torch.equal(old, new), "an input was changed"
    assert torch.equal(generator_state, torch.random.get_rng_state()), "the method drew numbers of its own"


def _rows(method, parameters):
    for level in (0, 150, 250, 999):
        prior = CountingPrior(scene())
        inputs = Inputs(method, parameters, prior=prior)
        inputs.run(t=torch.full((4,), level))
        assert prior.rows + (inputs.critic.rows if inputs.critic else 0) == 4 * method.rows(parameters, level), level
        assert prior.encode_calls == prior.decode_calls == 0


def _batches(method, parameters):
    inputs = Inputs(method, parameters, dtype=torch.float64)
    together = inputs.run().gradient
    for row in range(4):
        torch.testing.assert_close(together[row : row + 1], inputs.run(slice(row, row + 1)).gradient, atol=1e-10, rtol=1e-10)
    # One condition row per view is the same as one for all.
    spread = {role: condition if role == "away" else condition.expand(4) for role, condition in inputs.conditions.items()}
    assert torch.equal(together, inputs.run(conditions=spread).gradient)
    # Every view keeps its own texts, also where some views have fewer steps than others.
    mixed = {role: inputs.prior.embed(UNLIKE[k:] + UNLIKE[:k]) for k, role in enumerate(inputs.conditions) if role != "away"}
    if "away" in inputs.conditions:
        mixed["away"] = inputs.prior.embed(UNLIKE + UNLIKE[::-1])
    together = inputs.run(conditions=mixed).gradient
    for row in range(4):
        own = {role: condition.rows(torch.arange(len(condition)).view(4, -1)[row]) for role, condition in mixed.items()}
        torch.testing.assert_close(together[row : row + 1], inputs.run(slice(row, row + 1), conditions=own).gradient, atol=1e-8, rtol=1e-8)


def _plumbing(method, parameters):
    inputs = Inputs(method, parameters, dtype=torch.float64)
    gradient = inputs.run().gradient
    # A linear "renderer" J in front of the latents: d loss / d theta = J^T G / B.
    theta = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    jacobian = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    z = (theta @ jacobian.T).view_as(gradient)
    z.retain_grad()
    latent_loss(z, gradient, method.reduction).backward()
    share = gradient / (4 if method.reduction == "sum" else gradient.numel())
    torch.testing.assert_close(z.grad, share, atol=1e-14, rtol=1e-12)
    torch.testing.assert_close(theta.grad, share.flatten(1) @ jacobian, atol=1e-12, rtol=1e-10)
    for value in vars(inputs.prior).values():
        assert not (isinstance(value, torch.Tensor) and value.grad is not None), "the prior received a gradient"


class _NoReadBack(TorchDispatchMode):
    """Operations that wait for the device: reading a value, or a result whose size depends on values."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert not any(name == word or name.startswith("unique") for word in self.FORBIDDEN), f"{name} waits for the device"
        return function(*args, **(kwargs or {}))


def _no_synchronisation(method, parameters):
    inputs = Inputs(method, parameters)

    on_host = (inputs.t, inputs.prior.abar_host)  # they may be read: they never were on a device

    def guarded(name):
        original = getattr(torch.Tensor, name)

        def read(tensor, *args, **kwargs):
            assert any(tensor is known for known in on_host), "a tensor was read back to the host"
            return original(tensor, *args, **kwargs)

        return read

    names = ("item", "cpu", "numpy", "tolist", "__bool__", "__float__", "__int__", "__index__")
    with _NoReadBack(), mock.patch.multiple(torch.Tensor, **{name: guarded(name) for name in names}):
        inputs.run(t=inputs.t)  # the tensor itself, not a slice of it


def _velocity(method, parameters):
    reference = Inputs(method, parameters, dtype=torch.float64).run().gradient
    size = reference.abs().amax(dim=(1, 2, 3), keepdim=True)
    # With other settings a solve may magnify the rounding of its first steps without bound; float64 below holds for all.
    for parametrisation in ("epsilon", "v_prediction") if parameters == method.parameters() else ():
        prior = CountingPrior(scene(parametrisation))
        gradient = Inputs(method, parameters, prior=prior).run().gradient
        # Each call on a way magnifies the rounding of those before it: by its guidance, and by sigma/alpha = 9 at the highest level.
        assert ((gradient - reference) / size).abs().max() < (1e-6 if prior.calls == 1 else 1e-5), parametrisation
    exact = Inputs(method, parameters, prior=scene("v_prediction"), dtype=torch.float64).run().gradient
    torch.testing.assert_close(exact, reference, atol=1e-10, rtol=1e-10)


def _non_finite(method, parameters):
    inputs = Inputs(method, parameters)
    for bad in (torch.nan, torch.inf):
        latents = inputs.latents.clone()
        latents[1, 0, 0, 0] = bad
        gradient = inputs.run(latents=latents).gradient
        assert not gradient[1].isfinite().all(), "a non-finite value was hidden"
        assert gradient[[0, 2, 3]].isfinite().all()


def _tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif hasattr(value, "text"):
        yield value.text
