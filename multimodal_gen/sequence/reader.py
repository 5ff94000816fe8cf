"""What Keras calls: batches by position, hooks, epochs, and the next batches prepared while a model
trains.

`MultimodalSequence` is made of a table and loaders; here it is only a plan and an assembly, read in
the order in which Keras and users ask.
"""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Self

import keras

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.pending import PendingBatch
from multimodal_gen.rows.plan import Plan
from multimodal_gen.sequence.input_names import check_call
from multimodal_gen.sequence.keras_inside.attending import attend_call
from multimodal_gen.sequence.keras_inside.calls import (
    KerasCall,
    adapter_asks,
    keras_call,
    learning_shapes,
)
from multimodal_gen.sequence.keras_inside.plain_errors import swallowed
from multimodal_gen.sequence.keras_inside.sharing import check_shares
from multimodal_gen.sequence.output_shapes import check_class_weight, check_target
from multimodal_gen.sequence.read_ahead import ReadAhead
from multimodal_gen.sequence.state import check_state, fingerprint, make_state
from multimodal_gen.spec import with_masks


class BatchReader(keras.utils.PyDataset):
    """Batches that an assembly makes by a plan, for `fit`, `evaluate`, `predict` and loops of one's
    own.

    Args:
        assembly: What puts batches together.
        plan: Which rows are in which batch.
        endless: Whether the batches of an epoch are followed by those of the next.
        max_queue_size: Batches prepared ahead, at least 0.
    """

    def __init__(
        self, assembly: Assembly, plan: Plan, *, endless: bool, max_queue_size: int
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=max_queue_size)
        self.assembly, self.plan, self.endless = assembly, plan, endless
        self._epoch = 0
        # In loops of one's own: how many batches were handed out, and where the next loop begins.
        self._taken = self._first = 0
        # Whether passes are counted at all, the epoch of which one has handed out its last batch,
        # and whether that has just moved the sequence on to the next.
        self._counting = True
        self._passed: int | None = None
        self._moved_on = False
        # Whether the epoch was set since Keras last called a hook, as a callback does that is told
        # the epoch.
        self._told = False
        self._known: tuple[Assembly, dict[str, Any]] | None = None
        self._ahead = ReadAhead(self._start, max_queue_size)

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch, or None where there is no end."""
        return None if self.endless else self.plan.num_batches

    def __len__(self) -> int:
        if self.endless:
            raise TypeError(
                "An endless sequence has no length; `sequence.plan.num_batches` counts those of "
                "one pass."
            )
        return self.plan.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """The batch at a position of the current epoch; of an endless sequence, counting on from
        that epoch.

        Raises:
            IndexError: If there is no such batch.
            LoadError: If a cell cannot be loaded; it names the row's index, the column and the
                path.
        """
        position, stop = (
            operator.index(index),
            sys.maxsize if self.endless else self.plan.num_batches,
        )
        if not (0 if self.endless else -stop) <= position < stop:
            raise IndexError(
                f"There are {'no earlier' if self.endless else stop} batches. Received: "
                f"index={index!r}"
            )
        epoch = index.epoch if isinstance(index, _Place) else self._epoch
        self._moved_on = False
        if self.assembly.buckets is not None and learning_shapes():
            # Whatever stands in them: two lengths that differ, so that Keras takes any other later.
            length = 1 if position % 2 else self.assembly.buckets.full
            return self._as_asked(self._start(epoch, position % stop, length).result())
        if position == 0 and keras.backend.backend() == "tensorflow":
            # There Keras takes the first batch before it calls a hook.
            self._check_weights(keras_call())
        try:
            batch: tuple[Any, ...] = self._ahead.take(epoch, position % stop, stop).result()
        except Exception as error:
            swallowed(error)
            raise
        return self._as_asked(batch)

    def _check_weights(self, call: KerasCall) -> None:
        if self.assembly.targets and call.trains_on(self):
            check_class_weight(call.argument("class_weight"), self.assembly.targets)

    def _as_asked(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        # A list in a batch is an error to tf.data, so that Keras on tensorflow cannot take what its
        # other backends do.
        if (
            self.assembly.inputs_as == "list"
            and keras.backend.backend() == "tensorflow"
            and adapter_asks()
        ):
            return tuple(batch[0]), *batch[1:]
        return batch

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """One epoch, or what `set_state` leaves of it, the next batches prepared ahead; without end
        if endless.

        A pass that has handed out its last batch moves the sequence on to the next epoch, once it
        is over. One that is broken off earlier does not: the next one begins the same epoch again.
        """
        if self._passed == self._epoch:
            self._move_on()
        # The epoch may be set meanwhile, or another pass move it on.
        epoch, stop = self._epoch, sys.maxsize if self.endless else self.plan.num_batches
        done, self._first = self._first, 0
        self._taken, self._passed = done, epoch if done == stop else None
        self._ahead.begin()
        try:
            for position in range(done, stop):
                batch = self[_Place(position, epoch)]
                done = position + 1
                if epoch == self._epoch:
                    self._taken, self._passed = done, epoch if done == stop else None
                yield batch
        finally:
            self._ahead.end()
            if done == stop and epoch == self._epoch == self._passed:
                self._move_on()

    def _move_on(self) -> None:
        # In a callback of a `fit` on this sequence, the epoch is that of `fit`.
        if not keras_call().trains_on(self):
            if self._counting:
                self.epoch = self._epoch + 1
            self._taken, self._moved_on = 0, True

    def on_epoch_begin(self) -> None:
        """Called by Keras: takes over the epoch that the running `fit` is in, unless a callback has
        just set it.

        Raises:
            ValueError: If the sequence is endless, and the caller does not say after how many steps
                to end; if the model takes other inputs, or in another order, or its outputs do not
                go with the target; or if Keras is to share the batches among processes, and they
                would not come out equal.
            RuntimeError: If Keras works in a way that is not known; it says what to do.
        """
        call = keras_call()
        told, self._told = self._told, False
        if not told:
            call.check_known()
        if call.method is not None:
            self._attend(call)
        if not (told or self.endless):
            epoch = call.epoch(self.plan.num_batches)
            if epoch is not None:
                self._set_epoch(epoch)
        if call.trains_on(self):
            # `fit` reads by position, and what `set_state` left of an epoch ends with it.
            self._taken = self._first = 0
        self._ahead.begin()

    def _attend(self, call: KerasCall) -> None:
        # What is to be known, and to be done, before a method of Keras takes the first batch of an
        # epoch.
        check_call(
            call.method, call.model, list(with_masks(self.assembly.inputs)), self.assembly.inputs_as
        )
        given = call.argument("x")
        # A dataset of one's own around this one may make other targets, and is what Keras was given
        # then.
        validation = call.argument("validation_data") if call.method == "fit" else None
        for data in (given, validation) if given is self else ():
            if isinstance(data, BatchReader):
                check_target(call.method, call.model, data.assembly.targets)
        self._check_weights(call)
        uneven = self.assembly.buckets is not None or self.assembly.on_error == "skip"
        check_shares(self.plan, self.num_batches, uneven=uneven)
        attend_call(call)
        steps = "steps_per_epoch" if call.method == "fit" else "steps"
        if self.endless and call.argument(steps) is None:
            raise ValueError(
                f"`{call.method}` needs `{steps}` for an endless sequence, or it would never end. "
                "Received: None"
            )
        if self.plan.shuffle and call.method == "predict":
            warnings.warn(
                "The predictions come in the shuffled order of this sequence, not in the table's. "
                "Give `predict` `sequence.for_evaluation()` instead.",
                stacklevel=3,
            )
        if self.assembly.on_error == "skip" and call.method == "predict":
            warnings.warn(
                'With `on_error="skip"` there are no predictions for rows that cannot be loaded, '
                "so that the others do not stand in the order of the table. Give `predict` a "
                'sequence with `on_error="blank"` instead.',
                stacklevel=3,
            )

    def on_epoch_end(self) -> None:
        """Moves on to the next epoch in a loop of one's own, unless a whole pass has just done so.

        Keras calls it too, once before any training, and tells the epoch otherwise: then it only
        gives up what was prepared and not used.
        """
        call = keras_call()
        if call.method is not None:
            attend_call(call, ending=True)
        self._ahead.end()
        if call.hooked:
            self._told = False
        else:
            if not self._moved_on:
                self._move_on()
            self._moved_on = False
        if call.single_pass:
            # On tensorflow Keras never lets go of a sequence that it was given.
            self.assembly.release()

    @property
    def epoch(self) -> int:
        """The epoch whose batches `sequence[i]` gives, counting from 0.

        `fit` sets it, unless a callback of yours has done so in its `on_epoch_begin`. In a loop of
        your own, a whole pass moves on to the next epoch, and so does `on_epoch_end()` where
        batches are read by position. Setting it holds for the next pass.
        """
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if operator.index(epoch) < 0:
            raise ValueError(f"Epochs count from 0. Received: epoch={epoch!r}")
        self._set_epoch(epoch)
        self._told = True

    def _set_epoch(self, epoch: int) -> None:
        self._passed, self._moved_on = None, False
        if epoch != self._epoch:
            self._epoch = operator.index(epoch)
            self._taken = self._first = 0
            self._ahead.give_up()

    def state(self) -> dict[str, Any]:
        """Where a loop over this sequence stands, as JSON values: a position, and digests of what
        it is a position in.

        `"batch"` counts the batches that the loop was given in the epoch, the latest included. In
        `fit`, where batches are read ahead of training, `ResumeTraining` keeps count. The first
        call looks at every cell in use.
        """
        if self._known is None or self._known[0] is not self.assembly:
            self._known = self.assembly, fingerprint(self.assembly)
        return make_state(
            self.plan, self._known[1], endless=self.endless, epoch=self._epoch, batch=self._taken
        )

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state()` was called: the next loop over this sequence begins with the batch
        after those.

        A `fit` on the sequence in between begins whole epochs of its own, and so does the loop
        after it.

        Args:
            state: What `state()` gave, in this process or another.

        Raises:
            ValueError: If it is of another table, plan, seed or input, naming all that differs, or
                of a batch beyond the epoch.
        """
        check_state(state, self.state(), self.num_batches)
        self.epoch = state["epoch"]
        self._taken = self._first = state["batch"]

    def _start(self, epoch: int, index: int, length: int | None = None) -> PendingBatch:
        passes, position = divmod(index, self.plan.num_batches)
        return PendingBatch(Draft(self.assembly, self.plan, epoch + passes, position, length))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_ahead"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"_told": False} | state)
        self._ahead = ReadAhead(self._start, self.max_queue_size)

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        other.__setstate__(self.__getstate__())
        other._taken = other._first = 0
        other._passed, other._moved_on, other._told = None, False, False
        return other


class _Place(int):
    # The position of a batch in the epoch in which a pass began, wherever the sequence has got to
    # since.
    epoch: int

    def __new__(cls, position: int, epoch: int) -> Self:
        place = super().__new__(cls, position)
        place.epoch = epoch
        return place
