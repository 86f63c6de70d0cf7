"""The flower that the tutorial draws: pixels of a window of 1280 x 800, one list for each stroke of the hand."""

import math

Stroke = list[tuple[int, int]]

HEART = (460, 285)
FOOT = (460, 690)
PENCIL_PX = 24


def flower() -> list[Stroke]:
    """Five petals around a scribbled heart, a stem, two leaves."""
    petals = [loop(HEART, 90 + 72 * number, 36, 152, 58) for number in range(5)]
    stem = [
        (HEART[0] + round(10 * math.sin(3 * share / 17)), HEART[1] + 25 + share * (FOOT[1] - HEART[1] - 25) // 17) for share in range(18)
    ]
    leaves = [loop((456, 630), 150, 8, 155, 40), loop((464, 585), 32, 8, 145, 38)]
    return [*petals, scribble(HEART, 30), stem, *leaves]


def loop(start: tuple[int, int], turn_deg: float, near: float, far: float, half_width: float) -> Stroke:
    """Out from near `start` and back again, as a petal or a leaf is drawn. `turn_deg` counts from the right, anticlockwise."""
    cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    points = []
    for step in range(23):
        phase = 2 * math.pi * step / 22
        swell = (1 - math.cos(phase)) / 2
        along, across = near + (far - near) * swell, half_width * math.sin(phase) * (0.55 + 0.45 * swell)
        points.append((round(start[0] + cos * along - sin * across), round(start[1] - sin * along - cos * across)))
    return points


def scribble(middle: tuple[int, int], radius: float) -> Stroke:
    """Round and round, ever smaller."""
    turns = [(10 * step / 24, radius * (1 - 0.7 * step / 24)) for step in range(25)]
    return [(round(middle[0] + size * math.cos(turn)), round(middle[1] + size * math.sin(turn))) for turn, size in turns]
