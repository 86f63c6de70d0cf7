"""A folder of captioned, view-tagged pictures, and the model card that it makes. No torch: a server reads captions only.

Either metadata.jsonl, one line per picture, or a .txt with the caption beside every picture:

    {"file_name": "mug_01.png", "text": "a red mug", "view": "front view"}

`view` may be left out; a caption that says "side view" is tagged by that. Other keys are passed over.
"""

import io
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

from backend.errors import UserError
from backend.priors.card import BackgroundCard, PriorCard
from backend.priors.exemplar_words import content_words, views_in
from backend.views import VIEW_WORDS
from protocol.strict import nearest

EXEMPLAR = "exemplar:"  # what stands before the folder where a prior is named
METADATA_FILE = "metadata.jsonl"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
GREY = 0.5  # display value that stands behind transparent pictures
# What Pillow raises for files that are no pictures, cut off, or too large to be meant.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
_LAYOUT = "Give every picture a line in metadata.jsonl, or a .txt with its caption."


@dataclass(frozen=True)
class Exemplar:
    """One picture of the folder, not read yet."""

    path: Path
    caption: str
    view: str = ""  # one of backend.views.VIEW_WORDS, or "" for any


def read_exemplars(folder: str | Path, fewest: int = 2) -> list[Exemplar]:
    """What is in the folder, in the order of metadata.jsonl or of the file names; `fewest`: 2 for a prior, 1 to be judged.

    Errors: UserError in one sentence that names the file, for a folder that is not there, too few pictures, a picture
    that is missing, has no caption, an unknown view or is no PNG, JPEG or WebP, and for a line that is not understood.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise UserError(f"There is no folder of pictures '{folder}'.", "Give a folder that exists.")
    listing = folder / METADATA_FILE
    found = _listed(listing) if listing.exists() else _with_captions_beside(folder)
    if len(found) < fewest:
        count = "only one picture" if found else "no PNG, JPEG or WebP picture"
        if fewest == 1:
            raise UserError(f"The folder '{folder}' holds {count}.", "Add pictures with captions.")
        raise UserError(
            f"The folder '{folder}' holds {count}; a prior needs at least {fewest}.", "Add pictures; about twenty make a useful prior."
        )
    for exemplar in found:
        _check_kind(exemplar.path)
    return found


def read_pixels(exemplars: Sequence[Exemplar], size_px: int) -> np.ndarray:  # [N, 3, S, S] float32 display values
    """The pictures as squares, upright, in sRGB; transparent ones on grey, oblong ones padded in the mean colour of their border.

    Errors: UserError naming a picture that cannot be read.
    """
    pixels = np.empty((len(exemplars), 3, size_px, size_px), dtype=np.float32)
    for row, exemplar in enumerate(exemplars):
        try:
            with Image.open(exemplar.path) as image:
                pixels[row] = _square(image, size_px).transpose(2, 0, 1)
        except _UNREADABLE as error:
            raise _unreadable(exemplar.path) from error
    return pixels


def card_of(name: str, exemplars: Sequence[Exemplar], pixels: np.ndarray | None = None) -> PriorCard:
    """The card of the prior that these pictures are. Backgrounds follow the pictures where `pixels` are given."""
    captions = list(dict.fromkeys(exemplar.caption for exemplar in exemplars))
    return PriorCard(
        name=name,
        licence="that of its pictures",
        vocabulary=tuple(dict.fromkeys(word for caption in captions for word in content_words(caption))),
        example_prompts=tuple(captions[:8]),
        view_words=VIEW_WORDS if any(exemplar.view for exemplar in exemplars) else (),
        target_suffix="",
        source_descriptors="",
        negative="",
        domain_words=(),
        # The conditional score is exact, so nothing has to be exaggerated: g = 1 is the pictures that the prompt means.
        sds_guidance=1.0,
        texture_guidance=2.0,  # of which the warm start takes half
        guidance=1.0,
        sdi_guidance=1.0,
        sdi_inversion_guidance=0.0,  # 1 - g, which stands for where we are
        jsd_guidance=1.0,
        jsd_inversion_guidance=0.0,
        background=BackgroundCard() if pixels is None else _backgrounds(pixels),
        notes=(
            f"The exact posterior over {len(exemplars)} pictures. It knows these pictures and their mixtures, and nothing else. "
            "It has no words for flaws: Bridge does nothing unless the job gives a source prompt, or a domain, in words of the captions."
        ),
    )


def _listed(listing: Path) -> list[Exemplar]:
    try:
        lines = listing.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{listing}' could not be read as text.", "Save it as UTF-8.") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"Line {number} of '{listing}'"
        try:
            entry: Any = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where} is not valid JSON.", "Write one JSON object per line.") from error
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
            raise UserError(f"{where} names no picture.", 'Write {"file_name": ..., "text": ...}.')
        path = listing.parent / entry["file_name"]
        if not path.resolve().is_relative_to(listing.parent.resolve()):
            raise UserError(f"{where} names '{entry['file_name']}', which is outside of the folder.", "Move the picture into it.")
        if not path.is_file():
            raise UserError(f"{where} names '{entry['file_name']}', which is not there.", "Add the picture, or take the line out.")
        text, view = entry.get("text"), entry.get("view")
        caption = text.strip() if isinstance(text, str) else ""
        found.append(_exemplar(path, caption or _caption_beside(path), view, where))
    return found


def _with_captions_beside(folder: Path) -> list[Exemplar]:
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return [_exemplar(path, _caption_beside(path), None, f"'{path}'") for path in pictures]


def _exemplar(path: Path, caption: str, view: Any, where: str) -> Exemplar:
    if not caption:
        raise UserError(f"The picture '{path}' has no caption.", _LAYOUT)
    if view in (None, ""):
        said = views_in(caption)
        return Exemplar(path, caption, said[0] if len(said) == 1 else "")
    tag = " ".join(str(view).lower().split())
    tag = tag if tag in VIEW_WORDS else f"{tag} view"
    if tag not in VIEW_WORDS:
        raise UserError(f"{where} has the unknown view '{view}'.", nearest(str(view), list(VIEW_WORDS)))
    return Exemplar(path, caption, tag)


def _caption_beside(path: Path) -> str:
    beside = path.with_suffix(".txt")
    if not beside.is_file():
        return ""
    try:
        return " ".join(beside.read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The caption '{beside}' could not be read as text.", "Save it as UTF-8.") from error


def _check_kind(path: Path) -> None:
    """From the file's header alone."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")):
            pass
    except _UNREADABLE as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> UserError:
    return UserError(f"The picture '{path}' could not be read.", "Save it again as PNG, JPEG or WebP, or take it out of the folder.")


