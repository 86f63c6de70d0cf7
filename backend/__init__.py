"""The engine: geometry, rendering, diffusion priors, distillation gradients and the run that joins them."""

import os

# Before torch is loaded: where its threads (GNU OpenMP, on Linux) wait for each other, they then sleep soon. By default they spin for
# long, and beside another busy program, such as Blender, a denoiser call takes several times as long (docs/benchmarks.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
