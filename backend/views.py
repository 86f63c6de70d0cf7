"""Angles to view words: the one function that captions (training) and prompts (refinement) share.

Angles: azimuth 0 is the front, the camera on the object's -Y side, growing counter-clockwise seen from above, so
that 90 puts the camera on +X; elevation 0 is level and +90 straight above. World is right-handed with +Z up.
Source: DreamFusion, section 3.2 (view-dependent prompting); the thresholds are the project's own.
"""

from __future__ import annotations

import math

FRONT = "front view"
SIDE = "side view"
BACK = "back view"
OVERHEAD = "overhead view"
VIEW_WORDS = (FRONT, SIDE, BACK, OVERHEAD)


def view_words(
    azimuth_deg: float,
    elevation_deg: float,
    *,
    front_within_deg: float = 45.0,
    overhead_above_deg: float = 60.0,
) -> str:
    """The view word of one camera.

    Front and back reach `front_within_deg` to either side, both ends included; everything between is a side view.
    Strictly above `overhead_above_deg` of elevation the azimuth no longer matters. Any azimuth is accepted, it is
    taken modulo 360.

    Raises:
        ValueError: an angle is not finite, or the elevation lies outside [-90, 90].

    Example:
        >>> view_words(30.0, 15.0), view_words(-90.0, 15.0), view_words(540.0, 0.0), view_words(0.0, 61.0)
        ('front view', 'side view', 'back view', 'overhead view')
    """
    if not (math.isfinite(azimuth_deg) and math.isfinite(elevation_deg)):
        raise ValueError(f"view angles must be finite, got azimuth {azimuth_deg} and elevation {elevation_deg}")
    if not -90.0 <= elevation_deg <= 90.0:
        raise ValueError(f"elevation must lie in [-90, 90] degrees, got {elevation_deg}")
    if elevation_deg > overhead_above_deg:
        return OVERHEAD
    from_front = abs((azimuth_deg + 180.0) % 360.0 - 180.0)
    if from_front <= front_within_deg:
        return FRONT
    if from_front >= 180.0 - front_within_deg:
        return BACK
    return SIDE
