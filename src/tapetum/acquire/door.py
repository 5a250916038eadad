"""The door for senders that wait for an answer: what `Door.take` returns is written down for good.

In: one object at a time, from many threads.  Out: its `Arrival` as it ended.  Start reading at `Door`.
C-STORE and STOW-RS come through here; folders come through `acquire`, which needs no answer for each file. Both go the
same way: `Intake.take`, blobs down, catalogue.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from tapetum.acquire.ingest import refusal
from tapetum.acquire.intake import Intake
from tapetum.acquire.walk import Source
from tapetum.errors import TapetumError
from tapetum.model import Arrival
from tapetum.ports import Catalogue

__all__ = ["Door"]

MOST_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrival: Arrival
    answer: Future[Arrival]
    losses: int


class Door:
    """Takes objects in from any number of threads and commits together what arrives together.

    One thread at a time writes, for all: while it waits for the disk, the next objects gather, so that a hundred
    senders need no more syncs than one. It is a thread that waits for its own objects, because to wake another costs
    as much as to write; only for those who do not wait, the door has one. Use as a context manager, or `close` it.

    Parameters
    ----------
    on_stored : told of every arrival after it was written and answered, in the writing thread; must be quick. What it
        raises is logged, and the door goes on.
    """

    def __init__(
        self, intake: Intake, catalogue: Catalogue, *, on_stored: Callable[[Arrival], object] = lambda _: None
    ) -> None:
        self._intake, self._catalogue, self._on_stored = intake, catalogue, on_stored
        self._gathered: list[_Waiting] = []
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._closed = False
        self._losses = 0
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._writer = threading.Thread(target=self._write, name="door", daemon=True)
        self._writer.start()

    def take(self, source: Source) -> Arrival:
        """Take one object in and return when it, or its row in the quarantine, is durable.

        Raises
        ------
        TapetumError : this machine cannot write (disk full, database gone); nothing is acknowledged then.
        """
        answer = self.gather(source)
        self.settle()
        return answer.result()

    def submit(self, source: Source) -> Future[Arrival]:
        """Take one object in without waiting for the disk; the future ends as `take` does, when it is durable.

        For a sender who goes on to other things.

        Raises
        ------
        TapetumError : the door is closed, or the bytes of the object cannot be written.
        """
        answer = self.gather(source)
        self._calls.put(True)
        return answer

    def gather(self, source: Source) -> Future[Arrival]:
        """Take one object in as `submit` does, and leave it to a later `settle` to write it down.

        For a sender of many objects in one request, who waits for all of them at its end.

        Raises
        ------
        TapetumError : the door is closed, or the bytes of the object cannot be written.
        """
        # A flush that fails may have been about this object, too, whose turn comes after it.
        losses = self._losses
        try:
            arrival = self._intake.take(source, None)
        except Exception as error:  # noqa: BLE001 - refusal() raises what is not the object's own fault
            arrival = Arrival("rejected", rejected=self._intake.rejected(source, refusal(error)))
        answer: Future[Arrival] = Future()
        answer.add_done_callback(self._tell)  # a future logs what its callbacks raise: the writing thread goes on
        with self._lock:
            if self._closed:
                raise TapetumError("the door is closed", hint="send again when the server is up")
            self._gathered.append(_Waiting(arrival, answer, losses))
        return answer

    def settle(self) -> None:
        """Write down what was gathered, by whomever; whatever was gathered before has its answer when this returns."""
        with self._writing:
            left = len(self._gathered)
            while left > 0:
                with self._lock:
                    batch = self._gathered[:MOST_AT_ONCE]
                    del self._gathered[: len(batch)]
                left -= len(batch)
                self._commit(batch)

    def close(self) -> None:
        """Write what was taken and stop. Safe to call twice."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._calls.put(False)
        self._writer.join()
        self.settle()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        while self._calls.get():
            self.settle()

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            self._flush()
            kept = [waiting for waiting in batch if waiting.losses == self._losses]
            ended = self._catalogue.record([waiting.arrival for waiting in kept]) if kept else []
        except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it was
            for waiting in batch:
                waiting.answer.set_exception(_not_written(error))
            return
        for waiting in batch:
            if waiting.losses != self._losses:
                waiting.answer.set_exception(TapetumError("the disk may have lost this object", hint="send again"))
        for waiting, arrival in zip(kept, ended, strict=True):
            waiting.answer.set_result(arrival)

    def _flush(self) -> None:
        settled = False
        try:
            self._intake.settle()
            settled = True
        finally:
            self._losses += not settled

    def _tell(self, answer: Future[Arrival]) -> None:
        if answer.exception() is None:
            self._on_stored(answer.result())


def _not_written(error: Exception) -> TapetumError:
    if isinstance(error, TapetumError):
        return error
    told = TapetumError("the archive cannot write", hint="send again", error=type(error).__name__)
    told.__cause__ = error
    return told
