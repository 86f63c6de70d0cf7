"""The prior that a name means: the shipped one, a folder, a hub id, or a folder of pictures."""

from pathlib import Path

import torch

from backend.errors import UserError
from backend.priors.contract import Prior
from backend.priors.exemplar_folder import EXEMPLAR

STARTER = Path(__file__).parent / "starter"


def resolve_prior(name: str, device: torch.device | str = "cpu", *, dtype: torch.dtype | None = None) -> Prior:
    """ "starter" is the model shipped with the project, "exemplar:FOLDER" the prior that a folder of captioned pictures is; anything else
    is a model's folder, or an id of the hub ("owner/name"). `dtype`: of a model's networks.

    Errors: as `DiffusersPrior.load` and `ExemplarPrior.load`; UserError for an empty name.
    """
    if not name.removeprefix(EXEMPLAR).strip():
        raise UserError("No prior was named.", "Give 'starter', a folder, a hub id, or exemplar:FOLDER.")
    if name.startswith(EXEMPLAR):
        from backend.priors.exemplar import ExemplarPrior

        return ExemplarPrior.load(name.removeprefix(EXEMPLAR), device)
    from backend.priors.diffusers_prior import DiffusersPrior  # seconds of imports, wanted only here

    return DiffusersPrior.load(STARTER if name == "starter" else name, device, dtype=dtype)
