"""The pool of training pictures: made by the zoo in several processes, kept as one memory-mapped file beside its captions.

Layout of the folder: `pictures.npy` [N, S, S, 3] uint8 display values, `captions.json` (N strings), `pool.json` (what it is).
Picture i comes from seed `first_seed + i` alone, so a pool can be remade anywhere from those few numbers.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

CHUNK = 256
VALIDATION_SEED = 0
TRAINING_SEED = 1_000_000


class PoolFacts(msgspec.Struct, frozen=True):
    """What a pool holds."""

    count: int
    size_px: int
    first_seed: int


@dataclass(frozen=True)
class Pool:
    """An opened pool; `pictures` is read from disk as it is used."""

    facts: PoolFacts
    pictures: np.ndarray  # [N, S, S, 3] uint8, memory-mapped
    captions: list[str]


def _make_chunk(folder: str, start: int, stop: int, first_seed: int, size_px: int) -> tuple[int, list[str]]:
    from backend.zoo.pictures import make_pictures  # here, so that only the workers load Warp

    made = make_pictures([first_seed + i for i in range(start, stop)], size_px)
    store = np.load(Path(folder) / "pictures.npy", mmap_mode="r+")
    store[start:stop] = np.stack([p.pixels for p in made])
    store.flush()
    return start, [p.caption for p in made]


def open_pool(folder: Path) -> Pool:
    """The pool in a folder.

    Raises:
        FileNotFoundError: there is none, or it was never finished.
    """
    facts = msgspec.json.decode((folder / "pool.json").read_bytes(), type=PoolFacts)
    captions = msgspec.json.decode((folder / "captions.json").read_bytes(), type=list[str])
    return Pool(facts, np.load(folder / "pictures.npy", mmap_mode="r"), captions)


def make_pool(
    folder: Path,
    count: int,
    first_seed: int,
    size_px: int = 64,
    *,
    processes: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Pool:
    """Make a pool, or open it if the folder already holds the same one.

    `report` is called with the pictures done so far and in all. An interrupted pool is made anew.
    """
    wanted = PoolFacts(count, size_px, first_seed)
    if (folder / "pool.json").exists():
        pool = open_pool(folder)
        if pool.facts == wanted:
            return pool
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pool.json").unlink(missing_ok=True)
    np.lib.format.open_memmap(folder / "pictures.npy", "w+", np.uint8, (count, size_px, size_px, 3)).flush()
    captions: list[str] = [""] * count
    starts = range(0, count, CHUNK)
    workers = min(processes or os.cpu_count() or 1, len(starts))
    done = 0
    if workers == 1:
        finished = (_make_chunk(str(folder), s, min(s + CHUNK, count), first_seed, size_px) for s in starts)
        for start, words in finished:
            captions[start : start + len(words)] = words
            done += len(words)
            report(done, count)
    else:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
            jobs = [executor.submit(_make_chunk, str(folder), s, min(s + CHUNK, count), first_seed, size_px) for s in starts]
            try:
                for job in as_completed(jobs):
                    start, words = job.result()
                    captions[start : start + len(words)] = words
                    done += len(words)
                    report(done, count)
            except BaseException:
                executor.shutdown(cancel_futures=True)
                raise
    (folder / "captions.json").write_bytes(msgspec.json.encode(captions))
    (folder / "pool.json").write_bytes(msgspec.json.encode(wanted))
    return open_pool(folder)
