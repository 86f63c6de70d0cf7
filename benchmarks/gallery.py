"""The pictures and the table of docs/refinement.md: every example sketch, prompt mode, and what each part of a run adds.

    python -m benchmarks.gallery --write             all of it (about half an hour on two cores)
    python -m benchmarks.gallery --only flower       one entry, into --out alone
"""

import argparse
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from backend.evaluate.asset import front_of, judge_asset
from backend.evaluate.judge import Judge, load_judge
from backend.experiments.page import put
from backend.refine.control import Control
from backend.refine.events import Note
from backend.refine.read_inputs import read_inputs
from backend.refine.report import write_report
from backend.refine.run import Result, refine
from backend.render.sheet import tile
from protocol.job import RefineJob

ROOT = Path(__file__).parent.parent
SKETCHES = ROOT / "examples" / "sketches"
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "refinement.md"


@dataclass
class Entry:
    """One run of the gallery: its name in the table, and its job."""

    name: str
    prompt: str
    sketch: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def job(self) -> RefineJob:
        source = {"sketch": str(SKETCHES / self.sketch)} if self.sketch else {"mode": "prompt"}
        return RefineJob(prompt=self.prompt, preview_every=0, **source, **self.settings)


SHEETS: dict[str, list[Entry]] = {
    "sketches": [
        Entry("flower", "a red flower", "flower.glb"),
        Entry("snowman", "a white snowman", "snowman.glb"),
        Entry("cactus", "a green cactus", "cactus.glb"),
        Entry("fish", "an orange fish", "fish.glb"),
        Entry("mushrooms", "a red mushroom", "mushrooms.glb"),
        Entry("chair", "a brown chair", "chair.glb"),
        Entry("mug", "a striped blue mug", "mug.glb"),
    ],
    "parts": [
        Entry("0 steps", "a red flower", "flower.glb", {"steps": 0}),
        Entry("colour only", "a red flower", "flower.glb", {"preset": "colour"}),
        Entry("default (SDS, shape, Bridge)", "a red flower", "flower.glb"),
        Entry("blue", "a blue flower", "flower.glb"),
    ],
    "prompt": [
        Entry("vase", "a green vase"),
        Entry("apple", "a red apple"),
        Entry("mug", "a blue mug"),
        Entry("chair", "a brown chair"),
    ],
}


def run(entry: Entry, out: Path) -> tuple[Result, Path]:
    """The entry's run, and the folder with its files and its report."""
    job = entry.job()

    def listen(event: object) -> None:
        if isinstance(event, Note):
            print(f"  {event.level}: {event.text}", flush=True)

    folder = out / entry.name.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    result = refine(job, read_inputs(job), out=folder, control=Control(), listen=listen)
    write_report(result, folder)
    return result, folder


@functools.cache
def _judge() -> Judge:
    return load_judge()


FIGURES = {
    "recall": "{recall:.3f}",
    "growth": "{growth:.3f}",
    "silhouette IoU": "{silhouette_iou:.3f}",
    "moved > h/2": "{moved_share:.3f}",
    "pieces (sketch)": "{pieces:d} ({sketch_pieces:d})",
    "severed": "{severed}",
    "roughness (sketch)": "{roughness:.3f} ({sketch_roughness:.3f})",
    "faces": "{faces}",
    "watertight": "{watertight}",
}
"""A column's cell, from a run's report."""

_SKETCH = ("recall", "growth", "silhouette IoU", "moved > h/2", "pieces (sketch)", "severed", "roughness (sketch)")
MEASURED = {"sketches": _SKETCH, "parts": _SKETCH, "prompt": ("faces", "watertight")}


def row(entry: Entry, folder: Path, measured: Sequence[str]) -> str:
    """The run's line of the table, from what it left in its folder; noun and colour by the judge over 24 views."""
    facts = json.loads((folder / "report.json").read_text())
    seen = judge_asset(_judge(), folder / "asset.glb", entry.prompt, front_deg=front_of(facts["job"]))
    colour = "" if seen.colour_share is None else f"{seen.colour_share:.2f}"
    figures = [FIGURES[name].format_map(facts) for name in measured]
    return _line(entry.name, entry.prompt, f"{seen.noun_share:.2f}", colour, *figures, f"{sum(facts['seconds'].values()):.0f}")


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _save(picture: Image.Image, name: str) -> None:
    """Into docs/pictures, in full colour: a palette turns a small yellow heart orange, or bands the clay."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture.convert("RGB").save(PICTURES / name, optimize=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("out/gallery"))
    options.add_argument("--only", help="entries whose name contains this")
    options.add_argument("--write", action="store_true", help="put pictures and table into docs/")
    given = options.parse_args()
    for sheet, entries in SHEETS.items():
        lines, rows = [], []
        for entry in entries:
            if given.only and given.only not in entry.name:
                continue
            print(f"{sheet}: {entry.name}", flush=True)
            result, folder = run(entry, given.out / sheet)
            assert result.exported is not None
            drawn = result.exported.pictures
            lines.append(row(entry, folder, MEASURED[sheet]))
            print("  " + lines[-1], flush=True)
            shown = {"parts": ("result",), "prompt": ("result", "result as clay")}.get(sheet, ("start", "result", "result as clay"))
            rows += [(f"{entry.name}: {title}", drawn[title]) for title in shown]
            if given.write and entry.name == "flower":
                demo = [(title, drawn[title][:5]) for title in ("sketch", "start", "result")]
                _save(Image.fromarray(tile(demo)), "demo.png")
        if not rows:
            continue
        picture = Image.fromarray(tile(rows))
        picture.save(given.out / f"{sheet}.png", optimize=True)
        if given.write and not given.only:
            _save(picture, f"{sheet}.png")
            columns = ("run", "prompt", "noun", "colour", *MEASURED[sheet], "seconds")
            put("\n".join([_line(*columns), "|---" * len(columns) + "|", *lines]), PAGE, sheet)


if __name__ == "__main__":
    main()
