"""Denoiser rows a second while other programs keep the processor busy, by how long waiting threads spin.

python -m benchmarks.beside          (about a minute; the other programs are its own)
"""

import os
import subprocess
import sys

ROWS = """
import sys, time
import backend
import torch
from backend.priors.resolve import resolve_prior
prior = resolve_prior("starter", torch.device("cpu"))
latents, levels = torch.zeros(8, *prior.latent_shape), torch.full((8,), 500)
condition = prior.embed([""]).expand(8)
prior.predict_noise(latents, levels, condition)
began, rows = time.perf_counter(), 0
while time.perf_counter() - began < 6.0:
    prior.predict_noise(latents, levels, condition)
    rows += 8
print(rows / (time.perf_counter() - began))
"""


def rows_per_second(settings: dict[str, str], busy: int) -> float:
    """Of the shipped prior with all cores under these settings of OpenMP, beside `busy` processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        environment = {**os.environ, **settings, "OMP_NUM_THREADS": str(os.cpu_count())}
        done = subprocess.run([sys.executable, "-c", ROWS], env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout)
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    print("| other busy programs | as shipped, rows/s | always asleep | spinning as OpenMP does by itself |\n|---|---|---|---|")
    for busy in (0, 1, 2):
        rows = [rows_per_second(given, busy) for given in ({}, {"OMP_WAIT_POLICY": "passive"}, {"OMP_WAIT_POLICY": ""})]
        print(f"| {busy} | {' | '.join(f'{speed:.0f}' for speed in rows)} |", flush=True)


if __name__ == "__main__":
    main()
