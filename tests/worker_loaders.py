"""Loaders and operations for tests of worker processes; nothing here imports Keras."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import warnings
from typing import Any

import numpy as np

import multimodal_gen as mg


class Numbers(mg.Loader):
    """The cell as a number, and whatever the cell asks for before: see `read`."""

    def __init__(self, column: str, together: bool = False) -> None:
        self.column, self.together = column, together
        self.spec = mg.ArraySpec((2,), "float32")

    @property
    def reads_together(self) -> bool:
        """Whether all cells of a batch are read in one call."""
        return self.together

    def read(self, cell: Any) -> np.ndarray:
        """Do first what the cell says: kill, abort, sleep, nap, hold the interpreter, warn, bad."""
        what, _, number = str(cell).rpartition(" ")
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "abort":
            os._exit(7)
        if what == "sleep":
            time.sleep(60)
        if what == "nap":
            time.sleep(0.8)
        if what == "hold":
            ctypes.PyDLL(None).sleep(60)
        if what == "warn":
            warnings.warn("a strange cell", UserWarning, stacklevel=1)
        if what == "bad":
            raise mg.LoadError("it is bad")
        return np.array([float(number), 0], "float32")

    def read_batch(self, cells: Any) -> list[np.ndarray]:
        """Read one after the other."""
        return [self.read(cell) for cell in cells]


class Process(Numbers):
    """The id of the process that reads, and whether Keras is imported there."""

    def read(self, cell: Any) -> np.ndarray:
        """Return `[process id, whether Keras is imported]`."""
        backends = {"keras", "tensorflow", "jax", "torch"}
        return np.array([os.getpid(), bool(backends & set(sys.modules))], "float32")


class Unsendable(Numbers):
    """A loader that cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("it holds a connection")


class Unloadable(Numbers):
    """A loader that can be pickled, and not loaded again."""

    def __setstate__(self, state: Any) -> None:
        raise RuntimeError("there is no such device here")


def ends_the_process(batch: mg.augment.Batch, rng: Any) -> mg.augment.Batch:
    """An operation on batches that ends the process."""
    os._exit(3)
