"""Trains the judge that ships: pictures from their seeds, the network, its temperatures, and what it was measured to do.

    python -m backend.evaluate.train_judge --minutes 35

Boxed by processor time, so that other work on the machine makes it longer and not worse: the learning rate falls to nothing at the
end of the box. Ctrl-C brings the end forward.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.evaluate.augment import augmented
from backend.evaluate.judge import HEADS, WEIGHTS, Judge, load_judge, save_judge
from backend.evaluate.metrics import calibration_error
from backend.evaluate.network import EMBEDDING, WIDTHS, JudgeNetwork
from backend.evaluate.pictures import HELD_OUT_SEED, LABELS, TRAINING_SEED, UNKNOWN, Labelled, kept_pictures, view_targets
from backend.views import OVERHEAD

SIZE_PX = 64
SMOOTHING = 0.05
RATE, WEIGHT_DECAY, WARM_STEPS = 3e-3, 0.02, 200
LAST_STEPS = 300  # after Ctrl-C
BORDER_DEG = 10.0  # nothing stands exactly square, so closer to a border between view words the word is luck
FRONTED = 0.8  # view accuracy from the side above which a noun's front is said to be visible


class Box:
    """How far a training is in its box of processor minutes, 0..1. Ctrl-C shortens the box: what is left then takes `LAST_STEPS`."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.began = minutes, time.process_time()
        self.left: int | None = None
        self.at_stop = 0.0

    def stop(self, *_: object) -> None:
        if self.left is None:
            self.at_stop, self.left = self.share(), LAST_STEPS

    def share(self) -> float:
        if self.left is None:
            return min((time.process_time() - self.began) / (60 * self.minutes), 1.0)
        return 1.0 - (1.0 - self.at_stop) * self.left / LAST_STEPS

    def advance(self) -> None:
        if self.left is not None:
            self.left -= 1


