"""What the judge says about the assets of a batch, kept beside each asset so that nothing is judged twice."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from backend.assets.atomic import write_bytes
from backend.errors import SketchBridgeError, UserError, first_line
from backend.evaluate.asset import judge_asset
from backend.evaluate.clip_similarity import ClipSimilarity, load_clip
from backend.evaluate.judge import WEIGHTS, Judge, load_judge
from backend.evaluate.metrics import gain
from backend.gallery.collect import Batch, Row, as_kind, read_json
from protocol.job import PICTURE_MODES

VIEWS = 24
JUDGED_FILE = "judged.json"
VERSION = 1

_SHARES = {
    "judge_noun_share": "noun_share",
    "judge_colour_share": "colour_share",
    "judge_pattern_share": "pattern_share",
    "judge_view_accuracy": "view_accuracy",
    "judge_false_fronts": "false_fronts",
}
_NUMBERS = (*_SHARES, "judge_iq_nats", "judge_iv_nats", "clip_similarity")


@dataclass
class Scorer:
    """Judges assets; loads the judge (and CLIP) when the first asset needs it. `only_kept`: reads earlier scores and judges nothing."""

    only_kept: bool = False
    clip_folder: Path | None = None
    weights: Path = WEIGHTS
    views: int = VIEWS
    judge: Judge | None = field(default=None, init=False)
    clip: ClipSimilarity | None = field(default=None, init=False)
    judged: int = field(default=0, init=False)
    """How many assets were judged anew."""

    def score(self, batch: Batch, row: Row) -> None:
        """Fills the row's columns of the group "judge", from `judged.json` where that is of this asset, judge and prompt.

        Errors: SketchBridgeError where the judge cannot be loaded or the asset cannot be read; the row is then as it was.
        """
        asset = batch.asset(row)
        if asset is None or row["mode"] in PICTURE_MODES:
            return
        key = self._key(asset, row["prompt"] or "", batch.front_deg.get(row["id"], 0.0))
        path = asset.with_name(JUDGED_FILE)
        kept = self._kept(path, key)
        if kept is None and self.only_kept:
            return
        if kept is None:
            kept = self._judge(asset, key)
            write_bytes(path, (json.dumps({"key": key, "scores": kept}, indent=1) + "\n").encode())
            self.judged += 1
        row.update({name: kept.get(name) for name in _NUMBERS})
        # Infinite where every view is certain and they differ, which JSON cannot say.
        row["judge_ig"] = gain(kept["judge_iq_nats"], kept["judge_iv_nats"])

    def _key(self, asset: Path, prompt: str, front_deg: float) -> dict[str, Any]:
        return {
            "version": VERSION,
            "asset_sha256": sha256(asset),
            "judge_sha256": _digest_once(str(self.weights)),
            "prompt": prompt,
            "front_deg": front_deg,
            "views": self.views,
            "clip": self._clip_digest(),
        }

    def _clip_digest(self) -> str:
        if self.clip_folder is None:
            return ""
        files = sorted(path for ending in ("*.safetensors", "*.bin") for path in self.clip_folder.glob(ending))
        if not files:
            raise UserError(f"There are no weights of a CLIP model in '{self.clip_folder}'.", "Give a folder with model.safetensors.")
        return "".join(_digest_once(str(path)) for path in files[:1])

    def _kept(self, path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
        """The scores in the file, if all they depend on is the same. Without a CLIP model asked for, those of any are kept."""
        data, _ = read_json(path) if path.is_file() else (None, "")
        old, scores = (data or {}).get("key"), (data or {}).get("scores")
        if not isinstance(old, dict) or not isinstance(scores, dict):
            return None
        if not key["clip"]:
            old = old | {"clip": ""}
        numbers = {name: as_kind(scores.get(name), "number") for name in _NUMBERS}
        known = numbers["judge_iq_nats"] is not None and numbers["judge_iv_nats"] is not None
        return numbers if old == key and known else None

    def _judge(self, asset: Path, key: dict[str, Any]) -> dict[str, Any]:
        if self.judge is None:
            self.judge = load_judge(file=self.weights)
        if self.clip is None and self.clip_folder is not None:
            self.clip = load_clip(self.clip_folder)
        try:
            verdict = judge_asset(self.judge, asset, key["prompt"], self.views, front_deg=key["front_deg"])
        except SketchBridgeError:
            raise
        except Exception as error:  # an asset of any kind may lie here, and one of them must not end the report
            raise UserError(f"{asset.name} cannot be judged: {first_line(error)}.") from error
        scores: dict[str, Any] = {name: getattr(verdict, source) for name, source in _SHARES.items()}
        scores |= {"judge_iq_nats": verdict.inception.iq, "judge_iv_nats": verdict.inception.iv}
        if self.clip is not None and key["prompt"]:
            lit = torch.from_numpy(verdict.pictures[: self.views]).permute(0, 3, 1, 2).float() / 255
            scores["clip_similarity"] = float(self.clip(lit, [key["prompt"]]).mean())
        return scores


def score_all(batch: Batch, scorer: Scorer, tell: Callable[[str], None], stop: Callable[[], bool]) -> None:
    """Scores every finished asset; `tell` is called with each job's name before it. What cannot be scored says so in its row.

    Once `stop` says yes the rest stays without scores, and a note says how many.
    """
    waiting = [row for row in batch.rows if batch.asset(row) is not None and row["mode"] not in PICTURE_MODES]
    for i, row in enumerate(waiting):
        if stop():
            batch.notes.append(f"The judging was stopped: {len(waiting) - i} assets have no scores yet.")
            return
        tell(str(row["id"]))
        try:
            scorer.score(batch, row)
        except SketchBridgeError as error:
            if scorer.judge is None or (scorer.clip is None and scorer.clip_folder is not None):
                batch.notes.append(f"The assets are not judged. {error}")
                return
            row["trouble"] = " ".join(filter(None, (row["trouble"], str(error))))


def sha256(path: Path) -> str:
    """Of a file's bytes; "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@cache
def _digest_once(path: str) -> str:
    return sha256(Path(path))
