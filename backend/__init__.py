"""The engine: geometry, rendering, diffusion priors, distillation gradients and the run that joins them."""

import os

# Before torch is loaded: its threads then sleep where they wait for each other. By default they spin, and beside another busy program,
# such as Blender on the same machine, a denoiser call takes twenty times as long (docs/benchmarks.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
