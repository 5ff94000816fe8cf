"""The workers as their parent sees them: each with the batches that it was given."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field

from multimodal_gen.batch.processes.deaths import Deaths
from multimodal_gen.batch.processes.making import Task
from multimodal_gen.batch.processes.messages import send
from multimodal_gen.batch.processes.parcels import Parcel
from multimodal_gen.batch.processes.regions import Region, Span
from multimodal_gen.batch.processes.remote import RemoteBatch
from multimodal_gen.batch.processes.starting import Child

# The batch that a worker makes, and the next one: it need not wait for its parent in between.
_MOST_BATCHES = 2


@dataclass(eq=False)
class OpenBatch:
    """A batch that is not made yet.

    Args:
        batch: What its user waits for.
        parcel: What its worker must know.
        region: Where it is made.
        task: What is to be made.
        spans: Where the task lies in the region.
        cancelled: Whether nobody waits for it any more.
        deaths: The deaths of workers that were making it.
    """

    batch: RemoteBatch
    parcel: Parcel
    region: Region
    task: Task
    spans: list[Span]
    cancelled: bool = False
    deaths: Deaths = field(default_factory=Deaths)


@dataclass(eq=False)
class Hand:
    """A worker.

    Args:
        child: Its process.
        batches: What it was given, and makes in this order.
        ready: Whether it has said hello.
    """

    child: Child
    batches: deque[OpenBatch] = field(default_factory=deque)
    ready: bool = False
    # Numbers of the parcels and regions that it has.
    _parcels: set[int] = field(default_factory=set)
    _regions: set[int] = field(default_factory=set)

    @property
    def free(self) -> bool:
        """Whether it can be given another batch."""
        return self.ready and len(self.batches) < _MOST_BATCHES

    def give(self, one: OpenBatch) -> None:
        """Let it make a batch after those that it has."""
        self.batches.append(one)
        region, parcel = one.region, one.parcel
        if parcel.number not in self._parcels:
            self._parcels.add(parcel.number)
            self._send(("learn", parcel.number, parcel.spans), parcel.files)
        # The worker keeps the file of a region, so it is sent once.
        files = [] if region.number in self._regions else [region.file]
        self._regions.add(region.number)
        number = one.batch.number
        self._send(("make", number, region.number, parcel.number, region.size, one.spans), files)

    def skip(self, one: OpenBatch) -> None:
        """Let it leave a batch out, if it has not begun."""
        self._send(("skip", one.batch.number))

    def forget(self, parcel: Parcel) -> None:
        """Let it forget what it knows of an assembly, after the batches that it has."""
        if parcel.number in self._parcels:
            self._parcels.discard(parcel.number)
            self._send(("forget", parcel.number))

    def _send(self, message: tuple[object, ...], files: list[int] | None = None) -> None:
        # If it has died, whoever listens will see that, and give its batches to others.
        with contextlib.suppress(OSError):
            send(self.child.channel, message, files or ())
