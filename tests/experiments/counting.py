"""A trivial experiment, and a process that runs it: `python -m tests.experiments.counting FOLDER COUNT SECONDS [BAD]`."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

from backend.errors import NumericalError
from backend.experiments.contract import Cell, Context, Plan, Table
from backend.experiments.runner import plan_cells, run_cells
from backend.priors.card import PriorCard


class Counting:
    """Cell k gives k^2 after `wait_s`, and notes that it ran in `ran.txt`; the cell `bad` fails, and `foreign` in an unforeseen way."""

    name = "counting"
    title = "Counting"

    def __init__(self, count, wait_s=0.0, bad=-1, foreign=-1, factors=None):
        self.count, self.wait_s, self.bad, self.foreign, self.factors = count, wait_s, bad, foreign, factors or {}

    def cells(self, plan):
        return [Cell(f"cell {k}", {"k": k, "factor": self.factors.get(k, 1)}) for k in range(self.count)]

    def seconds(self, cell, context):
        return 10.0 * (cell.spec["k"] + 1)

    def run(self, cell, context):
        k = cell.spec["k"]
        with open(context.file("ran.txt"), "a") as file:
            file.write(f"{k}\n")
        time.sleep(self.wait_s)
        if k == self.bad:
            raise NumericalError("The number is bad.", "Choose another.")
        if k == self.foreign:
            raise ZeroDivisionError("division by zero\nmore")
        return {"square": k * k * cell.spec["factor"], "pair": (1, 2)}

    def tables(self, results):
        rows = [[result.cell.name, result.values.get("square"), result.failure] for result in results]
        return [Table("counting", self.title, ("cell", "square", "remark"), rows)]

    def figures(self, results, folder):
        return []


def context_in(folder: Path) -> Context:
    return Context(SimpleNamespace(card=PriorCard()), folder, Plan(PriorCard()))


def ran(folder: Path) -> list[int]:
    path = folder / "ran.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


if __name__ == "__main__":
    folder, count, wait_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    experiment, context = Counting(count, wait_s), context_in(folder)
    run_cells(experiment, context, plan_cells(experiment, context, ["weights"]))
