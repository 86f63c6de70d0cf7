# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's data in and out: the only code that reads and writes meshes, materials and objects."""
