"""The pool of training pictures: made by the zoo in several processes, kept as one memory-mapped file beside its captions.

Layout of the folder: `pictures.npy` [N, S, S, 3] uint8 display values, `captions.json` (N strings), `pool.json` (what it is).
Picture i comes from seed `first_seed + i` alone, so a pool can be remade anywhere from those few numbers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

CHUNK = 256
VALIDATION_SEED = 0
TRAINING_SEED = 1_000_000

StopAsked = Callable[[], bool]


class PoolFacts(msgspec.Struct, frozen=True):
    """What a pool holds."""

    count: int
    size_px: int
    first_seed: int
    source: str = ""  # empty: the zoo; else what the pictures came from


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


def start_pool(folder: Path, facts: PoolFacts) -> np.ndarray:
    """An empty store [N, S, S, 3] uint8 on disk for a pool that becomes valid with `write_pool_facts`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pool.json").unlink(missing_ok=True)
    return np.lib.format.open_memmap(folder / "pictures.npy", "w+", np.uint8, (facts.count, facts.size_px, facts.size_px, 3))


def write_pool_facts(folder: Path, facts: PoolFacts, captions: list[str]) -> Pool:
    """The last of a pool to be written; the pool, opened."""
    (folder / "captions.json").write_bytes(msgspec.json.encode(captions))
    (folder / "pool.json").write_bytes(msgspec.json.encode(facts))
    return open_pool(folder)


def make_pool(
    folder: Path,
    count: int,
    first_seed: int,
    size_px: int = 64,
    *,
    processes: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
    stop: StopAsked = lambda: False,
) -> Pool | None:
    """Make a pool, or open it if the folder already holds the same one; None where `stop` became true first.

    `report` is called with the pictures done so far and in all. An interrupted pool is made anew. The same seeds make the same
    pool with any number of processes.
    """
    wanted = PoolFacts(count, size_px, first_seed)
    if (folder / "pool.json").exists():
        pool = open_pool(folder)
        if pool.facts == wanted:
            return pool
    start_pool(folder, wanted).flush()
    captions: list[str] = [""] * count
    done = 0

    def keep(start: int, words: list[str]) -> None:
        nonlocal done
        captions[start : start + len(words)] = words
        done += len(words)
        report(done, count)

    jobs = [(str(folder), start, min(start + CHUNK, count), first_seed, size_px) for start in range(0, count, CHUNK)]
    workers = min(processes or os.cpu_count() or 1, len(jobs))
    if workers == 1:
        for job in jobs:
            if stop():
                return None
            keep(*_make_chunk(*job))
    else:
        # Ctrl-C reaches the workers as well, where it would end a chunk half way: there it is passed over
        quiet_workers = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), **quiet_workers) as executor:
            waiting = [executor.submit(_make_chunk, *job) for job in jobs]
            try:
                for made in as_completed(waiting):
                    if stop():
                        executor.shutdown(cancel_futures=True)
                        return None
                    keep(*made.result())
            except BaseException:
                executor.shutdown(cancel_futures=True)
                raise
    return write_pool_facts(folder, wanted, captions)
