"""Every text that a run's methods read, embedded once."""

from collections.abc import Sequence

from backend.distill import methods
from backend.distill.contract import Role
from backend.distill.debias import debiased_prompts
from backend.distill.prompts import PromptBank
from backend.distill.read_parameters import parse_parameters
from backend.priors.card import PriorCard
from backend.priors.contract import Prior
from backend.refine.image_jobs import prompts_of
from protocol.job import PICTURE_MODES, RefineJob, Stage

Texts = tuple[PromptBank, ...]
"""One bank for each prompt of a run."""


def roles_of(stages: Sequence[Stage], card: PriorCard) -> dict[Role, None]:
    """Every role that the stages' methods read, in a fixed order."""
    roles: dict[Role, None] = {}
    for stage in stages:
        roles |= dict.fromkeys(methods.method(stage.method).roles(parse_parameters(stage.method, stage.parameters, card)))
    return roles


def texts_of(job: RefineJob, prompt: str, stages: Sequence[Stage], prior: Prior) -> Texts:
    """For the present prompt and stages; the rest is the job's. Errors: as `prompts_of`."""
    roles: dict[Role, None] = {"target": None, "null": None} | roles_of(stages, prior.card)  # the warm start reads these two
    if job.mode in PICTURE_MODES:
        given = {"domain": job.domain, "source_prompt": job.source_prompt}
        return tuple(PromptBank(prior, text, roles, words=[], **given) for text in prompts_of(job, prompt))
    clay = any(stage.shading.clay > 0 for stage in stages)
    per_view = debiased_prompts(prompt, job.debias, prior.card.view_words) if job.debias else None
    return (PromptBank(prior, prompt, roles, clay=clay, domain=job.domain, source_prompt=job.source_prompt, per_view=per_view),)
