"""Which arrays other processes may have written since this one has last looked.

Processes that fill one cache see what others have written once per second. In between, each would
write its own copy of a cell that several read at about the same time. So whoever writes an array
leaves its key in a small file. A key that is there already is a reason to look at once, and nothing
more: the file is a hash table that is never cleared, in which a newer key may replace another one.
"""

from __future__ import annotations

import os
import struct
import weakref

from multimodal_gen.batch.cache.segments import BINARY

FILE = "claims"
_NOTES = 2**15
_NOTE = struct.Struct("<Q")


class Claims:
    """The file of one folder.

    Args:
        folder: The folder of the arrays.

    Raises:
        OSError: If the file cannot be created.
    """

    def __init__(self, folder: str) -> None:
        path = os.path.join(folder, FILE)
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | BINARY, 0o666)
        self.close = weakref.finalize(self, os.close, self._file)

    def claim(self, key: bytes) -> bool:
        """Leave a key, and return whether it is new: if not, another process may have written it.

        Raises:
            OSError: If the disk is full.
        """
        if not hasattr(os, "pread"):
            return True
        note = key[: _NOTE.size]
        offset = _NOTE.unpack(note)[0] % _NOTES * _NOTE.size
        if os.pread(self._file, _NOTE.size, offset) == note:
            return False
        os.pwrite(self._file, note, offset)
        return True
