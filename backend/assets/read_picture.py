"""Pictures from files: upright, without transparency, as display values."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from backend.errors import ResourceError, UserError

FORMATS = ("PNG", "JPEG")
SMALLEST_PX, MOST_PIXELS = 8, 64 * 2**20


def read_picture(path: Path | str) -> np.ndarray:
    """[H,W,3] uint8 display values, row 0 at the top: turned as its EXIF data say, transparent parts on white.

    Errors: UserError for a file that is not there, is no PNG or JPEG, is damaged, or has less than 8 or more than 64 million pixels;
    ResourceError where the system refuses to read it.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no picture '{path}'.", "Check its name.")
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_size(*image.size, f"The picture '{path}'")
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                clear = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", clear.size, (255, 255, 255, 255)), clear)
            return np.asarray(_eight_bits(upright).convert("RGB")).copy()
    except PermissionError as error:
        raise ResourceError(f"The picture '{path}' cannot be read: {error.strerror}.", "Check its permissions.") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        raise UserError(f"The file '{path}' is no picture that can be read.", "Give a PNG or JPEG file.") from None


def check_size(width: int, height: int, name: str) -> None:
    """UserError for less than 8 pixels a side or more than 64 million in all."""
    if min(width, height) < SMALLEST_PX or width * height > MOST_PIXELS:
        raise UserError(f"{name} has {width} x {height} px.", f"Give at least {SMALLEST_PX} px a side, and 64 million in all.")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow cuts deeper greys off instead of scaling them."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.float64)
    return Image.fromarray((values * (255 / 65535)).clip(0, 255).round().astype(np.uint8))
