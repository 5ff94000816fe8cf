"""What a worker must know to make the batches of a sequence: sent once, mapped by all workers.

A parcel is the `Assembly` without its table: loaders, targets, operations and settings. Loaders
that are defined in a notebook or script travel by value. Large arrays in it, and the captions that
are already encoded (`RowMemory`), are shared instead of copied.
"""

from __future__ import annotations

import copy
import io
import itertools
import mmap
import os
import pickle
import sys
import warnings
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import cloudpickle
import numpy as np

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.processes.regions import Span, nameless_file, packed, rounded
from multimodal_gen.batch.row_memory import RowMemory

# Filters of other packages may name warnings whose import takes seconds, such as TensorFlow's.
_PACKAGES = ("builtins", "multimodal_gen", "numpy", "pandas", "PIL")


class Parcel:
    """An assembly in a shared file.

    Args:
        number: Its number among all parcels of the process.
        assembly: The assembly.

    Attributes:
        files: The open files that a worker needs for `opened`.

    Raises:
        Exception: If a loader cannot be pickled.
    """

    def __init__(self, number: int, assembly: Assembly) -> None:
        self.number = number
        memories: list[RowMemory] = []
        files: list[int] = []
        context = {"path": sys.path, "directory": os.getcwd(), "filters": _own_filters()}

        def dump(thing: Any, **options: Any) -> bytes:
            out = io.BytesIO()
            _Pickler(out, memories, files, options).dump(thing)
            return out.getvalue()

        # In two parts, as the second can be read only when `sys.path` is right.
        first = packed(context)
        second = packed(_without_rows(assembly), dump)
        self.spans: list[Span] = []
        end = 0
        # Each part at a multiple of 64 bytes, as arrays in it are used where they lie.
        for part in (*first, *second):
            self.spans.append((end, part.nbytes))
            end = rounded(end + part.nbytes)
        self._file = nameless_file(end)
        with mmap.mmap(self._file, max(end, 1)) as whole:
            for (start, size), part in zip(self.spans, (*first, *second), strict=True):
                whole[start : start + size] = part
        # The memory of rows may be cleared, and closes its file then, while workers still use it.
        files = [os.dup(file) for file in files]
        self.files = [self._file, *files]
        weakref.finalize(self, _close_all, self.files)
        self._seen = {
            id(one): RowMemory.attach(one.num_rows, one.spec, file)
            for one, file in zip(memories, files, strict=True)
        }

    def memory_of(self, memory: RowMemory) -> RowMemory:
        """The rows that workers see of a memory of the assembly."""
        return self._seen.get(id(memory)) or RowMemory(memory.num_rows, memory.spec)


class Parcels:
    """The parcels of the assemblies in use: each is made once."""

    def __init__(self) -> None:
        self._by_assembly: dict[int, tuple[weakref.ref[Assembly], Parcel]] = {}
        self._numbers = itertools.count(1)
        # Numbers of parcels whose assembly is gone. The garbage collector adds to it, which may run
        # in any thread at any moment, so it must not wait for a lock.
        self._gone: deque[int] = deque()
        self._replaced: list[Parcel] = []

    def of(self, assembly: Assembly) -> Parcel:
        """Return the parcel of an assembly.

        Raises:
            OSError: If the system has no room for it.
            Exception: If a loader cannot be pickled.
        """
        # The `id` of an assembly that is gone may be that of a new one.
        known, parcel = self._by_assembly.get(id(assembly), (None, None))
        if parcel is not None and known is not None and known() is assembly:
            return parcel
        if parcel is not None:
            self._replaced.append(parcel)
        parcel = Parcel(next(self._numbers), assembly)
        gone = partial(_add, self._gone, parcel.number)
        self._by_assembly[id(assembly)] = weakref.ref(assembly, gone), parcel
        return parcel

    def pop(self, assembly: Assembly) -> Parcel | None:
        """Forget the parcel of an assembly, and return it."""
        return self._by_assembly.pop(id(assembly), (None, None))[1]

    def pop_gone(self) -> list[Parcel]:
        """Forget the parcels of assemblies that are gone, and return them."""
        numbers = {self._gone.popleft() for _ in range(len(self._gone))}
        entries = self._by_assembly.items() if numbers else ()
        gone = {key: parcel for key, (_, parcel) in entries if parcel.number in numbers}
        for key in gone:
            del self._by_assembly[key]
        replaced, self._replaced = self._replaced, []
        return [*gone.values(), *replaced]


def opened(files: Sequence[int], spans: Sequence[Span]) -> Assembly:
    """Return the assembly of a parcel, in a worker, and close the files."""
    file, *memories = files
    whole = memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
    context, head, *buffers = (whole[start : start + size] for start, size in spans)
    settings = pickle.loads(context)
    sys.path[:] = settings["path"]
    os.chdir(settings["directory"])
    warnings.filters[:] = settings["filters"]  # type: ignore[index]
    assembly: Assembly = _Unpickler(io.BytesIO(head), memories, buffers).load()
    _close_all(files)
    return assembly


def what_cannot_be_sent(assembly: Assembly, error: Exception) -> str:
    """Describe which part of an assembly cannot be pickled, and why."""
    parts = [(str(slot), source.loader) for slot, source in assembly.sources.items()]
    operations = (*assembly.sample_augment, *assembly.batch_augment)
    for name, part in (*parts, *(("an operation", one) for one in operations)):
        try:
            cloudpickle.dumps(part)
        except Exception as own:
            error, where = own, f"{name}, {type(part).__name__},"
            break
    else:
        where = "a loader, target or operation"
    return f"{where} cannot be sent to a worker process. {type(error).__name__}: {error}"


def _without_rows(assembly: Assembly) -> Assembly:
    # Rows come with each task, and failures return with each batch.
    slim = copy.copy(assembly)
    object.__setattr__(slim, "table", None)
    object.__setattr__(slim, "failures", None)
    if assembly.buckets is not None:
        nothing = np.zeros(0, "uint8")
        object.__setattr__(slim, "buckets", replace(assembly.buckets, of_row=nothing, ids=nothing))
    return slim


def _own_filters() -> list[Any]:
    return [one for one in warnings.filters if one[2].__module__.partition(".")[0] in _PACKAGES]


def _add(numbers: deque[int], number: int, _: object) -> None:
    numbers.append(number)


def _close_all(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


class _Pickler(cloudpickle.Pickler):
    # Notes memories of rows and their files, which are not pickled.
    def __init__(self, out: Any, memories: list[RowMemory], files: list[int], options: Any) -> None:
        super().__init__(out, **options)
        self._memories, self._files = memories, files

    def persistent_id(self, thing: Any) -> Any:
        if not isinstance(thing, RowMemory):
            return None
        file = thing.share()
        if file is None:
            return None
        self._memories.append(thing)
        self._files.append(file)
        return len(self._files) - 1, thing.num_rows, thing.spec


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: Any, memories: Sequence[int], buffers: Sequence[memoryview]) -> None:
        super().__init__(data, buffers=buffers)
        self._memories = memories

    def persistent_load(self, found: Any) -> RowMemory:
        number, num_rows, spec = found
        return RowMemory.attach(num_rows, spec, self._memories[number])
