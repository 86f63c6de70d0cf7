"""Contact sheets for a page: the whole sheet smaller, and its row of the coloured result as a strip of views."""

import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from backend.errors import UserError, first_line
from backend.refine.export import SHEET_PX

SHEET_WIDTH, QUALITY = 1320, 78
FRAMES, GAP_PX, TITLE_PX = 8, 4, 14
ROW_PX = SHEET_PX + TITLE_PX + 2 * GAP_PX
STILL_PX = 320


class Pictures(NamedTuple):
    """WebP files. `strip`: `frames` square views side by side; one frame, the whole sheet, where the sheet's layout is another."""

    strip: bytes
    frames: int
    sheet: bytes
    sheet_size: tuple[int, int]


def pictures_of(path: Path) -> Pictures:
    """The pictures for one job, from its sheet. Errors: UserError for a file that is no picture."""
    try:
        with Image.open(path) as opened:
            sheet = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise UserError(f"{path.name} cannot be shown: {first_line(error)}.") from error
    strip = result_strip(sheet)
    frames = FRAMES if strip else 1
    if strip is None:
        strip = sheet.copy()
        strip.thumbnail((2 * STILL_PX, STILL_PX))
    smaller = sheet.copy()
    smaller.thumbnail((SHEET_WIDTH, 4 * SHEET_WIDTH))
    return Pictures(_webp(strip), frames, _webp(smaller), smaller.size)


def result_strip(sheet: Image.Image) -> Image.Image | None:
    """The last row but one of a sheet of three or four rows of eight views (`refine.export.pictures`); None for another layout."""
    rows, rest = divmod(sheet.height, ROW_PX)
    if rest or rows not in (3, 4) or sheet.width != FRAMES * (SHEET_PX + GAP_PX) + GAP_PX:
        return None
    top = GAP_PX + (rows - 2) * ROW_PX + TITLE_PX
    strip = Image.new("RGB", (FRAMES * SHEET_PX, SHEET_PX))
    for frame in range(FRAMES):
        left = GAP_PX + frame * (SHEET_PX + GAP_PX)
        strip.paste(sheet.crop((left, top, left + SHEET_PX, top + SHEET_PX)), (frame * SHEET_PX, 0))
    return strip


def _webp(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()
