"""What an exported folder says about itself: the sizes of its networks, and how it was trained so far."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from backend.errors import UserError, first_line
from backend.priors.card import PriorCard, read_card
from backend.priors.resolve import STARTER
from backend.train.options import Sizes

RECORD_FILE = "training.json"


class Leg(msgspec.Struct, frozen=True):
    """One training of the denoiser from its first to its last step, however often it was interrupted."""

    samples: int  # pictures seen, with repetition
    minutes: float
    rate: float  # highest learning rate
    images: int  # pictures in the pool
    device: str
    pictures: str = ""  # the folder's name; empty: the zoo


class Release(msgspec.Struct, frozen=True):
    """Of an exported folder."""

    folder: Path
    name: str
    sizes: Sizes
    card: PriorCard
    history: tuple[Leg, ...] = ()  # the oldest first; empty where nothing is known
    autoencoder: str = ""  # how its autoencoder was made, in words


def read_release(name: str) -> Release:
    """Of "starter" or the path of an exported folder.

    A folder that was exported before there were histories tells its samples and minutes in its README.

    Raises:
        UserError: there is no such folder, or its training.json is damaged.
    """
    folder = STARTER if name == "starter" else Path(name).expanduser()
    if not (folder / "unet").is_dir():
        raise UserError(f"There is no exported prior in '{folder}'.", "Give a folder that train-prior has written, or 'starter'.")
    record = folder / RECORD_FILE
    try:
        said: dict[str, Any] = json.loads(record.read_bytes()) if record.exists() else {}
        sizes = msgspec.convert(said.get("sizes", {}), Sizes)
        history = msgspec.convert(said.get("history", ()), tuple[Leg, ...]) or _from_readme(folder / "README.md", said)
    except (OSError, ValueError, AttributeError, msgspec.ValidationError) as error:
        raise UserError(f"'{record}' could not be understood: {first_line(error)}.", "Export the prior again.") from error
    return Release(folder, folder.name, sizes, read_card(folder), history, said.get("autoencoder") or _autoencoder(folder.name, said))


def _from_readme(path: Path, said: dict[str, Any]) -> tuple[Leg, ...]:
    found = re.search(r"([\d,]+) samples in ([\d.]+) minutes", path.read_text()) if path.exists() else None
    if found is None:
        return ()
    samples, minutes = int(found[1].replace(",", "")), float(found[2])
    return (Leg(samples, minutes, said.get("rate") or 0.0, said.get("images") or 0, said.get("device", "cpu")),)


def _autoencoder(name: str, said: dict[str, Any]) -> str:
    if "vae_minutes" not in said:
        return f"kept from {name}"
    return f"kept from {name}: trained for {said['vae_minutes']:.0f} minutes on {said.get('images') or 0:,} pictures"
