"""What is kept of every picture: records of one size in a file, so that an audit that was stopped
can go on.

The file starts with one line of JSON that says what the records are of. Whatever was written after
the last whole record, when a process was killed, is cut off.
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
    """Records in a file, in the order in which they were added.

    Args:
        path: The file; None for one that is gone with this object.
        settings: What the records depend on, as text; records that were made with other settings
            are dropped.

    Raises:
        TableError: If there is such a file that is something else.
        OSError: If it cannot be written, here or later.
    """

    def __init__(self, path: str | os.PathLike[str] | None, settings: str) -> None:
        made_with = blake2b(settings.encode(), digest_size=16).hexdigest()
        header = json.dumps(
            {"file": _NAME, "record": RECORD.itemsize, "settings": made_with}
        ).encode()
        header = header.ljust(_HEADER - 1) + b"\n"
        self._name = "a temporary file" if path is None else os.fspath(path)
        # Unbuffered: what a full disk refuses is not to be tried again when the file is closed.
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
                    "This file is not the state of an audit; give another `state`. Received: "
                    f"state={os.fspath(path)!r}"
                )
            # Made with other settings, so nothing in it can be used.
            if found != header:
                self.file.seek(0)
                self.file.truncate()
                self._write(header)
        self.file.seek(0, os.SEEK_END)
        self.count = (self.file.tell() - _HEADER) // RECORD.itemsize
        self.file.truncate(_HEADER + self.count * RECORD.itemsize)
        self.file.seek(0, os.SEEK_END)

    def add(self, records: Sequence[np.ndarray]) -> int:
        """Append records; where the first of them stands."""
        first = self.count
        self._write(b"".join(record.tobytes() for record in records))
        self.count += len(records)
        return first

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                # Without a buffer, a write may take only a part.
                left = left[self.file.write(left) :]
        except OSError as error:
            raise OSError(
                error.errno,
                f"what was seen of pictures cannot be kept: {error.strerror}. Make room, or give "
                "another `state` (--out on the command line); the same audit continues where it "
                "stopped",
                self._name,
            ) from None

    def all(self) -> np.ndarray:
        """All records, mapped into memory."""
        if not self.count:
            return np.zeros(0, RECORD)
        return np.memmap(self.file, RECORD, "r", _HEADER, (self.count,))

    def places(self) -> dict[bytes, int]:
        """Key -> place of the record."""
        return {bytes(key): place for place, key in enumerate(self.all()["key"])}

    def close(self) -> None:
        """Close the file."""
        self.file.close()
