"""The command `sketchbridge`. Thin: options become a `RefineJob`, events become a progress bar or JSON lines, errors one sentence."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from protocol.errors import NumericalError, ResourceError, SketchBridgeError, UserError

app = typer.Typer(
    name="sketchbridge",
    help="Turns rough 3D sketches into textured assets by score distillation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

EXIT_CODES = {UserError: 2, ResourceError: 3, NumericalError: 4}


def says_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Errors meant for a person become one sentence on stderr and an exit code: 2 input, 3 machine, 4 numbers, 1 anything else."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except SketchBridgeError as error:
            print(f"sketchbridge: {error}", file=sys.stderr)
            raise typer.Exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)) from None

    return run


# Commands import torch and friends only when they run, so that `--help` answers at once.
from backend.cli import doctor, refine, train_prior  # noqa: E402

app.command("refine")(says_errors(refine.refine_command))
app.command("train-prior")(says_errors(train_prior.train_prior_command))
app.command("doctor")(says_errors(doctor.doctor_command))

if __name__ == "__main__":
    app()
