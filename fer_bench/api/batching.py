"""Faces of concurrent requests through the network together, in one thread that owns it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.inference.classifier import FaceClassifier

#: float64 `(B, C)`.
Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    classifier: FaceClassifier
    faces: Tensor
    answer: asyncio.Future[Rows]


class Batcher:
    """Collects jobs in the event loop and runs them, batch by batch, in its one thread.

    While a batch is at work the next one gathers. A batch that is not full waits up to `wait`
    seconds, but only while `n_pending` counts pictures that will soon bring more faces: a
    single request never waits.
    """

    def __init__(
        self,
        *,
        max_faces: int,
        wait: float,
        n_pending: Callable[[], int],
        on_batch: Callable[[int], None],
    ) -> None:
        self._max_faces = max_faces
        self._wait = wait
        self._n_pending = n_pending
        self._on_batch = on_batch
        self._jobs: deque[_Job] = deque()
        self._arrived = asyncio.Event()

    async def probabilities(self, classifier: FaceClassifier, faces: Tensor) -> Rows:
        """The probabilities of faces as `classifier.prepare` gives them, float64 `(B, C)`.

        Raises:
            RunFailed: as `FaceClassifier.probabilities`.
        """
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(classifier=classifier, faces=faces, answer=answer))
        self._arrived.set()
        return await answer

    async def run(self) -> None:
        """Works until it is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "network") as thread:
            while True:
                await self._gather()
                jobs = self._take()
                if not jobs:
                    continue
                batch = [job.faces for job in jobs]
                work = loop.run_in_executor(
                    thread, _classify, jobs[0].classifier, batch, self._max_faces
                )
                await asyncio.wait([work])
                self._on_batch(sum(map(len, batch)))
                _hand_out(work, jobs)

    async def _gather(self) -> None:
        """Returns when there is a batch worth running."""
        loop = asyncio.get_running_loop()
        while not self._jobs:
            self._arrived.clear()
            await self._arrived.wait()
        until = loop.time() + self._wait
        while sum(len(job.faces) for job in self._jobs) < self._max_faces and self._n_pending():
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _take(self) -> list[_Job]:
        """The oldest job, and those after it for the same model that fit; nobody's are dropped."""
        taken: list[_Job] = []
        left: deque[_Job] = deque()
        faces = 0
        for job in self._jobs:
            if job.answer.done():  # whoever asked has gone
                continue
            is_same = not taken or job.classifier is taken[0].classifier
            if is_same and (not taken or faces + len(job.faces) <= self._max_faces):
                taken.append(job)
                faces += len(job.faces)
            else:
                left.append(job)
        self._jobs = left
        return taken


def _classify(classifier: FaceClassifier, batch: Sequence[Tensor], max_faces: int) -> Rows:
    """All faces of a batch, in parts of a few sizes: for each size that they have not seen, some
    back ends plan anew and keep the plan."""
    faces = torch.cat(list(batch))
    parts = torch.split(faces, part_sizes(len(faces), max_faces))
    return np.concatenate([classifier.classify_prepared(part) for part in parts])


def part_sizes(n: int, most: int) -> list[int]:
    """`n` as a sum of powers of two, none above `most`: 13 as 8, 4, 1."""
    sizes = []
    while n:
        sizes.append(1 << min(n, most).bit_length() - 1)
        n -= sizes[-1]
    return sizes


def _hand_out(work: asyncio.Future[Rows], jobs: Sequence[_Job]) -> None:
    """Gives each job its rows, or all of them the error."""
    error = work.exception()
    start = 0
    for job in jobs:
        stop = start + len(job.faces)
        if job.answer.done():
            pass
        elif error is not None:
            job.answer.set_exception(error)
        else:
            job.answer.set_result(work.result()[start:stop])
        start = stop
