"""What is kept about every picture: records of fixed size in a file, so that a stopped audit can
resume.

The file starts with one line of JSON that describes the records. If a process was killed, anything
after the last complete record is cut off.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_gen.errors import TableError

DETAIL = 32
RECORD = np.dtype(
    [
        ("key", "V16"),
        ("digest", "V16"),
        ("bytes", "<u8"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("mode", "S8"),
        ("format", "S16"),
        ("spread", "<f4"),
        ("bits", "u1", (24,)),
        ("pixels", "u1", (DETAIL, DETAIL, 3)),
    ]
)
_HEADER = 256
_NAME = "multimodal_gen audit"


class Records:
    """Records in a file, in the order they were added.

    Args:
        path: The file; None for one that is deleted with this object.
        settings: What the records depend on, as text; records made with other settings are dropped.

    Raises:
        TableError: If the file exists and is something else.
        OSError: If it cannot be written, here or later.
    """

    def __init__(self, path: str | os.PathLike[str] | None, settings: str) -> None:
        made_with = blake2b(settings.encode(), digest_size=16).hexdigest()
        header = json.dumps(
            {"file": _NAME, "record": RECORD.itemsize, "settings": made_with}
        ).encode()
        header = header.ljust(_HEADER - 1) + b"\n"
        self._name = "a temporary file" if path is None else os.fspath(path)
        # Unbuffered, so that what a full disk refused is not written again when the file is closed.
        if path is None:
            self.file: Any = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this object
            self._write(header)
        else:
            path = Path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = path.open("r+b" if path.exists() else "w+b", buffering=0)
            found = self.file.read(_HEADER)
            if found and _NAME.encode() not in found:
                self.file.close()
                raise TableError(
                    "This file is not the state of an audit; choose another `state`. Received: "
                    f"state={os.fspath(path)!r}"
                )
            # The records were made with other settings and cannot be used.
            if found != header:
                self.file.seek(0)
                self.file.truncate()
                self._write(header)
        self.file.seek(0, os.SEEK_END)
        self.count = (self.file.tell() - _HEADER) // RECORD.itemsize
        self.file.truncate(_HEADER + self.count * RECORD.itemsize)
        self.file.seek(0, os.SEEK_END)

    def add(self, records: Sequence[np.ndarray]) -> int:
        """Append records, and return the place of the first."""
        first = self.count
        self._write(b"".join(record.tobytes() for record in records))
        self.count += len(records)
        return first

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                # An unbuffered write may write only a part.
                left = left[self.file.write(left) :]
        except OSError as error:
            raise OSError(
                error.errno,
                f"the results for pictures cannot be saved: {error.strerror}. Free some space, or "
                "choose another `state` (--out on the command line); the same audit resumes where "
                "it stopped",
                self._name,
            ) from None

    def all(self) -> np.ndarray:
        """All records, memory-mapped."""
        if not self.count:
            return np.zeros(0, RECORD)
        return np.memmap(self.file, RECORD, "r", _HEADER, (self.count,))

    def places(self) -> dict[bytes, int]:
        """Key -> place of the record."""
        return {bytes(key): place for place, key in enumerate(self.all()["key"])}

    def close(self) -> None:
        """Close the file."""
        self.file.close()
