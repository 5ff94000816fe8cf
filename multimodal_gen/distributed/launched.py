"""Who started this process, and as which rank of how many.

torchrun, and whatever else sets its variables, says so in the environment; Ray Train in its
context, after it has set up `torch.distributed` or `jax.distributed` itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """A process among those that were started together.

    Args:
        rank: Which one it is, in [0, world_size).
        world_size: How many there are.
        address: "host:port" where rank 0 listens; None if the processes are connected already.
    """

    rank: int
    world_size: int
    address: str | None


def launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """Return what the launcher says; a process alone if there is none.

    Args:
        environment: The variables of the process.

    Raises:
        ValueError: If some of torchrun's variables are missing or no numbers.
    """
    ray = _in_ray()
    if ray is not None:
        return ray
    given = [name for name in _VARIABLES if name in environment]
    if "RANK" not in given and "WORLD_SIZE" not in given:
        return Launch(0, 1, None)
    missing = [name for name in _VARIABLES if name not in given]
    if missing:
        raise ValueError(
            "A launcher must set all of RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as "
            f"`torchrun --nproc-per-node 2 script.py` does. Received: no {', '.join(missing)}"
        )
    numbers = {}
    for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"):
        text = environment[name]
        if not text.isascii() or not text.isdigit():
            raise ValueError(f"{name} must be a whole number. Received: {name}={text!r}")
        numbers[name] = int(text)
    rank, world_size = numbers["RANK"], numbers["WORLD_SIZE"]
    if rank >= world_size:
        raise ValueError(
            f"RANK must be less than WORLD_SIZE. Received: RANK={rank}, WORLD_SIZE={world_size}"
        )
    return Launch(rank, world_size, f"{environment['MASTER_ADDR']}:{numbers['MASTER_PORT']}")


def _in_ray() -> Launch | None:
    # A worker of Ray Train has imported it.
    train = sys.modules.get("ray.train")
    if train is None:
        return None
    try:
        context = train.get_context()
        return Launch(context.get_world_rank(), context.get_world_size(), None)
    except (RuntimeError, AttributeError):
        # Imported, but this is no worker.
        return None
