"""The page of a batch: one HTML file that asks nothing of a network, with the table, the pictures and the assets inside."""

import base64
import json
import math
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from backend.assets.atomic import write_bytes
from backend.errors import ResourceError, SketchBridgeError
from backend.gallery.collect import NAME_BYTES, Batch, Row, as_text
from backend.gallery.columns import COLUMNS
from backend.gallery.pictures import pictures_of
from backend.gallery.small_glb import small_glb
from backend.gallery.viewer import LICENCE, library_text

PAGE_FILE, BESIDE_FOLDER = "index.html", "index_files"
SCRIPTS = ("rows.js", "views.js", "orbit.js", "detail.js", "page.js")
MOST_BYTES = 96 * 2**20
"""Of assets inside the page; browsers open larger pages, but slowly."""
LONGEST_ID = NAME_BYTES - 32
"""In bytes, of jobs whose assets go on the page: the names of files beside it are longer by the endings of temporary files."""


def write_page(batch: Batch, out: Path, tell: Callable[[str], None], most_bytes: int = MOST_BYTES) -> list[Path]:
    """`out/index.html`, and `out/index_files/` with an asset a file where all of them together would make the page too large.

    `tell` is called with each job's name before its pictures. What cannot be shown says so in its row's `trouble`.
    Errors: ResourceError where the disk refuses.
    """
    try:
        library = library_text()
    except ResourceError as error:
        library = ""
        batch.notes.append(f"The assets cannot be turned on this page. {error}")
    assets = _Assets(out, most_bytes)
    shown = []
    for row in batch.rows:
        tell(str(row["id"]))
        shown.append(_shown(batch, row, assets if library else None))
    beside = assets.finish(batch.notes)
    page = _page(batch, shown, assets.inside, library if any(entry["asset"] for entry in shown) else "")
    return [write_bytes(out / PAGE_FILE, page.encode()), *beside]


class _Assets:
    """Small assets by place in the table: inside the page as long as they fit, else all of them in files beside it.

    A page opened as a file may run scripts beside it but read no other files, so the files are scripts that hand over one asset each.
    """

    def __init__(self, out: Path, most_bytes: int) -> None:
        self.out, self.most_bytes = out, most_bytes
        self.inside: dict[str, str] | None = {}
        self.beside: list[Path] = []
        self._bytes = 0

    def add(self, job: str, glb: bytes) -> None:
        text = base64.b64encode(glb).decode()
        self._bytes += len(text)
        if self.inside is not None and self._bytes > self.most_bytes:
            for other, kept in self.inside.items():
                self._write(other, kept)
            self.inside = None
        if self.inside is None:
            self._write(job, text)
        else:
            self.inside[job] = text

    def finish(self, notes: list[str]) -> list[Path]:
        """The files written; older ones that belong to no asset are deleted."""
        folder = self.out / BESIDE_FOLDER
        for path in folder.glob("*.js") if folder.is_dir() else ():
            if path not in self.beside:
                path.unlink(missing_ok=True)
        if self.inside is None:
            notes.append(f"The assets, {self._bytes >> 20} MiB, lie in {BESIDE_FOLDER}/: move that folder together with this page.")
        elif folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        return self.beside

    def _write(self, job: str, text: str) -> None:
        script = f"receiveAsset({_script_json(job)}, {_script_json(text)});\n"
        self.beside.append(write_bytes(self.out / BESIDE_FOLDER / f"{job}.js", script.encode()))


def _shown(batch: Batch, row: Row, assets: _Assets | None) -> dict[str, Any]:
    """What the page shows of a job beside its row: `strip`, `frames`, `sheet` (data addresses), `asset` (whether it can be turned)."""
    entry: dict[str, Any] = {"strip": "", "frames": 0, "sheet": "", "size": [0, 0], "asset": False, "file": ""}
    troubles = [row["trouble"]] if row["trouble"] else []
    if (sheet := batch.sheet(row)) is not None:
        try:
            pictures = pictures_of(sheet)
            entry |= {"strip": _webp(pictures.strip), "frames": pictures.frames, "sheet": _webp(pictures.sheet)}
            entry["size"] = list(pictures.sheet_size)
        except SketchBridgeError as error:
            troubles.append(str(error))
    if (asset := batch.asset(row)) is not None:
        if row["id"] not in batch.folders:  # no address leads to a name that is no text
            entry["file"] = asset.relative_to(batch.out).as_posix()
        if len(os.fsencode(row["id"])) > LONGEST_ID:
            troubles.append("Its name is too long for the asset to be turned on the page.")
        elif assets is not None:
            try:
                glb = small_glb(asset)
            except SketchBridgeError as error:
                if str(error) not in troubles:
                    troubles.append(str(error))
            else:
                assets.add(str(row["id"]), glb)
                entry["asset"] = True
    row["trouble"] = as_text(" ".join(troubles)) or None
    return entry


def _page(batch: Batch, shown: list[dict[str, Any]], inside: dict[str, str] | None, library: str) -> str:
    def own(name: str) -> str:
        return (files("backend.gallery") / name).read_text(encoding="utf-8")

    data = {
        "columns": [
            {"name": c.name, "kind": c.kind, "group": c.group, "title": c.title, "about": c.about, "unit": c.unit, "better": c.better}
            for c in COLUMNS
        ],
        # By column in the order of `columns`: a name a cell would be half the page for thousands of jobs.
        "rows": [[_plain(row[column.name]) for column in COLUMNS] for row in batch.rows],
        "shown": [{key: value for key, value in entry.items() if key not in ("strip", "sheet")} for entry in shown],
        "beside": None if inside is not None else BESIDE_FOLDER,
        "licence": LICENCE if library else "",
    }
    return Template(own("page.html")).substitute(
        title=_html(batch.out.resolve().name or "batch"),
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        notes="".join(f"<li>{_html(note)}</li>" for note in batch.notes),
        style=own("page.css"),
        library=library,
        scripts="".join(own(name) for name in SCRIPTS),
        data=_script_json(data),
        payloads="\n".join(_payloads(shown, batch.rows, inside or {})),
    )


def _payloads(shown: list[dict[str, Any]], rows: list[Row], inside: dict[str, str]) -> Iterator[str]:
    """Pictures and assets as inert text, so that a browser decodes only what is looked at."""
    for place, (entry, row) in enumerate(zip(shown, rows, strict=True)):
        texts = {"strip": entry["strip"], "sheet": entry["sheet"], "asset": inside.get(str(row["id"]), "")}
        for kind, text in texts.items():
            if text:
                yield f'<script type="text/plain" id="{kind}-{place}">{text}</script>'


def _plain(value: Any) -> Any:
    """A cell as JSON can say it: infinity as a word."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _script_json(value: Any) -> str:
    """JSON that can stand inside a script element and inside a script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _html(text: str) -> str:
    text = as_text(text)
    for character, written in {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}.items():
        text = text.replace(character, written)
    return text


def _webp(data: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(data).decode()
