"""Rasterisers by name: Warp (ships), its torch twin, and probes for the optional libraries.

Nothing optional is imported before it is asked for; `available` never raises.
"""

import importlib
import importlib.util
import logging
from functools import cache

import torch
from torch import Tensor

from backend.errors import UserError
from backend.geometry.contract import Mesh

from . import pipeline
from .contract import Availability, Shade, Visibility
from .pipeline import DiscreteKernels, Raster
from .screen import discrete_screen

log = logging.getLogger(__name__)

NAMES = ("auto", "warp", "torch", "nvdiffrast", "kaolin")


class TensorPipeline:
    """`Rasterizer` for every backend that only says what is seen: gradients come from `pipeline`, hence are the same for all."""

    name: str

    def available(self, device: torch.device | str) -> Availability:
        raise NotImplementedError

    def kernels(self) -> DiscreteKernels:
        raise NotImplementedError

    def visibility(self, clip: Tensor, faces: Tensor, size: tuple[int, int], cull: bool = False) -> Visibility:
        return Visibility(pipeline.faces_of(self.kernels().nearest_faces(discrete_screen(clip, size), faces, size, cull)))

    def prepare(self, mesh: Mesh, clip: Tensor, size: tuple[int, int], *, cull: bool = False, antialias: bool = True) -> Raster:
        """Everything about the pictures that does not depend on colours; see `pipeline.prepare`."""
        return pipeline.prepare(self.kernels(), mesh, clip, size, cull=cull, antialias=antialias)

    def render(self, mesh: Mesh, clip: Tensor, size: tuple[int, int], shade: Shade, background: Tensor) -> Tensor:
        """[B, H, W, C+1] linear, last channel coverage: `prepare`, then `pipeline.shade_and_blend`."""
        return pipeline.shade_and_blend(self.prepare(mesh, clip, size), shade, background)


class WarpRasterizer(TensorPipeline):
    """Kernels from one Warp source, on the CPU and on CUDA."""

    name = "warp"

    def available(self, device: torch.device | str) -> Availability:
        kind = torch.device(device).type
        if kind not in ("cpu", "cuda"):
            return Availability(False, f"Warp knows the CPU and CUDA, not {kind!r}.")
        failure = _import_failure("backend.render.warp_visibility")
        if failure:
            return Availability(False, f"Warp does not load: {failure}")
        if kind == "cuda":
            import warp

            if not torch.cuda.is_available() or not warp.is_cuda_available():
                return Availability(False, "No CUDA device that both torch and Warp can use.")
        return Availability(True)

    def kernels(self) -> DiscreteKernels:
        from . import warp_visibility

        return warp_visibility


class TorchRasterizer(TensorPipeline):
    """The slow twin in plain tensor code; the oracle of the tests and the fallback where Warp does not load."""

    name = "torch"

    def available(self, device: torch.device | str) -> Availability:
        return Availability(True)

    def kernels(self) -> DiscreteKernels:
        from . import torch_visibility

        return torch_visibility


def nvdiffrast_availability(device: torch.device | str) -> Availability:
    """Whether nvdiffrast could be used; it has no adapter in this version, and the reason says so."""
    if importlib.util.find_spec("nvdiffrast") is None:
        return Availability(False, "nvdiffrast is not installed, and this version has no adapter for it yet.")
    return Availability(False, "nvdiffrast is installed, but this version has no adapter for it yet.")


def kaolin_availability(device: torch.device | str) -> Availability:
    """Whether kaolin's rasteriser could be used; it has no adapter in this version, and the reason says so."""
    if importlib.util.find_spec("kaolin") is None:
        return Availability(False, "kaolin is not installed, and this version has no adapter for its rasteriser yet.")
    # The name on PyPI is an empty package: only a submodule tells.
    failure = _import_failure("kaolin.ops.conversions")
    if failure:
        return Availability(False, f"kaolin does not load ({failure}), and this version has no adapter for its rasteriser yet.")
    return Availability(False, "kaolin is installed, but this version has no adapter for its rasteriser yet.")


def availabilities(device: torch.device | str) -> dict[str, Availability]:
    """Every rasteriser by name, for `doctor`. Loads Warp and, where installed, kaolin (seconds)."""
    return {
        "warp": WarpRasterizer().available(device),
        "torch": TorchRasterizer().available(device),
        "nvdiffrast": nvdiffrast_availability(device),
        "kaolin": kaolin_availability(device),
    }


def choose_rasterizer(name: str = "auto", device: torch.device | str = "cpu") -> TensorPipeline:
    """The rasteriser of that name, ready for the device. `auto`: Warp, or its torch twin with a warning where Warp cannot load.

    Raises:
        UserError: the name is unknown, or what it names cannot run here; a named rasteriser is never silently replaced.
    """
    if name not in NAMES:
        raise UserError(f"There is no rasteriser {name!r}.", f"Choose one of {', '.join(NAMES)}.")
    if name in ("auto", "warp"):
        warp = WarpRasterizer()
        found = warp.available(device)
        if found.ok:
            return warp
        if name == "warp":
            raise UserError(f"The rasteriser 'warp' cannot run here. {found.reason}", "Install warp-lang, or choose 'torch'.")
        log.warning("using the slow torch rasteriser: %s", found.reason)
        return TorchRasterizer()
    if name == "torch":
        return TorchRasterizer()
    probe = nvdiffrast_availability if name == "nvdiffrast" else kaolin_availability
    reason = probe(device).reason
    raise UserError(f"The rasteriser {name!r} cannot run here. {reason}", "Choose 'auto', which needs no further installation.")


@cache
def _import_failure(module: str) -> str:
    """Empty where the module imports, else one line why not; remembered, since a failing import can take seconds."""
    try:
        importlib.import_module(module)
    except Exception as error:  # compiled libraries fail with ImportError, OSError and others
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""
