"""Milliseconds of every part of an optimisation step, at three sizes, as a Markdown table.

    python -m benchmarks.step                        the shipped prior on this machine's device
    python -m benchmarks.step --steps 50 --write     also puts the table into docs/benchmarks.md

Sizes are grid cells a side; the picture is the prior's own. Ratios within one run are what counts: see docs/benchmarks.md.
"""

import argparse
import platform
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from backend.distill import methods
from backend.distill.contract import MethodState, Pose, latent_loss
from backend.distill.prompts import PromptBank, view_words_for
from backend.distill.read_parameters import parse_parameters
from backend.experiments.page import put
from backend.priors.counting import CountingPrior
from backend.priors.resolve import resolve_prior
from backend.refine.device import choose_device
from backend.refine.optimiser import UniformAdam
from backend.refine.prepare import prepare
from backend.refine.read_inputs import read_inputs
from backend.refine.studio import Studio
from backend.refine.viewpoints import draw_viewpoints
from backend.render.rasterizer import choose_rasterizer
from protocol.job import RefineJob, Shading, Stage

SKETCH = Path(__file__).parent.parent / "examples" / "sketches" / "flower.glb"
TABLE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PARTS = ("extraction", "render", "encoder", "denoiser", "backward", "regularisers", "optimiser")


class Stopwatch:
    """Adds up milliseconds by name; waits for the device at both ends of each part, as the run itself never does."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.total: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._wait()
        began = time.perf_counter()
        yield
        self._wait()
        self.total[name] += 1000 * (time.perf_counter() - began)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def measure(grid: int, steps: int, device: torch.device, prior: CountingPrior) -> dict[str, float]:
    """Mean milliseconds by part of a joint step (geometry and colour, SDS, 4 views) on the flower sketch."""
    job = RefineJob(prompt="a red flower", sketch=str(SKETCH), grid=grid, device=str(device))
    subject = prepare(job, read_inputs(job), device)
    studio = Studio(choose_rasterizer("auto", device), prior.card, prior.image_size_px, device)
    stage = Stage(name="benchmark", optimise="both", views=4, shading=Shading(albedo=0.25, clay=0.0))
    sds = methods.method("sds")
    parameters = parse_parameters("sds", {}, prior.card)
    texts = PromptBank(prior, job.prompt, ("target", "null"))
    colour = torch.optim.Adam(subject.field.parameter_groups(), eps=1e-15)
    shape = [UniformAdam(leaf) for leaf in subject.surface.parameters().values()]
    watch = Stopwatch(device)
    for step in range(steps + 3):
        if step == 3:
            watch.total.clear()
        views = draw_viewpoints(prior.card.camera, prior.card.light, prior.card.background, stage, 0, step)
        with watch.part("extraction"):
            mesh = subject.surface.extract()
            leaf = mesh.vertices.detach().requires_grad_()
        with watch.part("render"):
            cameras = studio.cameras(subject, views)
            raster = studio.raster(mesh._replace(vertices=leaf), cameras, 1)
            picture = studio.picture(subject, views, cameras, raster, 1, learn_colour=True)
        with watch.part("encoder"):
            latents = prior.encode(picture)
        with watch.part("denoiser"):
            words = view_words_for(prior.card, views.azimuth_deg.tolist(), views.elevation_deg.tolist())
            noise = torch.randn_like(latents)
            t = torch.randint(20, 500, (stage.views,))
            found = sds.gradient(
                prior, latents.detach(), t, {"noise": noise}, texts.conditions(words), Pose(), parameters, MethodState()
            )
        with watch.part("backward"):
            latent_loss(latents, found.gradient, sds.reduction).backward()
            mesh.vertices.backward(leaf.grad, retain_graph=True)
        with watch.part("regularisers"):
            terms = subject.surface.regularisers(mesh)
            torch.autograd.grad(terms["laplacian"] + terms["normal"], mesh.vertices, retain_graph=True)
            torch.autograd.grad(terms["sign"], subject.surface.parameters()["sdf"])
        with watch.part("optimiser"):
            colour.step()
            for one in shape:
                one.step(1e-4)
            subject.surface.constrain()
        colour.zero_grad(set_to_none=True)
        for tensor in subject.surface.parameters().values():
            tensor.grad = None
    return {name: watch.total[name] / steps for name in PARTS}


def table(results: dict[int, dict[str, float]]) -> str:
    """Rows by part, columns by grid size; the last row is what is not the diffusion model, in percent."""
    sizes = list(results)
    lines = ["| milliseconds | " + " | ".join(f"n = {n}" for n in sizes) + " |", "|---|" + "---|" * len(sizes)]
    lines += [f"| {part} | " + " | ".join(f"{results[n][part]:.1f}" for n in sizes) + " |" for part in PARTS]
    whole = {n: sum(results[n].values()) for n in sizes}
    lines.append("| **step** | " + " | ".join(f"**{whole[n]:.1f}**" for n in sizes) + " |")
    other = {n: 100 * (1 - (results[n]["encoder"] + results[n]["denoiser"]) / whole[n]) for n in sizes}
    lines.append("| not encoder or denoiser (forward) | " + " | ".join(f"{other[n]:.0f} %" for n in sizes) + " |")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="auto")
    options.add_argument("--prior", default="starter")
    options.add_argument("--sizes", type=int, nargs="+", default=[32, 48, 64])
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    given = options.parse_args()
    device = choose_device(given.device)
    prior = CountingPrior(resolve_prior(given.prior, device))
    results = {}
    for size in given.sizes:
        results[size] = measure(size, given.steps, device, prior)
        print(f"n = {size}: {sum(results[size].values()):.1f} ms a step", flush=True)
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()}, {torch.get_num_threads()} threads"
    text = f"{device.type} ({named}), torch {torch.__version__}, prior {given.prior}, 4 views of {prior.image_size_px} px\n\n"
    text += table(results)
    print(text)
    if given.write:
        put(text, TABLE, f"step {device.type}")


if __name__ == "__main__":
    main()
