"""A tutorial that cannot go stale: each step is done in a real Blender, photographed, and written down with its caption."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from rig import CHANGED, Rig


@dataclass
class Tutorial:
    """Collects steps of one walk through the window and writes `folder`/tutorial.md with its pictures."""

    rig: Rig
    folder: Path
    title: str
    introduction: str
    end: str = ""
    steps: list[tuple[str, Path]] = field(default_factory=list)
    taken: int = 0

    def step(self, caption: str, name: str, changed: float = CHANGED) -> None:
        """Takes and checks a picture of what was just done; it enters the page where there is a caption (Markdown)."""
        self.taken += 1
        picture = self.rig.screenshot(f"{self.taken:02d}-{name}", changed)
        if caption:
            self.steps.append((caption, picture))

    def write(self) -> Path:
        """Writes the page in place of an older one, pictures first; its path."""
        pictures = self.folder / "pictures" / "tutorial"
        shutil.rmtree(pictures, ignore_errors=True)
        pictures.mkdir(parents=True)
        parts = [f"# {self.title}", self.introduction]
        for number, (caption, picture) in enumerate(self.steps, start=1):
            mark = f"{number}. "
            indent = "\n" + " " * len(mark)
            name = f"{number:02d}-{picture.stem.partition('-')[2]}.png"
            shutil.copyfile(picture, pictures / name)
            picture_line = f"![{picture.stem.partition('-')[2].replace('-', ' ')}](pictures/tutorial/{name})"
            parts.append(mark + caption.replace("\n", indent) + "\n" + indent + picture_line)
        parts += [self.end] if self.end else []
        page = self.folder / "tutorial.md"
        page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        return page
