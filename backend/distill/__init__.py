"""Score-distillation gradients, their schedules and prompts. Importing the package alone loads no torch; see `methods` and `parameters`."""
