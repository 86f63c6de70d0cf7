"""The prior that a name means: the shipped one, a folder, or a hub id."""

from pathlib import Path

import torch

from backend.errors import UserError
from backend.priors.contract import Prior

STARTER = Path(__file__).parent / "starter"


def resolve_prior(name: str, device: torch.device | str = "cpu", *, dtype: torch.dtype | None = None) -> Prior:
    """ "starter" is the model shipped with the project; anything else is a folder, or an id of the hub ("owner/name").

    Errors: as `DiffusersPrior.load`; UserError for an empty name and for "exemplar:FOLDER", which is not available yet.
    """
    if not name.strip():
        raise UserError("No prior was named.", "Give 'starter', a folder, or a hub id.")
    if name.startswith("exemplar:"):
        raise UserError("Priors made of reference images are not available yet.", "Use 'starter', a folder, or a hub id.")
    from backend.priors.diffusers_prior import DiffusersPrior  # seconds of imports, wanted only here

    return DiffusersPrior.load(STARTER if name == "starter" else name, device, dtype=dtype)
