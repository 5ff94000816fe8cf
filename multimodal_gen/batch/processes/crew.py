"""Deals batches to worker processes, listens to them, and replaces those that die or hang."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from collections import deque
from dataclasses import replace

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.batch_rows import TableRows
from multimodal_gen.batch.processes.hands import Hand, OpenBatch
from multimodal_gen.batch.processes.making import Task, noted_step
from multimodal_gen.batch.processes.messages import readable, receive
from multimodal_gen.batch.processes.parcels import Parcel, Parcels, what_cannot_be_sent
from multimodal_gen.batch.processes.regions import Regions, packed
from multimodal_gen.batch.processes.remote import BrokenPoolError, RemoteBatch
from multimodal_gen.batch.processes.starting import Starter
from multimodal_gen.batch.remembering import remembered
from multimodal_gen.batch.time_limits import too_long
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders import stages
from multimodal_gen.rows.plan import Plan

# So many workers in a row may end before they are ready; then none can be started here.
_FAILED_STARTS = 3
_SECONDS_BETWEEN_LOOKS = 0.25


class Crew:
    """Workers with their batches, and the thread that listens to them.

    It is apart from `ProcessPool` because its thread holds it: a pool that nobody refers to can be
    closed.

    Args:
        processes: Number of workers.
        forks: Whether a nursery forks them.
    """

    def __init__(self, processes: int, forks: bool) -> None:
        self.hands: list[Hand] = []
        self._count, self._process = processes, os.getpid()
        # Reentrant, because a garbage collection in a thread that holds it may call `close`.
        self._lock = threading.RLock()
        self._starter, self._regions, self._parcels = Starter(forks), Regions(), Parcels()
        self._numbers = itertools.count(1)
        self._open: dict[int, OpenBatch] = {}
        self._waiting: deque[OpenBatch] = deque()
        self._slim: tuple[Plan, Plan] | None = None
        self._failed_starts = 0
        self._broken: str | None = None
        self._closed = threading.Event()
        # Closing one end wakes the thread that listens to the other.
        self._wake, self._woken = socket.socketpair()
        self._thread: threading.Thread | None = None

    def start(
        self, assembly: Assembly, plan: Plan, epoch: int, index: int, length: int | None
    ) -> RemoteBatch | None:
        """See `ProcessPool.start`."""
        # A forked child has neither the thread nor the workers.
        if self._closed.is_set() or os.getpid() != self._process:
            return None
        with self._lock:
            self._begin()
            parcel = self._parcel_of(assembly)
            if not any(hand.ready for hand in self.hands):
                return None
        bucketed = assembly.buckets is not None and plan.world_size > 1
        rows = TableRows(assembly.table, plan, epoch, index, assembly.failures.excluded)
        # Captions and labels that were read before are in memory that workers see too.
        known = remembered(assembly, rows.positions, parcel.memory_of)
        given = rows.given(assembly.columns_without(known), bucketed)
        slim = self._without_rows(plan)
        task = Task(slim, epoch, index, length, given, stages.timed())
        parts = packed(task)
        size = sum(part.nbytes + 64 for part in parts) + assembly.batch_bytes(len(rows.positions))
        with self._lock:
            region, number = self._regions.take(size), next(self._numbers)
            batch = RemoteBatch(number, self.cancel, assembly, plan, task, region.header)
            one = OpenBatch(batch, parcel, region, task, region.write(parts))
            self._open[number] = one
            self._waiting.append(one)
            self._deal()
        return batch

    def wait(self, timeout: float) -> bool:
        """See `ProcessPool.wait`."""
        with self._lock:
            self._begin()
        end = time.monotonic() + timeout
        while not (ready := self.hands and all(hand.ready for hand in self.hands)):
            if time.monotonic() > end or self._broken is not None:
                break
            time.sleep(0.01)
        return bool(ready)

    def cancel(self, number: int) -> None:
        """Do not make a batch, unless it is being made."""
        with self._lock:
            one = self._open.get(number)
            if one is None or one.cancelled:
                return
            one.cancelled = True
            if one in self._waiting:
                self._waiting.remove(one)
                self._end(one)
            for hand in self.hands:
                if one in hand.batches:
                    hand.skip(one)

    def forget(self, assembly: Assembly) -> None:
        """Let the workers forget an assembly."""
        with self._lock:
            parcel = self._parcels.pop(assembly)
            if parcel is not None:
                self._let_go([parcel])

    def close(self) -> None:
        """End the workers, and wait for them."""
        if os.getpid() != self._process or self._closed.is_set():
            return
        self._closed.set()
        with self._lock:
            hands, self.hands = self.hands, []
            for hand in hands:
                hand.child.channel.close()
            for one in list(self._open.values()):
                self._end(one, BrokenPoolError("the worker processes were closed"))
            self._waiting.clear()
            self._starter.close([hand.child for hand in hands])
            self._regions.clear()
            self._parcels = Parcels()
        self._wake.close()
        if self._thread is None:
            self._woken.close()
        elif self._thread is not threading.current_thread():
            self._thread.join(1.0)

    # What workers are given

    def _begin(self) -> None:
        if self._broken is not None:
            raise BrokenPoolError(self._broken)
        if self._thread is not None:
            return
        try:
            for _ in range(self._count):
                self.hands.append(Hand(self._starter.start()))
        except OSError as error:
            # Those that were started see that their channel is closed, and end.
            while self.hands:
                self.hands.pop().child.channel.close()
            self._broken = f"the system cannot start them: {error}"
            raise BrokenPoolError(self._broken) from error
        self._thread = threading.Thread(
            target=self._listen, name="multimodal_gen processes", daemon=True
        )
        self._thread.start()

    def _parcel_of(self, assembly: Assembly) -> Parcel:
        try:
            return self._parcels.of(assembly)
        except Exception as error:
            raise BrokenPoolError(what_cannot_be_sent(assembly, error)) from error

    def _without_rows(self, plan: Plan) -> Plan:
        # The parent works out which rows a batch has, so workers need not know all of them.
        slim = self._slim
        if slim is None or slim[0] is not plan:
            self._slim = slim = plan, replace(plan, weights=None, buckets=None)
        return slim[1]

    def _let_go(self, parcels: list[Parcel]) -> None:
        for parcel in parcels:
            for hand in self.hands:
                hand.forget(parcel)

    def _deal(self) -> None:
        while self._waiting:
            free = [hand for hand in self.hands if hand.free]
            if not free:
                return
            min(free, key=lambda hand: len(hand.batches)).give(self._waiting.popleft())

    # What workers say

    def _listen(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                hands = {hand.child.channel: hand for hand in self.hands}
                control = self._starter.control
            others = [self._woken] if control is None else [self._woken, control]
            ready = readable([*hands, *others], _SECONDS_BETWEEN_LOOKS)
            with self._lock:
                if control is not None and control in ready and not self._closed.is_set():
                    with contextlib.suppress(EOFError):
                        self._starter.read()
                for channel in ready:
                    hand = hands.get(channel)
                    if hand is not None and hand in self.hands:
                        self._hear(hand)
                self._let_go(self._parcels.pop_gone())
                self._stop_hanging_reads()
                self._deal()
        self._woken.close()

    def _hear(self, hand: Hand) -> None:
        try:
            (what, *rest), _ = receive(hand.child.channel)
        except EOFError:
            self._replace(hand)
            return
        if what == "hello":
            hand.ready, self._failed_starts = True, 0
            return
        number, *rest = rest
        one = self._open[number]
        hand.batches.remove(one)
        if what == "made" and not one.cancelled:
            size, spans = rest
            one.region.grow(size)
            del self._open[number]
            one.batch.future.set_result(self._regions.deliver(one.region, spans))
        elif what == "refused" and not one.cancelled:
            self._end(one, BrokenPoolError(f"a worker process cannot load a loader. {rest[0]}"))
        else:
            self._end(one)

    def _end(self, one: OpenBatch, error: Exception | None = None) -> None:
        # Without an error, nobody waits for it.
        self._open.pop(one.batch.number, None)
        self._regions.give_back(one.region)
        if error is None:
            one.batch.future.cancel()
        else:
            one.batch.future.set_exception(error)

    # Workers that die or hang

    def _stop_hanging_reads(self) -> None:
        for hand in list(self.hands):
            one = hand.batches[0] if hand.batches else None
            timeout = None if one is None else one.batch.assembly.reading.timeout
            if one is None or timeout is None:
                continue
            noted = noted_step(one.region.header)
            if noted is not None and noted[2] > timeout:
                if hand.child.process:
                    with contextlib.suppress(OSError):
                        os.kill(hand.child.process, signal.SIGKILL)
                # At once: a process that waits for a dead network drive does not end.
                self._replace(hand, too_long(timeout))

    def _replace(self, hand: Hand, hanging: LoadError | None = None) -> None:
        hand.child.channel.close()
        self.hands.remove(hand)
        how = "" if hanging is not None else self._starter.ending_of(hand.child)
        self._failed_starts += not hand.ready
        try:
            if self._failed_starts < _FAILED_STARTS:
                self.hands.append(Hand(self._starter.start()))
        except OSError as error:
            how, self._failed_starts = f"({error})", _FAILED_STARTS
        if hand.batches:
            self._blame(hand.batches[0], how, hanging)
            again = [one for one in hand.batches if one.batch.number in self._open]
            self._waiting.extendleft(reversed(again))
        if self._failed_starts >= _FAILED_STARTS:
            self._broken = f"they end before they are ready, {how}"
            for one in list(self._open.values()):
                self._end(one, BrokenPoolError(self._broken))
            self._waiting.clear()

    def _blame(self, one: OpenBatch, how: str, hanging: LoadError | None) -> None:
        # The other batches of the worker had not begun, so only the first can be to blame.
        if one.cancelled:
            self._end(one)
            return
        noted = noted_step(one.region.header)
        one.region.header[2] = 0
        try:
            task = one.deaths.blame(one.task, noted and noted[:2], how, hanging)
        except RuntimeError as error:
            self._end(one, error)
            return
        one.task = one.batch.task = task
        one.spans = one.region.write(packed(task))
