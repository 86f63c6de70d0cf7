"""The command `sketchbridge`. Thin: options become a `RefineJob`, events become a progress bar or JSON lines, errors one sentence."""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from protocol.errors import Cancelled, NumericalError, ResourceError, SketchBridgeError, UserError

app = typer.Typer(
    name="sketchbridge",
    help="Turns rough 3D sketches into textured assets by score distillation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

EXIT_CODES = {UserError: 2, ResourceError: 3, NumericalError: 4, Cancelled: 130}

# What the log of a run says, its notes say as well.
logging.getLogger("backend").addHandler(logging.NullHandler())


def says_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Errors meant for a person become one sentence on stderr and an exit code: 2 input, 3 machine, 4 numbers, 130 cancelled."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except SketchBridgeError as error:
            told: SketchBridgeError = error
        except OSError as error:
            where = f"'{error.filename}': " if error.filename else ""
            told = ResourceError(f"The system refused {where}{error.strerror or error}.")
        except Exception as error:
            # By name: torch's own class is not worth seconds of imports here.
            if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
                raise
            told = ResourceError("The machine ran out of memory.", "Use fewer views, a coarser grid or a smaller texture.")
        print(f"sketchbridge: {told}", file=sys.stderr)
        raise typer.Exit(next((code for kind, code in EXIT_CODES.items() if isinstance(told, kind)), 1))

    return run


# Commands import torch and friends only when they run, so that `--help` answers at once.
from backend.cli import batch, compare, doctor, evaluate, experiment, refine, report, serve, train_prior  # noqa: E402

app.command("refine")(says_errors(refine.refine_command))
app.command("compare")(says_errors(compare.compare_command))
app.command("batch")(says_errors(batch.batch_command))
app.command("evaluate")(says_errors(evaluate.evaluate_command))
app.command("experiment")(says_errors(experiment.experiment_command))
app.command("report")(says_errors(report.report_command))
app.command("serve")(says_errors(serve.serve_command))
app.command("train-prior")(says_errors(train_prior.train_prior_command))
app.command("doctor")(says_errors(doctor.doctor_command))

if __name__ == "__main__":
    app()
