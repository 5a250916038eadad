"""Where work runs: in this process, or on all cores of this machine. Both are `ports.Engine`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import TypeVar

__all__ = ["ProcessEngine", "SerialEngine"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class SerialEngine:
    """One item after the other, in this process."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Yield (item, result) in order."""
        for item in items:
            yield item, function(item)


class ProcessEngine:
    """Worker processes on this machine; at most four items a worker are under way, so a long list needs no memory."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError("an engine needs a worker")
        self._workers = workers

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Yield (item, result) as each is done. ``function`` must be picklable."""
        queue = iter(items)
        # forkserver: forking a process that runs threads (BLAS, Polars) can deadlock; spawn would start too slowly.
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(self._workers, mp_context=context) as pool:
            running: dict[Future[Result], Item] = {}
            try:
                while True:
                    for item in islice(queue, 4 * self._workers - len(running)):
                        running[pool.submit(function, item)] = item
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield running.pop(future), future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
