"""What a batch leaves to look at: one table and one page, made again from its folder at any time."""

from backend.gallery.report import Made, Told, make, not_made, write

__all__ = ["Made", "Told", "make", "not_made", "write"]
