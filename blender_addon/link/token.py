# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's secret: who holds it owns the jobs."""

import secrets


def new_token() -> str:
    """64 random hexadecimal digits, made once per Blender process, so that two of them on one server stay apart."""
    return secrets.token_hex(32)
