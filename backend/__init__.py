"""The engine: geometry, rendering, diffusion priors, distillation gradients and the run that joins them."""
