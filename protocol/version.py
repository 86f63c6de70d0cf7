"""The protocol's own version, and the sizes nobody may pass. Package versions are another matter."""

VERSION = (1, 0)
"""(major, minor). A minor version only adds; another major is refused at `Hello`."""

DEFAULT_PORT = 5577

FRAME_BYTES = 4 * 2**20
"""Largest raw frame. Bigger arrays travel as chunks of this size."""

HEADER_BYTES = 4096
BODY_BYTES = 2**20
MESSAGE_FRAMES = 16
"""Kind, header, body and at most this many frames in all."""

UPLOAD_BYTES = 512 * 2**20
FACES = 2_000_000
PREVIEW_VERTICES = 25_000
PROMPT_CHARACTERS = 2_000

PING_S = 1.0
"""Silence after which a side sends something; three times as long means lost."""
