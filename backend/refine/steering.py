"""What a steer command does to the stages of a run."""

import msgspec

from protocol.job import Stage, Steer, Timesteps

STEERED_STEPS = 150
STEERED_HIGH = 0.8


def steered(stages: list[Stage], stage_index: int, index: int) -> tuple[list[Stage], int]:
    """The stages after a new prompt came at step `index` of stage `stage_index`, and the stage to go on with.

    That stage is cut short there, and a stage of the first method at high noise comes before the rest: others cannot restructure. It works
    on colours, or on the haze where that is not settled yet.
    """
    first = next((stage for stage in stages if stage.method == "sds"), stages[0])
    rest = stages[stage_index:]
    left = rest[0].steps - index if rest[0].method == first.method else STEERED_STEPS
    again = msgspec.structs.replace(
        first,
        name="steered",
        optimise="volume" if rest[0].optimise == "volume" else "colour",
        steps=max(STEERED_STEPS, left),
        timesteps=Timesteps(kind=first.timesteps.kind, low=first.timesteps.low, high=(max(STEERED_HIGH, first.timesteps.high[0]), 0.5)),
    )
    after = rest[1:] if rest[0].method == first.method else rest
    before = stages[:stage_index] + ([msgspec.structs.replace(rest[0], steps=index)] if index else [])
    return [*before, again, *after], len(before)


def came_too_late(command: Steer) -> str:
    """A sentence for a command that no step was left for."""
    asked = "The new freedom of the shape" if command.prompt is None else f"The new prompt '{command.prompt}'"
    return f"{asked} came too late: the last step had been taken."
