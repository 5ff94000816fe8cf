"""Makes Keras's training step on torch one step of all ranks.

Each rank's loss is a mean over its own rows. Ranks whose rows weigh differently, as in a short last
batch or with rows that could not be loaded, must not count alike: the loss of each output is scaled
by its share of the weights of all ranks, and gradients are then averaged as
`DistributedDataParallel` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import tree


@contextmanager
def together(model: keras.Model) -> Iterator[None]:
    """Make the gradients of a model those of all ranks, until the end of the block."""
    # What each loss of a model with several is made by, or its only one.
    name = "loss_of" if hasattr(model, "loss_of") else "compute_loss"
    alone, apply, shares_of = getattr(model, name), model.optimizer.apply, _Shares()

    def compute_loss(
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        outputs = tree.flatten(y_pred)
        shares = shares_of(sample_weight, len(outputs))
        for output, share in zip(outputs, shares, strict=True):
            if output.requires_grad:
                output.register_hook(_times(share))
        loss = alone(x, y, y_pred, sample_weight, training)
        # What is shown is scaled too. With several outputs, only the sum of their losses is known.
        if len(shares) == 1:
            own = loss.detach() - sum((one.detach() for one in model.losses), 0.0)
            loss = loss + own * (shares[0] - 1).to(own.dtype)
        return loss

    def apply_together(grads: list[Any], trainable_variables: Any = None) -> None:
        _average(grads)
        apply(grads, trainable_variables)

    setattr(model, name, compute_loss)
    model.optimizer.apply = apply_together
    try:
        yield
    finally:
        delattr(model, name)
        del model.optimizer.apply


class _Shares:
    # How much each output's loss counts, 1 where all ranks' rows weigh the same. The heads of a
    # model share its weights, and ranks need to wait for each other only once.
    def __init__(self) -> None:
        self.last: tuple[Any, list[Any]] = (None, [])

    def __call__(self, sample_weight: Any, outputs: int) -> list[Any]:
        import torch
        import torch.distributed as processes

        if sample_weight is not None and sample_weight is self.last[0]:
            return self.last[1]
        weights = [one for one in tree.flatten(sample_weight) if one is not None]
        if len(weights) != outputs:
            raise ValueError(
                "On several ranks each output of the model needs the sample weights of a target, "
                "as a sequence with targets gives them. Received: "
                f"{len(weights)} arrays of weights for {outputs} outputs"
            )
        own = torch.stack([torch.as_tensor(one).double().sum() for one in weights])
        every = own.clone()
        processes.all_reduce(every)
        world = processes.get_world_size()
        shares = list(torch.where(every > 0, own * world / every, torch.zeros_like(own)))
        self.last = (sample_weight, shares)
        return shares


def _times(share: Any) -> Callable[[Any], Any]:
    return lambda gradient: gradient * share.to(gradient.dtype)


def _average(gradients: list[Any]) -> None:
    # In one piece: each message costs as much as many numbers, and a wait for the slowest rank.
    import torch
    import torch.distributed as processes

    own = [one for one in gradients if one is not None]
    every = torch.cat([one.reshape(-1) for one in own])
    processes.all_reduce(every)
    every /= processes.get_world_size()
    for one, mean in zip(own, every.split([one.numel() for one in own]), strict=True):
        one.copy_(mean.reshape(one.shape))


def spread(model: keras.Model) -> None:
    """Give all ranks the variables of rank 0, as `DistributedDataParallel` does."""
    import torch.distributed as processes

    metrics = {id(one) for one in model.metrics_variables}
    for variable in (*model.variables, *model.optimizer.variables):
        if id(variable) not in metrics:
            processes.broadcast(variable.value.data, 0)


def average_statistics(model: keras.Model) -> None:
    """Average variables that are not trained, such as means of batches, over the ranks."""
    import torch
    import torch.distributed as processes

    metrics = {id(one) for one in model.metrics_variables}
    for variable in model.non_trainable_variables:
        if id(variable) in metrics or not torch.is_floating_point(variable.value):
            continue
        with torch.no_grad():
            processes.all_reduce(variable.value.data)
            variable.value.data /= processes.get_world_size()
