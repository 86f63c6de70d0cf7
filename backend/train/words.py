"""The tokenizer: byte-level BPE in which every word of the captions is one token and no input is unknown.

Layout of `CLIPTokenizer`: lower case, end-of-word suffix `</w>`, `<|startoftext|>` and `<|endoftext|>`, padding with the latter.
Source: Sennrich et al. 2016 (BPE); the byte alphabet is GPT-2's.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from transformers import CLIPTokenizer

from backend import views
from backend.zoo.captions import CLAY, CORRUPTIONS, DOMAIN, LEAD_INS, QUALITY, VOCABULARY

TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json")
START, END = "<|startoftext|>", "<|endoftext|>"

_EXTRA = (
    "the of and on in is one two small big tall round wooden metallic toy object render model image picture drawing sketch cute "
    "unrealistic low out focus ugly contrast dull dark low-resolution gloomy best masterpiece realistic abstract background "
    "petal petals stem leaf leaves cap stalk trunk roof hat scarf handle seat white-spotted grey gray gold silver"
)
EXTRA_WORDS = tuple(_EXTRA.split())
"""Words of other prompts in use (negatives, parts): one token each, although the captions never teach most of them."""
PROMPT_WORDS = tuple(
    dict.fromkeys(" ".join((*views.VIEW_WORDS, *LEAD_INS, "an with", CLAY, DOMAIN, QUALITY.replace(",", ""), *CORRUPTIONS)).split())
)
"""Words that a run adds to any prompt, or puts around it."""
LEARNT_AT_MOST = 800  # words of a folder that become one token each; merging takes time with the square of their number

_LETTERS = re.compile(r"[^\W\d_]+")  # as CLIP's splitting isolates them: digits, hyphens and apostrophes are tokens of their own


def byte_alphabet() -> list[str]:
    """The 256 printable characters that stand for bytes, in byte order."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    symbols, spare = {b: chr(b) for b in kept}, 256
    for b in range(256):
        if b not in symbols:
            symbols[b], spare = chr(spare), spare + 1
    return [symbols[b] for b in range(256)]


def words_of(texts: Iterable[str]) -> list[str]:
    """The words of texts in lower case, the most frequent first, ties in their order.

    Example:
        >>> words_of(["A Low-poly mug, n\u00b0 3", "a mug"])
        ['a', 'mug', 'low', 'poly', 'n']
    """
    return [word for word, _ in Counter(word for text in texts for word in _LETTERS.findall(text.lower())).most_common()]


def learn_merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """BPE merges, most frequent pair first, until every given word is a single symbol. Ties go to the first in order."""
    pieces = {w: [*w[:-1], w[-1] + "</w>"] for w in words}
    merges: list[tuple[str, str]] = []
    while True:
        counts: dict[tuple[str, str], int] = {}
        for symbols in pieces.values():
            for pair in itertools.pairwise(symbols):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            return merges
        best = max(counts.items(), key=lambda item: (item[1], item[0]))[0]
        merges.append(best)
        for word, symbols in pieces.items():
            joined, i = [], 0
            while i < len(symbols):
                if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == best:
                    joined.append(symbols[i] + symbols[i + 1])
                    i += 2
                else:
                    joined.append(symbols[i])
                    i += 1
            pieces[word] = joined


def save_tokenizer(folder: Path, tokens: int, learnt: Iterable[str] = VOCABULARY) -> CLIPTokenizer:
    """Write `vocab.json`, `merges.txt`, `tokenizer.json` and its configuration; return the tokenizer loaded from them.

    `tokens` is the longest input in tokens, both ends included. The words of `learnt` become one token each, and with them those that
    prompts in use have; of long lists the first `LEARNT_AT_MOST`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    letters = byte_alphabet()
    chosen = list(dict.fromkeys(part for word in learnt for part in _LETTERS.findall(word.lower())))[:LEARNT_AT_MOST]
    always = (part for word in (*PROMPT_WORDS, *EXTRA_WORDS) for part in _LETTERS.findall(word.lower()))
    spelt = ("".join(letters[byte] for byte in word.encode()) for word in dict.fromkeys((*chosen, *always)))
    merges = learn_merges(tuple(spelt))
    symbols = [*letters, *(c + "</w>" for c in letters), *(a + b for a, b in merges)]
    vocabulary = {s: i for i, s in enumerate(dict.fromkeys([*symbols, START, END]))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    tokenizer = CLIPTokenizer(
        vocab=vocabulary, merges=merges, bos_token=START, eos_token=END, unk_token=END, pad_token=END, model_max_length=tokens
    )
    tokenizer.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)