def _square(image: Image.Image, size_px: int) -> np.ndarray:
    """[S, S, 3] display values 0..1."""
    image.draft("RGB", (4 * size_px, 4 * size_px))  # JPEG decodes at a lower resolution where that is enough
    upright = _in_srgb(ImageOps.exif_transpose(image))
    scale = size_px / max(upright.size)
    width, height = (max(1, round(side * scale)) for side in upright.size)
    # Pillow's triangle filter widens when it shrinks, as the resize of renders does (`ExemplarPrior.encode`).
    small = np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32) / 255.0
    colour = small[..., :3] * small[..., 3:] + GREY * (1.0 - small[..., 3:])
    top, left = (size_px - height) // 2, (size_px - width) // 2
    whole = np.empty((size_px, size_px, 3), dtype=np.float32)
    whole[:] = _border(colour).mean(0)
    whole[top : top + height, left : left + width] = colour
    return whole


def _in_srgb(image: Image.Image) -> Image.Image:
    """RGBA with sRGB values: a colour profile in the file is converted, 16-bit greys are brought to 8."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, dtype=np.float64) / 65535.0 * 255.0).clip(0, 255).astype(np.uint8))
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        with suppress(OSError, ImageCms.PyCMSError):  # a damaged profile: the numbers are taken as they are
            given, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, given, srgb, outputMode=mode) or image
    return image.convert("RGBA")


def _border(picture: np.ndarray) -> np.ndarray:
    """The outermost pixels [n, 3] of a picture [H, W, 3]."""
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _backgrounds(pixels: np.ndarray) -> BackgroundCard:
    """Shares of white and grey backgrounds among the pictures: a render in front of another one would look like other pictures."""
    colours = np.stack([np.median(_border(picture.transpose(1, 2, 0)), axis=0) for picture in pixels])  # [N, 3]
    neutral = np.ptp(colours, axis=1) < 0.06
    is_white = neutral & (colours.min(1) > 0.94)
    is_grey = neutral & ~is_white
    greys = colours[is_grey].mean(1)
    ends = (float(greys.min()), float(greys.max())) if len(greys) else BackgroundCard().grey
    return BackgroundCard(white_share=float(is_white.mean()), grey_share=float(is_grey.mean()), grey=ends)
