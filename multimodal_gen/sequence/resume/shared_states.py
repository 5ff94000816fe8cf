"""The states of a run that several ranks train: rank 0 alone keeps them, and tells the others.

So a state belongs to all of them, however many there are when the run goes on.
"""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from multimodal_gen.sequence.ranks.group import Group, all_failures
from multimodal_gen.sequence.resume.snapshots import Snapshots, read_state, write_state

_State = tuple[dict[str, Any], list[np.ndarray]]


class SharedStates:
    """The states in a directory, which rank 0 reads and writes. All ranks call each method.

    Args:
        directory: Where the files are; only rank 0 needs to see it.
        group: The ranks.
        size: Bytes of a state's arrays, for which there must be room.

    Raises:
        NotADirectoryError: If it is a file.
        OSError: If the directory is not writable, or has no room.
        RuntimeError: If another process uses it. On the other ranks, whatever is wrong.
    """

    def __init__(self, directory: str | os.PathLike[str], group: Group, size: int) -> None:
        self._group, self._files = group, None

        def opened() -> bytes:
            self._files = Snapshots(directory)
            try:
                self._files.make_room(size)
            except BaseException:
                self._files.close()
                raise
            return b""

        group.first(opened)

    _files: Snapshots | None

    def load(self) -> _State | None:
        """Return the last readable state, or None.

        On torch, where ranks count metrics apart, rank 0 gets what all had counted and the others
        zeros.

        Raises:
            RuntimeError: If there are states but none is readable.
        """
        if self._group.size == 1:
            assert self._files is not None
            return self._files.load()
        content = self._group.first(self._content)
        if not content:
            return None
        description, arrays = read_state(io.BytesIO(content))
        if self._group.apart and self._group.rank > 0:
            for place in _metrics(description):
                arrays[place] = np.zeros_like(arrays[place])
        return description, arrays

    def save(self, description: dict[str, Any], arrays: list[np.ndarray]) -> None:
        """Write a state with the metrics and failures of all ranks.

        Args:
            description: JSON values; "variables" and "failures" are those of this rank.
            arrays: This rank's numbers.
        """
        if self._group.apart:
            for place in _metrics(description):
                arrays[place] = self._group.sum(arrays[place])
        if self._group.size > 1:
            description["failures"] = all_failures(self._group, description["failures"])
        if self._files is not None:
            self._files.save(description, arrays)

    def close(self) -> None:
        """Release the directory."""
        if self._files is not None:
            self._files.close()

    def _content(self) -> bytes:
        assert self._files is not None
        found = self._files.load()
        if found is None:
            return b""
        file = io.BytesIO()
        write_state(file, *found)
        return file.getvalue()


def _metrics(description: dict[str, Any]) -> range:
    # Where the metrics are among the arrays, which come in the order of these parts.
    first = 0
    for part, variables in description["variables"].items():
        if part == "metrics":
            return range(first, first + len(variables))
        first += len(variables)
    return range(0)
