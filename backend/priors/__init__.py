"""Diffusion models as `Prior`. Importing this package loads neither torch nor a model, and turns off the libraries' telemetry."""

import os

# Read by huggingface_hub when it is first imported; a value the user has set stays.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
