"""The part of a sequence that Keras calls: batches by position, epoch hooks and reading ahead.

`MultimodalSequence` builds a plan and an assembly from a table and loaders. Here the two are given,
and batches are made in the order in which Keras and users request them.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Self

import keras

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.making import Batch, BatchMaker
from multimodal_gen.batch.processes.choice import Choice
from multimodal_gen.rows.checks import check_at_least
from multimodal_gen.rows.plan import Plan
from multimodal_gen.sequence.description import makers_of
from multimodal_gen.sequence.epoch_checks import check_epoch, check_weights, warn_of_order
from multimodal_gen.sequence.keras_inside.attending import attend_call
from multimodal_gen.sequence.keras_inside.calls import (
    KerasCall,
    adapter_asks,
    keras_call,
    learning_shapes,
)
from multimodal_gen.sequence.keras_inside.ending import at_end
from multimodal_gen.sequence.keras_inside.plain_errors import swallowed
from multimodal_gen.sequence.output_shapes import check_target
from multimodal_gen.sequence.read_ahead import Place, ReadAhead
from multimodal_gen.sequence.state import check_state, fingerprint, make_state


class BatchReader(keras.utils.PyDataset):
    """Batches that an assembly makes by a plan, for Keras and for your own loops.

    Args:
        assembly: What makes the batches.
        plan: Which rows are in which batch.
        choice: How many worker processes make them.
        endless: Whether the batches of the next epoch follow those of an epoch.
        max_queue_size: Batches prepared ahead, at least 0.
    """

    def __init__(
        self,
        assembly: Assembly,
        plan: Plan,
        choice: Choice,
        *,
        endless: bool,
        max_queue_size: int,
    ) -> None:
        # Our own threads make batches; only a single worker of Keras reads them in order.
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=max_queue_size)
        self.assembly, self.plan, self.endless, self._choice = assembly, plan, endless, choice
        self._epoch = 0
        # For loops outside Keras: how many batches were returned, and where the next loop begins.
        self._taken = self._first = 0
        # Whether passes are counted at all, whether one has just moved the sequence to the next
        # epoch, and the epoch whose last batch was returned.
        self._counting, self._moved_on = True, False
        self._passed: int | None = None
        # Whether the epoch was set since Keras last called a hook. A callback that sets it got the
        # epoch from Keras itself, so the stack need not be searched.
        self._epoch_set = False
        self._known: tuple[Assembly, dict[str, Any]] | None = None
        self._prepare()

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch, or None for an endless sequence."""
        return None if self.endless else self.plan.num_batches

    @property
    def makers(self) -> str:
        """What makes the batches, and why, as in "2 threads (2 cores)"."""
        return makers_of(self.assembly, self._maker.current)

    def __len__(self) -> int:
        if self.endless:
            raise TypeError("An endless sequence has no length; use `sequence.plan.num_batches`.")
        return self.plan.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """The batch at a position, counted from the start of the current epoch.

        Raises:
            IndexError: If there is no such batch.
            LoadError: If a cell cannot be loaded; it names row, column and path.
        """
        position = operator.index(index)
        stop = sys.maxsize if self.endless else self.plan.num_batches
        if not (0 if self.endless else -stop) <= position < stop:
            limits = "at least 0" if self.endless else f"in [{-stop}, {stop})"
            raise IndexError(f"`index` must be {limits}. Received: index={index!r}")
        epoch = index.epoch if isinstance(index, Place) else self._epoch
        self._moved_on = False
        if self.assembly.buckets is not None and learning_shapes():
            # Keras on tensorflow infers from the first two batches which axes vary. Two batches of
            # different lengths make it accept any length; their content does not matter.
            length = 1 if position % 2 else self.assembly.buckets.full
            return self._as_asked(self._start(epoch, position % stop, length).result())
        if position == 0 and keras.backend.backend() == "tensorflow":
            # On tensorflow, Keras takes the first batch before it calls a hook.
            check_weights(keras_call(), self, self.assembly)
        try:
            batch: tuple[Any, ...] = self._ahead.take(epoch, position % stop, stop).result()
        except Exception as error:
            # On tensorflow the graph hides the error; `plain_errors.py` brings it back.
            swallowed(error)
            raise
        return self._as_asked(batch)

    def _as_asked(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        # tf.data refuses lists in a batch, which Keras accepts on its other backends.
        if (
            self.assembly.inputs_as == "list"
            and keras.backend.backend() == "tensorflow"
            and adapter_asks()
        ):
            return tuple(batch[0]), *batch[1:]
        return batch

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Iterate over the epoch, or over what `set_state` left of it, reading ahead.

        After its last batch, a complete pass moves the sequence to the next epoch. A pass that ends
        early does not: the next one starts the same epoch again. An endless sequence never ends.
        """
        if self._passed == self._epoch:
            self._move_on()
        # Local copies: `self.epoch` may be set, or moved by another pass, while this one runs.
        epoch, stop = self._epoch, sys.maxsize if self.endless else self.plan.num_batches
        done, self._first = self._first, 0
        self._taken, self._passed = done, epoch if done == stop else None
        self._ahead.begin(left_out=self.assembly.failures.excluded)
        try:
            for position in range(done, stop):
                batch = self[Place(position, epoch)]
                done = position + 1
                if epoch == self._epoch:
                    self._taken, self._passed = done, epoch if done == stop else None
                yield batch
        finally:
            self._ahead.end()
            if done == stop and epoch == self._epoch == self._passed:
                self._move_on()

    def _move_on(self) -> None:
        # A loop in a callback of `fit` must not move the epoch: it belongs to `fit`.
        if not keras_call().trains_on(self):
            if self._counting:
                self.epoch = self._epoch + 1
            self._taken, self._moved_on = 0, True

    def on_epoch_begin(self) -> None:
        """Called by Keras: adopt the epoch of the running `fit`, unless a callback has just set it.

        Raises:
            ValueError: If an endless sequence has no number of steps, the model does not fit the
                inputs or the target, or Keras would share the batches unevenly among processes.
            RuntimeError: If this version of Keras works in an unknown way; it says what to do.
        """
        call = keras_call()
        # It counts for one epoch only: the callback may be gone in the next `fit`.
        epoch_set, self._epoch_set = self._epoch_set, False
        if not epoch_set:
            call.check_known()
        if call.method is not None:
            self._attend(call)
        if not (epoch_set or self.endless):
            epoch = call.epoch(self.plan.num_batches)
            if epoch is not None:
                self._set_epoch(epoch)
        last = self._epoch
        if call.trains_on(self):
            # `fit` reads whole epochs, so a position from `set_state` is void.
            self._taken = self._first = 0
            # What makes the batches of an epoch may depend on what is cached when it begins.
            if not (self.endless or self._maker.chooses_by_epoch(self.assembly)):
                last = call.last_epoch(self.plan.num_batches, self._epoch)
            # Keras calls no hook if `fit` ends early.
            at_end(call, "reading ahead", self._ahead.run)
        self._ahead.begin(last, self.assembly.failures.excluded)

    def _attend(self, call: KerasCall) -> None:
        # Before a method of Keras takes the first batch of an epoch.
        check_epoch(call, self.assembly, self.plan, self.num_batches)
        given = call.argument("x")
        # If Keras was given a user's dataset around this one, that dataset may change the targets.
        validation = call.argument("validation_data") if call.method == "fit" else None
        for data in (given, validation) if given is self else ():
            if isinstance(data, BatchReader):
                check_target(call.method, call.model, data.assembly.targets)
        check_weights(call, self, self.assembly)
        attend_call(call)
        if call.method == "predict":
            warn_of_order(self.assembly, self.plan, stacklevel=4)

    def on_epoch_end(self) -> None:
        """Move to the next epoch in your own loop, unless a complete pass has just done so.

        Keras calls it too, even once before training. Then it only cancels unused batches, because
        the epoch comes from `fit`.
        """
        call = keras_call()
        if call.method is not None:
            attend_call(call, ending=True)
        self._ahead.end(but_after=self._epoch if call.trains_on(self) else None)
        if call.hooked:
            self._epoch_set = False
        else:
            if not self._moved_on:
                self._move_on()
            self._moved_on = False
        if call.single_pass:
            # On tensorflow, Keras keeps a reference to the sequence, so nothing would be freed.
            self._maker.release(self.assembly)

    @property
    def epoch(self) -> int:
        """The epoch whose batches `sequence[i]` gives, counting from 0.

        `fit` sets it, unless a callback of yours has set it in `on_epoch_begin`. In your own loop,
        a complete pass moves to the next epoch, and so does `on_epoch_end()` when you read batches
        by position. A new value applies from the next pass.
        """
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        check_at_least(0, epoch=operator.index(epoch))
        self._set_epoch(epoch)
        self._epoch_set = True

    def _set_epoch(self, epoch: int) -> None:
        self._passed, self._moved_on = None, False
        if epoch != self._epoch:
            # Only if it moves forward are batches of later epochs soon requested.
            self._ahead.give_up(but_after=epoch - 1 if epoch > self._epoch else None)
            self._epoch = operator.index(epoch)
            self._taken = self._first = 0

    def state(self) -> dict[str, Any]:
        """The position of a loop over this sequence, with digests of the data, as JSON values.

        `"batch"` counts the batches returned in the epoch, including the latest. `fit` reads
        batches ahead of training, so use `ResumeTraining` there. The first call reads every cell in
        use.
        """
        if self._known is None or self._known[0] is not self.assembly:
            self._known = self.assembly, fingerprint(self.assembly)
        return make_state(
            self.plan, self._known[1], endless=self.endless, epoch=self._epoch, batch=self._taken
        )

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was called: the next loop begins with the following batch.

        A `fit` in between runs whole epochs, and the loop after it starts a whole epoch too.

        Args:
            state: What `state()` returned, in this or another process.

        Raises:
            ValueError: If the table, plan, seed or an input differs, naming everything that does,
                or the batch is beyond the epoch.
        """
        check_state(state, self.state(), self.num_batches)
        self.epoch = state["epoch"]
        self._taken = self._first = state["batch"]

    def _prepare(self) -> None:
        self._maker = BatchMaker(self._choice)
        # Each process is busy with a batch, and as many as without processes wait to be used.
        self._ahead = ReadAhead(self._start, self.max_queue_size + self._choice.processes)

    def _start(self, epoch: int, index: int, length: int | None = None) -> Batch:
        passes, position = divmod(index, self.plan.num_batches)
        return self._maker.start(self.assembly, self.plan, epoch + passes, position, length)

    def __getstate__(self) -> dict[str, Any]:
        # Batches in progress belong to threads and workers of this process.
        running = ("_ahead", "_maker")
        return {name: value for name, value in self.__dict__.items() if name not in running}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"_epoch_set": False, "_choice": Choice(0)} | state)
        self._prepare()

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        other.__setstate__(self.__getstate__())
        other._taken = other._first = 0
        other._passed, other._moved_on, other._epoch_set = None, False, False
        return other
