"""The callback that makes `fit` and `evaluate` on several ranks give what one process would."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
from keras import tree

from multimodal_gen.sequence.keras_inside.steps import steps_of_evaluate
from multimodal_gen.sequence.ranks.group import Group, all_failures, group_of
from multimodal_gen.sequence.sequence import MultimodalSequence


class RankTraining(keras.callbacks.Callback):
    """Trains one model in several processes: steps, metrics and failures are those of all ranks.

    On jax, where a step is one step of all ranks anyway, it checks the arguments and joins the
    failures. On torch, it also starts all ranks with the weights of rank 0, weighs and averages
    gradients, and adds up metrics. In `evaluate`, give it too.

    Args:
        sequence: The part of this rank, as `Ranks.shard` returns it: what is trained on, or in
            `evaluate` what is evaluated.

    Raises:
        ValueError: In `fit` or `evaluate`, if there are other ranks than the sequence was cut for;
            if a loss is no weighted mean or a metric would count rows that only fill up a batch;
            or if torch compiles the step.
    """

    # What a sequence looks for among the callbacks: it cannot import this class.
    joins_ranks = True

    def __init__(self, sequence: MultimodalSequence) -> None:
        super().__init__()
        self.sequence = sequence
        self._stack = ExitStack()
        self._group: Group | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Check what can be known before training, and join the ranks."""
        group = self._begin()
        if not group.apart:
            return
        from multimodal_gen.sequence.ranks import torch_steps

        torch_steps.spread(self.model)
        self._stack.enter_context(torch_steps.together(self.model))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """After the last batch of an epoch, before validation, join what ranks have counted."""
        if batch + 1 != self.params["steps"]:
            return
        assert self._group is not None
        if self._group.apart:
            from multimodal_gen.sequence.ranks import torch_steps

            torch_steps.average_statistics(self.model)
        self._join_metrics()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Join the failures of all ranks."""
        self._join_failures()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Leave the model as it was."""
        self._stack.close()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """In `evaluate` outside `fit`, check what can be known before."""
        if self._group is None:
            self._begin()
        self._steps_of_test = steps_of_evaluate()

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """After the last batch, join what ranks have counted."""
        if batch + 1 == self._steps_of_test:
            self._join_metrics()

    def _begin(self) -> Group:
        self._group = group_of(self.sequence.plan)
        if self._group.size > 1:
            check_compiled(self.model, self.sequence)
        return self._group

    def _join_metrics(self) -> None:
        assert self._group is not None
        if self._group.apart:
            # Their variables are sums over rows.
            for variable in self.model.metrics_variables:
                variable.assign(self._group.sum(keras.ops.convert_to_numpy(variable)))

    def _join_failures(self) -> None:
        assert self._group is not None
        log = self.sequence.assembly.failures
        log.restore(all_failures(self._group, log.to_json()), self.sequence.table.index)


def check_compiled(model: keras.Model, sequence: MultimodalSequence) -> None:
    """Refuse losses and metrics that would count a row more than once, or one of weight 0.

    Args:
        model: The compiled model.
        sequence: A rank's part.

    Raises:
        ValueError: It says what to compile the model with.
    """
    plan = sequence.plan
    rest = 0 if plan.drop_remainder else plan.num_rows % plan.batch_size
    padded = rest % plan.world_size
    metrics = tree.flatten(model.get_compile_config().get("metrics"))
    if padded and any(one is not None for one in metrics):
        raise ValueError(
            "The last batch has rows that only fill it up for all ranks, which `metrics` would "
            "count. Compile the model with `weighted_metrics=` in their place, or take a "
            f"`batch_size` with a last batch that {plan.world_size} divides. Received: "
            f"{plan.num_rows:,} rows in batches of {plan.batch_size}"
        )
    batch = sequence[0]
    losses = [_loss(model, batch, weight) for weight in (1.0, 3.0)]
    if not np.isclose(losses[0], losses[1], rtol=1e-4):
        raise ValueError(
            "On several ranks, a loss must be a mean by weight, as the loss of each target is: "
            '`loss=target.loss`, or a loss of Keras with `reduction="mean_with_sample_weight"`. '
            f"Received: a loss that is {losses[0]:.4g}, and {losses[1]:.4g} with three times the "
            "weights"
        )


def _loss(model: keras.Model, batch: Any, weight: float) -> float:
    # Of outputs that no model made, of which half the rows count.
    _, y, weights = batch
    rows = len(tree.flatten(y)[0])
    kept = np.where(np.arange(rows) % 2, 0.0, weight).astype("float32")
    rng = np.random.default_rng(0)

    def made(output: Any) -> Any:
        numbers = rng.uniform(0.1, 0.9, (rows, *output.shape[1:]))
        return keras.ops.convert_to_tensor(numbers.astype("float32"))

    loss = model.compute_loss(
        y=y,
        y_pred=tree.map_structure(made, model.output),
        sample_weight=tree.map_structure(lambda _: kept, weights),
        training=False,
    )
    return float(keras.ops.convert_to_numpy(loss))
