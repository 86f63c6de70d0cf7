"""The judge: which noun, colour, pattern and view a picture shows, with calibrated probabilities and an embedding.

A classifier trained on zoo renders that no prior is trained on (`evaluate.pictures`), so that it can compare methods that distil one
and the same prior. Its weights and labels lie beside this file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from backend.errors import ResourceError, first_line
from backend.evaluate.network import JudgeNetwork

WEIGHTS = Path(__file__).parent / "judge.safetensors"
HEADS = ("noun", "colour", "pattern", "view")
BATCH = 256


@dataclass(frozen=True)
class Verdict:
    """What the judge says about N pictures: probabilities over its labels, each row summing to 1, and an embedding. On its device."""

    noun: Tensor  # [N, nouns]
    colour: Tensor  # [N, colours]
    pattern: Tensor  # [N, patterns]
    view: Tensor  # [N, views]
    embedding: Tensor  # [N, D] the penultimate layer, for Frechet distances

    def __len__(self) -> int:
        return len(self.embedding)

    def of(self, head: str) -> Tensor:
        """The probabilities of one of `HEADS`."""
        if head not in HEADS:
            raise ValueError(f"the heads are {', '.join(HEADS)}, not {head!r}")
        return getattr(self, head)  # type: ignore[no-any-return]

    def __getitem__(self, rows: slice) -> Verdict:
        """Some of the pictures."""
        return Verdict(*(getattr(self, name)[rows] for name in (*HEADS, "embedding")))


class Judge:
    """Pictures [N,3,H,W], display values 0..1, of any size -> `Verdict`. Deterministic; carries no gradient."""

    def __init__(self, network: JudgeNetwork, facts: dict[str, Any], device: torch.device | str = "cpu") -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.facts = facts
        """The file's own: labels, size_px, temperatures, and how it was trained and measured."""

    @cached_property
    def nouns(self) -> tuple[str, ...]:
        return self.labels("noun")

    @cached_property
    def colours(self) -> tuple[str, ...]:
        return self.labels("colour")

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        return self.labels("pattern")

    @cached_property
    def views(self) -> tuple[str, ...]:
        return self.labels("view")

    @cached_property
    def fronted(self) -> tuple[str, ...]:
        """Nouns whose front, side and back look different; of the others no picture tells the azimuth."""
        return tuple(self.facts["fronted"])

    def labels(self, head: str) -> tuple[str, ...]:
        """The labels of one head, in the order of its columns."""
        return tuple(self.facts["labels"][head])

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Verdict:
        """Errors: ValueError for another shape than [N,3,H,W], or values that are not finite floating-point numbers."""
        if pictures.ndim != 4 or pictures.shape[1] != 3 or not pictures.is_floating_point():
            raise ValueError(f"the judge takes floating-point pictures [N,3,H,W], got {tuple(pictures.shape)} {pictures.dtype}")
        if not torch.isfinite(pictures).all():
            raise ValueError("the judge takes finite pictures only")
        parts = [self._judge(part) for part in pictures.split(BATCH)] if len(pictures) else [self._judge(pictures)]
        return Verdict(*(torch.cat([part[name] for part in parts]) for name in (*HEADS, "embedding")))

    def _judge(self, pictures: Tensor) -> dict[str, Tensor]:
        size = int(self.facts["size_px"])
        rgb = pictures.to(self.device, torch.float32)
        if rgb.shape[-2:] != (size, size):
            rgb = F.interpolate(rgb, (size, size), mode="bilinear", antialias=True, align_corners=False)
        embedding, logits = self.network(rgb.clamp(0, 1))
        heat = self.facts["temperature"]
        return {"embedding": embedding, **{head: (logits[head] / heat[head]).softmax(-1) for head in HEADS}}


def load_judge(device: torch.device | str = "cpu", file: str | Path = WEIGHTS) -> Judge:
    """The judge that ships, or one trained anew. Reads one file, no network.

    Errors: ResourceError for a file that is missing, damaged or not a judge's.
    """
    path = Path(file)
    if not path.is_file():
        raise ResourceError(f"The judge's weights '{path}' are missing.", "Install the package again, or train a judge (docs/judge.md).")
    try:
        with safe_open(path, framework="pt") as opened:
            facts = json.loads((opened.metadata() or {})["judge"])
            state = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118 (no mapping)
        classes = {head: len(facts["labels"][head]) for head in HEADS}
        network = JudgeNetwork(classes, tuple(facts["widths"]), int(facts["embedding"]))
        # The running count of batches steers training only and is not in the file.
        missing, unexpected = network.load_state_dict(state, strict=False)
        if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
            raise KeyError(next(iter([*unexpected, *missing])))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ResourceError(
            f"'{path}' does not hold a judge's weights: {first_line(error)}.",
            "Install the package again, or train a judge (docs/judge.md).",
        ) from error
    return Judge(network, facts, device)


def save_judge(network: JudgeNetwork, facts: dict[str, Any], file: Path) -> None:
    """Weights in half precision, `facts` as metadata."""
    kept = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    halves = {name: (value if "running" in name else value.half()).contiguous().cpu() for name, value in kept.items()}
    save_file(halves, file, metadata={"judge": json.dumps(facts)})
    file.chmod(0o644)
