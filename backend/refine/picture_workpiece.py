"""Pictures under work: one that a prompt describes, or the two of an illusion."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.assets.write import write_glb, write_png
from backend.errors import NumericalError
from backend.geometry.contract import Mesh
from backend.priors.counting import CountingPrior
from backend.refine.canvas import FourierCanvas, LatentCanvas, PictureCanvas, PixelCanvas, square
from backend.refine.events import Preview
from backend.refine.export import Exported, go_on_unless
from backend.refine.image_jobs import TURNS
from backend.refine.overlays import draw_turns, overlay
from backend.refine.picture_descent import PictureDescent
from backend.refine.picture_look import PictureLook
from backend.refine.plane import grid, quad
from backend.refine.texts import Texts
from protocol.job import Canvas, RefineJob, Stage, Steer

COLLAPSED = 1e-3
"""Standard deviation over all pixels (display values) or latents, below which a picture is a single colour."""
WHITE = 255


class PictureWorkpiece:
    """See `Workpiece`; modes image and illusion. `given` [H,W,3] uint8: the picture that mode image starts from, or None."""

    def __init__(self, job: RefineJob, given: np.ndarray | None, prior: CountingPrior) -> None:
        self.job, self.prior = job, prior
        self.notes: list[str] = []
        self.illusion = job.mode == "illusion"
        self.given = None if given is None else self._given(given)
        self.canvas = self._canvas(job.canvas or Canvas())
        self.given_latents: Tensor | None = None
        if self.given is not None:
            with torch.no_grad():
                self.given_latents = prior.encode(self.given).float()

    def begin(self, stages: Sequence[Stage]) -> None:
        pass

    def wants_start(self, stages: Sequence[Stage]) -> bool:
        return self.given is not None and isinstance(self.canvas, FourierCanvas)

    def start(self, texts: Texts, should_stop: Callable[[], bool]) -> None:
        """A network first becomes the given picture."""
        assert self.given is not None and isinstance(self.canvas, FourierCanvas)
        self.canvas.fit(self.given, should_stop)

    def stepper(self, stage: Stage, first_step: int) -> PictureDescent:
        sights = TURNS if self.illusion else 1
        return PictureDescent(self.canvas, self.prior, stage, self._look, sights=sights, seed=self.job.seed, first_step=first_step)

    @torch.no_grad()
    def check(self, stage: Stage, step: int) -> None:
        values = self.canvas.latents() if isinstance(self.canvas, LatentCanvas) else self.canvas.pictures()
        if float(values.std()) < COLLAPSED:
            raise NumericalError(
                f"The picture collapsed to a single colour at step {step} of stage '{stage.name}'.",
                "Lower the guidance or the colour rate.",
            )

    def steer(self, command: Steer) -> None:
        pass

    def preview(self, step: int) -> Preview:
        picture = self._together(self._pictures())
        return Preview(step, *grid(picture), picture=picture)

    def finish(self) -> None:
        pass

    def export(self, out: Path | None, should_stop: Callable[[], bool]) -> Exported:
        pictures = self._pictures()
        picture = self._together(pictures)
        vertices, faces, uv = quad(*picture.shape[:2])
        mesh = Mesh(torch.from_numpy(vertices), torch.from_numpy(faces))
        exported = Exported(vertices, faces, uv, picture, None, mesh, faces, vertices, True, pictures=pictures)
        if self.given is not None:
            exported.pictures = {"given": _bytes(self.given), **pictures}
        go_on_unless(should_stop)
        if out is not None:
            exported.files.append(write_glb(out / "asset.glb", vertices, faces, uv, picture))
            for name, several in pictures.items():
                singular = name.removesuffix("s")
                for k, one in enumerate(several):
                    exported.files.append(write_png(out / (f"{name}.png" if len(several) == 1 else f"{singular}_{k}.png"), one))
        return exported

    @torch.no_grad()
    def measure(self, exported: Exported) -> dict[str, Any]:
        facts: dict[str, Any] = {"picture_px": self.prior.image_size_px}
        if self.given is not None:
            change = (self.canvas.pictures() - self.given).square().mean().sqrt()
            facts["change"] = round(float(change), 4)
        return facts

    def state(self) -> dict[str, Any]:
        return {name: value.detach().clone() for name, value in self.canvas.state_dict().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.canvas.load_state_dict(state)

    def _given(self, given: np.ndarray) -> Tensor:
        height, width = given.shape[:2]
        if height != width:
            self.notes.append(f"The picture has {width} x {height} px; the square in its middle is used.")
        return square(torch.from_numpy(np.array(given)), self.prior.image_size_px).to(self.prior.device)

    def _canvas(self, canvas: Canvas) -> PictureCanvas:
        count = 2 if self.illusion else 1
        if canvas.kind == "latent":
            return LatentCanvas(self.prior, self.job.seed, self.given)
        if canvas.kind == "pixels":
            return PixelCanvas(self.prior, self.job.seed, count, self.given)
        return FourierCanvas(self.prior, self.job.seed, count, canvas.bandwidth)

    def _look(self, views: int, step: int) -> PictureLook:
        """A picture is looked at under `views` noises at once; an illusion at as many of its turns."""
        if self.illusion:
            turns = draw_turns(views, self.job.seed, step)
            picture = self._overlays(self.canvas.pictures(), turns)
            return PictureLook(self.prior.encode(picture), picture, turns, None)
        if isinstance(self.canvas, LatentCanvas):
            return PictureLook(self.canvas.latents().expand(views, -1, -1, -1), None, [0] * views, self.given_latents)
        picture = self.canvas.pictures()
        latents = self.prior.encode(picture).expand(views, -1, -1, -1)  # encoded once
        return PictureLook(latents, picture.expand(views, -1, -1, -1), [0] * views, self.given_latents)

    def _overlays(self, pictures: Tensor, turns: Sequence[int]) -> Tensor:
        """[len(turns),3,S,S]"""
        gain = (self.job.canvas or Canvas()).gain
        return torch.stack([overlay(pictures[0], pictures[1], turn, gain) for turn in turns])

    @torch.no_grad()
    def _pictures(self) -> dict[str, np.ndarray]:
        """By name, [n,S,S,3] uint8."""
        pictures = self.canvas.pictures()
        if not self.illusion:
            return {"picture": _bytes(pictures)}
        overlays = self._overlays(pictures, range(TURNS))
        return {"base": _bytes(pictures[:1]), "rotator": _bytes(pictures[1:]), "overlays": _bytes(overlays)}

    def _together(self, pictures: dict[str, np.ndarray]) -> np.ndarray:
        """One picture of all: that of mode image itself; the four overlays above base and rotator."""
        if not self.illusion:
            return pictures["picture"][0]
        nothing = np.full_like(pictures["base"][0], WHITE)
        above = np.concatenate(list(pictures["overlays"]), 1)
        below = np.concatenate([nothing, pictures["base"][0], pictures["rotator"][0], nothing], 1)
        return np.concatenate([above, below], 0)


def _bytes(pictures: Tensor) -> np.ndarray:
    """[n,3,S,S] display values -> [n,S,S,3] uint8."""
    return (pictures.detach().clamp(0.0, 1.0) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
