"""Is this a job that can run? All that can be said without loading torch or weights; the run itself checks the rest."""

import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from backend.errors import UserError
from backend.priors.card import PriorCard, read_card
from backend.priors.exemplar_folder import EXEMPLAR, read_exemplars
from backend.priors.exemplar_folder import card_of as exemplar_card
from backend.priors.layout import check_folder
from backend.refine.image_jobs import fill_in
from backend.refine.presets import stages_of
from backend.serve.check_job import check_settings
from protocol.job import RefineJob

STARTER_FOLDER = Path(__file__).parent.parent / "priors" / "starter"
NEEDS_MESH = ("sketch", "texture")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_job(job: RefineJob) -> None:
    """Errors: UserError for no prompt, numbers that are none, an unknown prior, preset, method, parameter or device, a mode without its
    mesh, and stages that no run can follow."""
    job = fill_in(job)
    if not all(text.strip() for text in job.prompts or (job.prompt,)):
        raise UserError("The prompt is empty.", "Say in a few words what it is.")
    _check_values(msgspec.to_builtins(job), "")
    if not _DEVICE.fullmatch(job.device):
        raise UserError(f"'{job.device}' is not a device.", "Use auto, cpu, cuda, or for example cuda:1.")
    if job.mode in NEEDS_MESH and not job.sketch:
        raise UserError(f"Mode '{job.mode}' needs a mesh file.", "Name it with 'sketch', or use mode 'prompt'.")
    card = card_of(job.prior)
    if not job.stages:
        stages_of(job.preset, job.mode, card)
    check_settings(job, card)
    if job.stages or job.source_prompt or job.domain:  # rarely, since this loads torch
        from backend.refine.resolve import resolve

        resolve(job, card)


@lru_cache(maxsize=256)
def card_of(prior: str) -> PriorCard:
    """What the prior recommends, as far as that is known before it is loaded; folders by their whole path.

    Errors: UserError for a prior that is not there; as `check_folder`, `read_card` and `read_exemplars`.
    """
    if prior == "starter":
        return read_card(STARTER_FOLDER)
    folder = Path(prior.removeprefix(EXEMPLAR))
    if folder.is_absolute() and prior.startswith(EXEMPLAR):
        return exemplar_card(folder.name, read_exemplars(folder))
    if folder.is_absolute():
        check_folder(folder)
        return read_card(folder)
    if prior.count("/") == 1 and not prior.startswith((".", "/", "~", EXEMPLAR)):
        return PriorCard(name=prior)  # an id of the hub
    raise UserError(f"There is no prior '{prior}'.", "Use 'starter', a folder, a hub id such as owner/name, or exemplar:FOLDER.")


def _check_values(value: Any, where: str) -> None:
    """Not-a-number passes every range check, since no comparison with it holds; half a character passes as text and cannot be written."""
    if isinstance(value, str) and not _is_writable(value):
        raise UserError(f"The setting '{where}' holds a character that UTF-8 cannot write.", "Correct that setting.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"The setting '{where}' should be a finite number, but it is {value}.", "Correct that setting.")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_values(item, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for item in value:
            _check_values(item, where)


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
