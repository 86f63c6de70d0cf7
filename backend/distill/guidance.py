"""Classifier-free guidance and batched predictions, under the name the methods use.

They live in `priors`, where the sampler needs them too. One call of 2B rows, null first; B rows when the guidance is 1.
"""

from backend.priors.guidance import guide, guided, predict_each

__all__ = ["guide", "guided", "predict_each"]
