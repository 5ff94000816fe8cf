"""`start` joins the processes that a launcher started; `Ranks` is what each of them works with."""

from __future__ import annotations

import atexit
import os
import pickle
from dataclasses import dataclass

import keras
import pandas as pd

from multimodal_gen.bundle.loading import load_bundle
from multimodal_gen.distributed.launched import Launch, launch
from multimodal_gen.sequence.ranks.callback import RankTraining
from multimodal_gen.sequence.ranks.group import group
from multimodal_gen.sequence.sequence import MultimodalSequence


@dataclass(frozen=True)
class Ranks:
    """The processes that train one model together, seen from one of them.

    Args:
        rank: Which one this is, in [0, world_size).
        world_size: How many there are.
    """

    rank: int
    world_size: int

    def shard(self, sequence: MultimodalSequence) -> MultimodalSequence:
        """Return this rank's part of a sequence: an equal slice of every batch.

        Args:
            sequence: The whole, whose `batch_size` counts the rows of all ranks.

        Raises:
            ValueError: If `batch_size` is no multiple of the number of ranks, or `on_error` is
                "skip".
        """
        return sequence.shard(self.rank, self.world_size)

    def callback(self, sequence: MultimodalSequence) -> keras.callbacks.Callback:
        """Return the callback that every rank must give `fit`, and `evaluate`.

        Args:
            sequence: This rank's part of what is trained on, or of what is evaluated.
        """
        return RankTraining(sequence)

    def predict(
        self, directory: str | os.PathLike[str], table: pd.DataFrame, *, batch_size: int = 64
    ) -> pd.DataFrame:
        """Predict a part of the rows in each process, and return all to each.

        Args:
            directory: The bundle, as `Bundle.save` wrote it, which each process loads. All wait
                until each has come here, so that one may have saved it just before.
            table: The whole table, the same in each process.
            batch_size: Rows per batch.

        Returns:
            What `bundle.predict(table)` returns, on the index of the table.

        Raises:
            BundleError: If there is no bundle.
        """
        joined, shared = group(), keras.distribution.distribution()
        joined.gather(b"")
        bounds = [len(table) * rank // joined.size for rank in range(joined.size + 1)]
        own = table.iloc[bounds[joined.rank] : bounds[joined.rank + 1]]
        predicted = pd.DataFrame()
        # On jax, the variables of a model are otherwise those of all processes.
        keras.distribution.set_distribution(None)
        try:
            if len(own) or joined.rank == 0:
                predicted = load_bundle(directory).predict(own, batch_size=batch_size)
        finally:
            keras.distribution.set_distribution(shared)
        # What comes here was made by this code in the processes of one job.
        parts = [pickle.loads(one) for one in joined.gather(pickle.dumps(predicted))]
        return pd.concat([one for one in parts if len(one)] or parts[:1])


def start() -> Ranks:
    """Join the processes that torchrun or Ray Train started, and prepare Keras for training.

    Call it first, before a model is built. Processes that are connected already, as workers of Ray
    Train or after `jax.distributed.initialize`, are taken as they are. On jax it sets
    `keras.distribution.DataParallel`.

    Returns:
        This process's rank and how many there are; rank 0 of 1 for a process alone.

    Raises:
        ValueError: If the launcher's variables are incomplete, the backend is tensorflow, or the
            processes are not connected although the launcher says that there are several.
    """
    own, backend = launch(), keras.backend.backend()
    if own.world_size > 1 and backend == "tensorflow":
        raise ValueError(
            "Several processes can train one model on the backends jax and torch: set "
            "KERAS_BACKEND before Keras is imported. Received: the backend tensorflow in "
            f"{own.world_size} processes"
        )
    if own.address is not None and own.world_size > 1:
        _connect(own, backend)
    found = group()
    if found.size == 1 and own.world_size > 1:
        raise ValueError(_unconnected(backend, own.world_size))
    if found.size > 1 and backend == "jax":
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )
    return Ranks(found.rank, found.size)


def _connect(own: Launch, backend: str) -> None:
    if backend == "jax":
        import jax

        if not jax.distributed.is_initialized():
            jax.distributed.initialize(own.address, own.world_size, own.rank)
        return
    import torch
    import torch.distributed as processes

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    if processes.is_initialized():
        return
    if torch.cuda.is_available():
        processes.init_process_group("nccl")
    else:
        processes.init_process_group("gloo")
        # Its threads otherwise abort one process in six as it ends.
        atexit.register(_leave)


def _leave() -> None:
    import torch.distributed as processes

    if processes.is_initialized():
        processes.destroy_process_group()


def _unconnected(backend: str, world_size: int) -> str:
    advice = {
        "jax": "On CPUs, Ray's JaxTrainer connects its workers only with "
        '`jax_config=JaxConfig(use_gpu=True)` and the environment variable JAX_PLATFORMS="cpu".',
        "torch": "Use Ray's TorchTrainer.",
    }
    return (
        "The workers are not connected, so each would train a model of its own on a part of the "
        f"rows. {advice[backend]} Received: {world_size} workers on {backend}"
    )
