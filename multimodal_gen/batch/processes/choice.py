"""How many worker processes a sequence uses: as requested, or by a rule, with the reason."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from multimodal_gen.batch.assembly import Assembly

# Fewer cores are kept busy by threads: see docs/speed.md for what was measured.
_FEWEST_CORES = 4
# An epoch of fewer rows ends before worker processes would have gained what their start costs.
_FEWEST_ROWS = 2_000
SUPPORTED = sys.platform != "win32"


@dataclass(frozen=True)
class Choice:
    """How many worker processes make the batches, and why.

    Args:
        processes: Their number; 0 for threads.
        reason: Why, in words; empty if the user has chosen.
    """

    processes: int
    reason: str = ""


def choose(requested: int | None, assembly: Assembly, num_batches: int, cores: int) -> Choice:
    """Return the number of worker processes, and why.

    Args:
        requested: What the user set, or None.
        assembly: The settings of the batches.
        num_batches: Batches per epoch.
        cores: Cores that this process may use.

    Raises:
        ValueError: If processes were requested, and a loader can only read in this one.
    """
    alone = next((one for one in assembly.sources.values() if one.loader.one_process), None)
    if requested and alone is not None:
        raise ValueError(
            f"A {type(alone.loader).__name__} reads in the process that made it, so worker "
            "processes cannot make the batches. Leave out `processes`; threads decode while it "
            f"encodes. Received: processes={requested!r}"
        )
    if requested is not None:
        return Choice(int(requested))
    if alone is not None:
        return Choice(0, "an encoder that runs in this process")
    if not SUPPORTED:
        return Choice(0, "worker processes do not work on Windows")
    # First what does not depend on the machine.
    if len(assembly.table) < _FEWEST_ROWS:
        return Choice(0, f"fewer than {_FEWEST_ROWS:,} rows")
    if cores < _FEWEST_CORES:
        return Choice(0, f"{cores} core{'s' if cores > 1 else ''}")
    if num_batches < cores:
        # Each process makes a whole batch, so some would have nothing to do.
        return Choice(0, f"{num_batches} batches for {cores} cores")
    if all(source.whole for source in assembly.sources.values()):
        return Choice(0, "cells that are read together")
    reason = f"{cores} cores"
    if assembly.copies_from_cache:
        reason += ", until the cache is filled"
    return Choice(cores, reason)


def check_processes(requested: Any) -> None:
    """Check the argument `processes` of a sequence.

    Raises:
        ValueError: If it is not None or an integer of at least 0, is far above the number of cores,
            or worker processes do not work on this system.
    """
    if requested is None:
        return
    whole = isinstance(requested, int) and not isinstance(requested, bool)
    if not whole or requested < 0:
        raise ValueError(
            "`processes` must be an integer of at least 0, or None. Received: "
            f"processes={requested!r}"
        )
    if requested and not SUPPORTED:
        raise ValueError(
            "Worker processes do not work on Windows; use `processes=0` for threads. Received: "
            f"processes={requested!r}"
        )
    # Surely a mistake, such as the batch size in its place.
    if requested > 4 * (os.cpu_count() or 1) + 8:
        raise ValueError(
            f"`processes` must not be far above the {os.cpu_count()} cores of this machine. "
            f"Received: processes={requested!r}"
        )
