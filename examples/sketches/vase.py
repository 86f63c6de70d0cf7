# SPDX-License-Identifier: GPL-3.0-or-later
"""The finished mesh of texture mode: a turned vase of quads with some n-gons and two UV maps."""

import math
from itertools import pairwise

import strokes

SIDES = 24
OUTSIDE = [
    (0.15, 0.0), (0.2, 0.04), (0.26, 0.14), (0.29, 0.26), (0.28, 0.38), (0.23, 0.5), (0.165, 0.61), (0.13, 0.7), (0.125, 0.78),
    (0.14, 0.86), (0.17, 0.93), (0.19, 0.97), (0.175, 1.0),
]  # fmt: skip
INSIDE = [
    (0.15, 0.98), (0.115, 0.88), (0.095, 0.78), (0.1, 0.69), (0.14, 0.58), (0.2, 0.47), (0.245, 0.37), (0.25, 0.26), (0.22, 0.15),
    (0.15, 0.07),
]  # fmt: skip
JOINED = {(3, 5), (3, 17), (5, 11), (7, 2), (7, 20), (14, 8)}  # (ring, column): this quad and the next ring's make one hexagon


def vase(name):
    """Columns run counter-clockwise seen from above, the first at the back: there is the seam.

    "UVMap" has a strip for the outside, one for the inside and two discs; "Quarters" has four strips and two discs.
    """
    profile = OUTSIDE + INSIDE  # (radius, height)
    rows, rim = len(profile) - 1, len(OUTSIDE) - 1
    along = [0.0]
    for (r0, z0), (r1, z1) in pairwise(profile):
        along.append(along[-1] + math.hypot(r1 - r0, z1 - z0))
    turns = [2.0 * math.pi * k / SIDES for k in range(SIDES)]
    vertices = [(-radius * math.sin(t), radius * math.cos(t), z) for radius, z in profile for t in turns]

    def strips(ring, column, inside):
        u = 0.02 + 0.96 * column / SIDES
        if inside:
            return u, 0.24 + 0.23 * (along[ring] - along[rim]) / (along[rows] - along[rim])
        return u, 0.50 + 0.48 * along[ring] / along[rim]

    def quarters(ring, column, which):
        return 0.02 + 0.25 * which + 0.21 * (4 * column / SIDES - which), 0.02 + 0.70 * along[ring] / along[rows]

    faces, first, second = [], [], []
    for ring in range(rows):
        for column in range(SIDES):
            if (ring - 1, column) in JOINED:
                continue
            above = [ring + 1, ring + 2] if (ring, column) in JOINED else [ring + 1]
            corners = [(ring, column), (ring, column + 1), *((r, column + 1) for r in above), *((r, column) for r in above[::-1])]
            faces.append([r * SIDES + c % SIDES for r, c in corners])
            first.append([strips(r, c, ring >= rim) for r, c in corners])
            second.append([quarters(r, c, 4 * column // SIDES) for r, c in corners])
    for ring, way, x in ((0, -1, 0.13), (rows, 1, 0.40)):  # two floors of 24 sides, one seen from below, one from above
        corners = list(range(SIDES))[::way]
        faces.append([ring * SIDES + k for k in corners])
        disc = [(0.1 * math.sin(-way * turns[k]), 0.1 * math.cos(turns[k])) for k in corners]
        first.append([(x + dx, 0.12 + dy) for dx, dy in disc])
        second.append([(x + dx, 0.86 + dy) for dx, dy in disc])

    obj = strokes.from_data(name, vertices, faces)
    for map_name, values in (("UVMap", first), ("Quarters", second)):
        layer = obj.data.uv_layers.new(name=map_name)
        layer.data.foreach_set("uv", [number for polygon in values for corner in polygon for number in corner])
    obj.data.uv_layers.active_index = 0
    return obj