def train(
    made: Labelled, box: Box, batch: int, seed: int, report: Any, start: JudgeNetwork | None = None, rate: float = RATE
) -> tuple[JudgeNetwork, int]:
    """The network at the end of the box, going on from `start` with a fresh optimiser, and how many pictures it was shown."""
    torch.manual_seed(seed)
    source = torch.Generator().manual_seed(seed)
    network = start or JudgeNetwork({head: len(LABELS[head]) for head in HEADS})
    network = network.requires_grad_(True).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), rate, (0.9, 0.99), weight_decay=WEIGHT_DECAY)
    labels = torch.from_numpy(made.labels)
    step, loss_so_far = 0, float("nan")
    for rows in _batches(len(labels), batch, source):
        share = box.share()
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARM_STEPS) * 0.5 * (1 + math.cos(math.pi * share))
        rgb = augmented(as_rgb(made.pixels[rows.numpy()]), source)
        with torch.autocast("cpu", torch.bfloat16):
            _, logits = network(rgb.contiguous(memory_format=torch.channels_last))
        loss = sum_of_losses({head: value.float() for head, value in logits.items()}, labels[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        step += 1
        box.advance()
        loss_so_far = loss.item() if step == 1 else 0.98 * loss_so_far + 0.02 * loss.item()
        report(share, f"{step * batch} pictures, loss {loss_so_far:.3f}")
    return network.eval(), step * batch


def sum_of_losses(logits: dict[str, Tensor], labels: Tensor) -> Tensor:
    """Smoothed cross-entropies of all heads, each over the pictures that show its label."""
    total = torch.zeros(())
    for column, head in enumerate(HEADS):
        targets = view_targets(labels) if head == "view" else labels[:, column]
        if bool((labels[:, column] != UNKNOWN).any()):
            total = total + F.cross_entropy(logits[head], targets, ignore_index=UNKNOWN, label_smoothing=SMOOTHING)
    return total


def temperatures(network: JudgeNetwork, rgb: Tensor, labels: Tensor) -> dict[str, float]:
    """Per head, the temperature that makes these pictures' labels likeliest (Guo et al. 2017, section 4.2)."""
    with torch.no_grad():
        logits = [network(part)[1] for part in rgb.split(256)]
    heat = {}
    for column, head in enumerate(HEADS):
        every, answers = torch.cat([part[head] for part in logits]), labels[:, column]
        losses = {t: float(F.cross_entropy(every / t, answers, ignore_index=UNKNOWN)) for t in np.geomspace(0.2, 5.0, 161).tolist()}
        heat[head] = round(min(losses, key=losses.__getitem__), 4)
    return heat


def measured(judge: Judge, rgb: Tensor, labels: Tensor, azimuth_deg: Tensor) -> dict[str, dict[str, float]]:
    """Accuracy and calibration error of every head over the pictures that show its label, and of some of these alone."""
    verdict = judge(rgb)
    noun, colour, pattern, view = labels.unbind(1)
    every = torch.ones(len(rgb), dtype=torch.bool)
    shown, plain = colour != UNKNOWN, pattern == judge.patterns.index("plain")
    fronted = torch.tensor([name in judge.fronted for name in judge.nouns])[noun]
    off_border = ((azimuth_deg % 90 - 45).abs() > BORDER_DEG) | (view == judge.views.index(OVERHEAD))
    asked = {
        "noun": ("noun", every),
        "colour": ("colour", shown),
        "colour of plain things": ("colour", plain),
        "pattern": ("pattern", shown),
        "view": ("view", every),
        "view of nouns with a front": ("view", fronted),
        "view of nouns with a front, off the borders": ("view", fronted & off_border),
    }
    return {
        what: _figures(verdict.of(head)[rows], labels[rows, HEADS.index(head)]) for what, (head, rows) in asked.items() if bool(rows.any())
    }


def fronted_nouns(judge: Judge, rgb: Tensor, labels: Tensor) -> list[str]:
    """Nouns whose level views are told apart in more than `FRONTED` of the pictures."""
    said = judge(rgb).view.argmax(-1)
    level = labels[:, 3] != judge.views.index(OVERHEAD)
    right = (said == labels[:, 3]).float()
    chosen = [(noun, (labels[:, 0] == i) & level) for i, noun in enumerate(judge.nouns)]
    return [noun for noun, rows in chosen if rows.any() and float(right[rows].mean()) > FRONTED]


def as_rgb(pixels: np.ndarray) -> Tensor:
    """[N,S,S,3] uint8 -> [N,3,S,S] display values 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255


def _figures(p: Tensor, answers: Tensor) -> dict[str, float]:
    accuracy = float((p.argmax(-1) == answers).float().mean())
    return {"accuracy": round(accuracy, 4), "calibration_error": round(calibration_error(p, answers), 4), "pictures": len(answers)}


def _batches(count: int, batch: int, source: torch.Generator) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(count, generator=source)
        yield from order[: count - count % batch].split(batch)


def finish(network: JudgeNetwork, facts: dict[str, Any], made: Labelled, file: Path) -> Judge:
    """Temperatures from the first half of the held-out pictures, figures from the second; written to `file` and read back."""
    rgb, labels, azimuth = as_rgb(made.pixels), torch.from_numpy(made.labels), torch.from_numpy(made.azimuth_deg)
    changed = augmented(rgb, torch.Generator().manual_seed(1))
    half = len(rgb) // 2
    heat = temperatures(network, torch.cat([rgb[:half], changed[:half]]), labels[:half].repeat(2, 1))
    facts = {**facts, "temperature": heat, "fronted": []}
    facts["fronted"] = fronted_nouns(Judge(network, facts), rgb[:half], labels[:half])
    save_judge(network, facts, file)
    judge = load_judge(file=file)
    facts["clean"] = measured(judge, rgb[half:], labels[half:], azimuth[half:])
    facts["changed"] = measured(judge, changed[half:], labels[half:], azimuth[half:])
    save_judge(network, facts, file)
    return load_judge(file=file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the judge.")
    parser.add_argument("--minutes", type=float, default=35.0, help="processor time of the training, without the rendering")
    parser.add_argument("--pictures", type=int, default=49_152, help="pictures to render")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--held-out", type=int, default=6_000, help="pictures to calibrate and to measure on, half of them each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=RATE, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="weights of a judge to go on from, with a fresh optimiser")
    parser.add_argument("--work", type=Path, default=Path("build/judge"), help="folder of the rendered pictures")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    asked = parser.parse_args()
    before = load_judge(file=asked.start) if asked.start else None
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from backend.priors.resolve import resolve_prior

    with Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[line]}")) as bars:
        rendering, training = (bars.add_task(name, total=1.0, line="") for name in ("rendering", "training"))

        def rendered(done: int, total: int) -> None:
            bars.update(rendering, completed=done / total, line=f"{done} pictures")

        said = -1

        def trained(share: float, line: str) -> None:
            nonlocal said
            bars.update(training, completed=share, line=line)
            if not bars.console.is_terminal and int(50 * share) > said:
                said = int(50 * share)
                bars.console.print(f"training {100 * share:.0f} % {line}", highlight=False)

        held_out = kept_pictures(asked.work, HELD_OUT_SEED, asked.held_out, SIZE_PX, report=rendered)
        made = kept_pictures(asked.work, TRAINING_SEED, asked.pictures, SIZE_PX, resolve_prior("starter"), rendered)
        box = Box(asked.minutes)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, box.stop)
        network, shown = train(made, box, asked.batch, asked.seed, trained, before.network if before else None, asked.rate)
    facts: dict[str, Any] = {
        "labels": {head: list(LABELS[head]) for head in HEADS},
        "size_px": SIZE_PX,
        "widths": list(WIDTHS),
        "embedding": EMBEDDING,
        "training": {
            "first_seed": TRAINING_SEED, "pictures": asked.pictures, "shown": shown, "minutes": asked.minutes, "seed": asked.seed,
            "batch": asked.batch, "rate": asked.rate, "first_held_out_seed": HELD_OUT_SEED,
            **({"before": before.facts["training"]} if before else {}),
        },
    }  # fmt: skip
    judge = finish(network, facts, held_out, asked.out)
    print(json.dumps({name: judge.facts[name] for name in ("training", "temperature", "fronted", "clean", "changed")}, indent=1))


if __name__ == "__main__":
    main()
