"""Which pictures a prompt means: the words it shares with their captions, and the view it asks for. No torch."""

import re
from collections.abc import Sequence

import numpy as np

from backend.views import VIEW_WORDS

# Words that say nothing about what is in a picture: articles, what joins words, and how people begin a prompt.
STOP_WORDS = frozenset(
    ("a", "an", "the", "some", "this", "that", "of", "on", "in", "at", "to", "by", "for", "from", "with", "without", "and", "or", "as")
    + ("is", "are", "it", "its", "photo", "photograph", "picture", "image", "render", "rendering", "drawing")
)
_WORD = re.compile(r"[\w'-]+")
_VIEW = re.compile(rf"\b({'|'.join(VIEW_WORDS)})\b")


def content_words(text: str) -> list[str]:
    """The words of a text that say what is to be seen, in lower case and each once; view words are not among them.

    Example:
        >>> content_words("A photo of a Red mug, with red dots, side view")
        ['red', 'mug', 'dots']
    """
    words = _WORD.findall(_VIEW.sub(" ", text.lower()))
    return [word for word in dict.fromkeys(words) if word not in STOP_WORDS]


def views_in(text: str) -> list[str]:
    """The view words of a text: some of "front view", "side view", "back view", "overhead view".

    Example:
        >>> views_in("a red mug, Side view")
        ['side view']
    """
    return list(dict.fromkeys(_VIEW.findall(text.lower())))


class CaptionIndex:
    """Captions and views of N pictures, made ready to be asked for. A view is "" for a picture that may stand for any."""

    def __init__(self, captions: Sequence[str], views: Sequence[str]) -> None:
        self.views = tuple(views)
        self.words: dict[str, np.ndarray] = {}  # word -> [N] 1 where the caption has it
        for row, caption in enumerate(captions):
            for word in content_words(caption):
                self.words.setdefault(word, np.zeros(len(self.views)))[row] = 1.0

    def shared(self, prompt: str) -> np.ndarray:
        """[N] how many of the prompt's words each caption has."""
        found = np.zeros(len(self.views))
        for word in content_words(prompt):
            found += self.words.get(word, 0.0)
        return found

    def from_elsewhere(self, prompt: str) -> np.ndarray:
        """[N] 1 for pictures that are tagged with another view than the prompt asks for, else 0."""
        asked = views_in(prompt)
        return np.array([float(bool(asked and view) and view not in asked) for view in self.views])

    def unknown(self, prompt: str) -> list[str]:
        """Words of the prompt that no caption has."""
        return [word for word in content_words(prompt) if word not in self.words]
