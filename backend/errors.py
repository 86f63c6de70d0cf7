"""The error tree, under the name the engine uses; it lives in `protocol` because errors cross the wire."""

from protocol.errors import Cancelled, NumericalError, ResourceError, SketchBridgeError, UserError, first_line

__all__ = ["Cancelled", "NumericalError", "ResourceError", "SketchBridgeError", "UserError", "first_line"]
