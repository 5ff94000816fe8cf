"""What the processes that train one model together tell each other: bytes and sums of arrays.

A process is called a rank. Which ranks there are is known to `jax.distributed` on jax and to
`torch.distributed` on torch; whoever launched the processes has set these up. Every method here
must be called by all ranks, in the same order.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from multimodal_gen.rows.plan import Plan


class Group(ABC):
    """The ranks that train together.

    Attributes:
        rank: Which one this process is, in [0, size).
        size: How many there are.
        apart: Whether each rank counts its metrics by itself, as on torch. On jax a rank's metrics
            are those of all.
    """

    rank: int
    size: int
    apart: bool

    @abstractmethod
    def gather(self, content: bytes) -> list[bytes]:
        """Return what each rank gave, in the order of ranks."""

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum of all ranks' arrays, which have one shape and type."""
        # As bytes, because jax would make 32 bits of 64.
        parts = self.gather(np.ascontiguousarray(array).tobytes())
        every = [np.frombuffer(part, array.dtype).reshape(array.shape) for part in parts]
        return np.sum(every, axis=0, dtype=array.dtype)

    def first(self, make: Callable[[], bytes]) -> bytes:
        """Return to all ranks what rank 0 makes.

        Raises:
            Exception: On rank 0, what making it raised; on the others a RuntimeError with its text.
        """
        content, error = b"", None
        if self.rank == 0:
            try:
                content = b"+" + make()
            except Exception as caught:
                content, error = b"-" + str(caught).encode("utf-8", "replace"), caught
        content = self.gather(content)[0]
        if error is not None:
            raise error
        if content[:1] == b"-":
            raise RuntimeError(f"Rank 0 says: {content[1:].decode()}")
        return content[1:]


class Alone(Group):
    """One process."""

    rank, size, apart = 0, 1, False

    def gather(self, content: bytes) -> list[bytes]:
        """Return the content alone."""
        return [content]


class JaxGroup(Group):
    """The processes of `jax.distributed`."""

    apart = False

    def __init__(self) -> None:
        import jax

        self.rank, self.size = jax.process_index(), jax.process_count()

    def gather(self, content: bytes) -> list[bytes]:
        """Return what each rank gave."""
        # All arrays of a gathering have one shape, so the lengths come first.
        lengths = np.asarray(_gathered(np.array([len(content)], "int32"))).ravel()
        padded = np.zeros(int(lengths.max()), "uint8")
        padded[: len(content)] = np.frombuffer(content, "uint8")
        rows = np.asarray(_gathered(padded))
        return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]


class TorchGroup(Group):
    """The processes of `torch.distributed`."""

    apart = True

    def __init__(self) -> None:
        import torch.distributed as processes

        self.rank, self.size = processes.get_rank(), processes.get_world_size()

    def gather(self, content: bytes) -> list[bytes]:
        """Return what each rank gave."""
        import torch
        import torch.distributed as processes

        device = _torch_device()
        lengths = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(self.size)]
        processes.all_gather(lengths, torch.tensor([len(content)], device=device))
        most = int(max(int(one) for one in lengths))
        padded = np.zeros(most, "uint8")
        padded[: len(content)] = np.frombuffer(content, "uint8")
        rows = [torch.zeros(most, dtype=torch.uint8, device=device) for _ in range(self.size)]
        processes.all_gather(rows, torch.from_numpy(padded).to(device))
        return [
            row.cpu().numpy()[: int(length)].tobytes()
            for row, length in zip(rows, lengths, strict=True)
        ]


def group() -> Group:
    """Return the ranks that this process trains with; itself alone if none were set up."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return JaxGroup() if jax.process_count() > 1 else Alone()
    if backend == "torch":
        import torch.distributed as processes

        if processes.is_available() and processes.is_initialized():
            return TorchGroup() if processes.get_world_size() > 1 else Alone()
    return Alone()


def group_of(plan: Plan) -> Group:
    """Return the ranks that a plan was cut for.

    Raises:
        ValueError: If there are other ranks than it was cut for.
    """
    found = group()
    if (plan.rank, plan.world_size) != (found.rank, found.size):
        raise ValueError(
            "A sequence must be cut for the processes that train together, as "
            "`multimodal_gen.distributed.start().shard(sequence)` does; this one would train on "
            f"{'other rows than are its own' if found.size > 1 else 'a part of the rows only'}. "
            f"This process is rank {found.rank} of {found.size} on "
            f"{keras.backend.backend()}. Received: a sequence for rank {plan.rank} of "
            f"{plan.world_size}"
        )
    return found


def all_failures(joined: Group, own: list[list[Any]]) -> list[list[Any]]:
    """Return the failures of all ranks, the same to each: a cell once, with its first epoch.

    Args:
        joined: The ranks.
        own: What `FailureLog.to_json` returned on this one.
    """
    parts = joined.gather(json.dumps(own).encode())
    every = [one for part in parts for one in json.loads(part)]
    # The first epoch last, so that it stays.
    every.sort(key=lambda one: -one[4])
    return list({(one[0], str(one[1])): one for one in every}.values())


def _gathered(array: np.ndarray) -> Any:
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(array)


def _torch_device() -> str:
    # NCCL moves only what lies on a GPU.
    import torch
    import torch.distributed as processes

    if "nccl" in str(processes.get_backend()):
        return f"cuda:{torch.cuda.current_device()}"
    return "cpu"
