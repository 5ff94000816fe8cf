"""What is checked when a method of Keras begins an epoch on a sequence.

By then the method, its model and its arguments are known (`keras_inside/calls.py`), and no batch
has been read.
"""

from __future__ import annotations

import warnings
from typing import Any

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.rows.plan import Plan
from multimodal_gen.sequence.balancing import warn_of_weights_of_fit
from multimodal_gen.sequence.input_names import check_call
from multimodal_gen.sequence.keras_inside.calls import KerasCall
from multimodal_gen.sequence.keras_inside.sharing import check_shares
from multimodal_gen.sequence.output_shapes import check_class_weight
from multimodal_gen.sequence.ranks.group import group_of
from multimodal_gen.spec import with_masks


def check_epoch(call: KerasCall, assembly: Assembly, plan: Plan, num_batches: int | None) -> None:
    """Refuse a method of Keras that cannot run on a sequence.

    Args:
        call: The running method.
        assembly: What makes the sequence's batches.
        plan: Which rows are in which batch.
        num_batches: Batches per epoch, or None for an endless sequence.

    Raises:
        ValueError: If the model takes other inputs or in another order, if Keras would share the
            batches unevenly among processes, if there are other processes than the sequence was
            cut for, or if an endless sequence has no number of steps.
    """
    names = list(with_masks(assembly.inputs))
    check_call(call.method, call.model, names, assembly.inputs_as)
    uneven = assembly.buckets is not None or assembly.on_error == "skip"
    check_shares(plan, num_batches, uneven=uneven)
    if plan.world_size > 1:
        _check_ranks(call, plan)
    steps = "steps_per_epoch" if call.method == "fit" else "steps"
    if num_batches is None and call.argument(steps) is None:
        raise ValueError(
            f"`{call.method}` needs `{steps}` for an endless sequence, or it would never end. "
            "Received: None"
        )


def check_weights(call: KerasCall, data: Any, assembly: Assembly) -> None:
    """Check the class weights that `fit` was given, if it trains on a sequence.

    Args:
        call: The running method.
        data: The sequence.
        assembly: What makes its batches.

    Raises:
        ValueError: If they do not fit the targets.
    """
    if assembly.targets and call.trains_on(data):
        weights = call.argument("class_weight")
        check_class_weight(weights, assembly.targets)
        warn_of_weights_of_fit(weights, assembly, getattr(data, "sampler", None))


def _check_ranks(call: KerasCall, plan: Plan) -> None:
    group = group_of(plan)
    if call.method == "predict":
        raise ValueError(
            "`predict` returns the rows of one rank, and those that fill up a batch. Use "
            "`ranks.predict(directory, table)`, or predict in one process. Received: a sequence "
            f"for rank {plan.rank} of {plan.world_size}"
        )
    callbacks = call.argument("callbacks")
    given = getattr(callbacks, "callbacks", callbacks) or ()
    if group.apart and not any(getattr(one, "joins_ranks", False) for one in given):
        raise ValueError(
            f"On torch, ranks work apart in `{call.method}` without the "
            "callback that joins them, `ranks.callback(sequence)` of "
            "`multimodal_gen.distributed`. Received: callbacks without it"
        )


def warn_of_order(assembly: Assembly, plan: Plan, *, stacklevel: int) -> None:
    """Warn that predictions will not be in the table's order, one per row."""
    if plan.shuffle:
        warnings.warn(
            "The predictions are in the shuffled order of this sequence, not in the table's order. "
            "Give `predict` `sequence.for_evaluation()` instead.",
            stacklevel=stacklevel,
        )
    if assembly.on_error == "skip":
        warnings.warn(
            'With `on_error="skip"`, rows that cannot be loaded have no predictions, so the '
            "predictions do not line up with the table. Give `predict` a sequence with "
            '`on_error="blank"` instead.',
            stacklevel=stacklevel,
        )
