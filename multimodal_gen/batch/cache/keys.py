"""The keys of a cache: which cells, and which loaders, count as the same.

A cell that names a file is identified by the file's path, size and modification time; a URL by
itself and the version that its server tells; any other cell by its content.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

import numpy as np

from multimodal_gen._version import __version__
from multimodal_gen.batch.cache.code import code_of
from multimodal_gen.config import classes_in, serialize
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.encoded.encoder import Encoder

KEY_BYTES = 16
_SECOND = 10**9
# File systems store times in ticks of the system's clock (at most 10 ms), or of one or two seconds.
_TICK, _COARSE_TICK = 20 * 10**6, 2 * _SECOND


def key_of(loader: Loader, cell: Any) -> bytes | None:
    """Return the 16-byte key of a cell, or None if it cannot be identified reliably."""
    if loader.parts:
        found = [key_of(part, one) for part, one in zip(loader.parts, cell, strict=True)]
        keys = [key for key in found if key is not None]
        return _digest(b"parts", *keys) if len(keys) == len(found) else None
    try:
        path = loader.file_of(cell)
    # The loader refuses the cell, and `read` will say why; or it is a URL.
    except Exception:
        return _key_of_url(loader, cell)
    if path is not None:
        return _key_of_file(path)
    if isinstance(cell, str):
        return _digest(b"text", cell.encode("utf-8", "surrogatepass"))
    if isinstance(cell, bytes | bytearray | memoryview):
        return _digest(b"data", cell)
    if isinstance(cell, np.ndarray) and not cell.dtype.hasobject:
        return _digest(
            b"array",
            f"{cell.dtype.descr} {cell.shape}\0".encode(),
            np.ascontiguousarray(cell).tobytes(),
        )
    if isinstance(cell, Mapping) and set(cell) <= {"bytes", "path"}:
        data, path = cell.get("bytes"), cell.get("path")
        if isinstance(data, bytes | bytearray | memoryview):
            return _digest(b"mapping", f"{path!r}\0".encode("utf-8", "backslashreplace"), data)
        if (
            data is None
            and isinstance(path, str | os.PathLike)
            and loader.file_of(path) is not None
        ):
            return key_of(loader, path)
    return None


def _key_of_url(loader: Loader, cell: Any) -> bytes | None:
    if isinstance(cell, Mapping):
        cell = cell.get("path")
    try:
        version = loader.version_of(cell)
    except Exception:
        return None
    return None if version is None else _digest(b"url", version.encode("utf-8", "surrogatepass"))


def _key_of_file(path: str) -> bytes | None:
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return None
    # `abspath` is slow, and most paths are absolute already.
    path = path if path.startswith("/") else os.path.abspath(path)
    return blake2b(
        b"file%d\0%d\0" % (stat.st_size, stat.st_mtime_ns) + os.fsencode(path), digest_size=16
    ).digest()


def _digest(*parts: bytes | bytearray | memoryview) -> bytes:
    digest = blake2b(parts[0], digest_size=KEY_BYTES)
    for part in parts[1:]:
        digest.update(part.tobytes() if isinstance(part, memoryview) else part)
    return digest.digest()


def settle(loader: Loader, cell: Any) -> None:
    """Wait until a file has not changed for one tick of its clock.

    A second change within the same tick does not change the time, so it would not be noticed.
    """
    for part, one in zip(loader.parts, cell if loader.parts else (), strict=True):
        settle(part, one)
    try:
        path = loader.file_of(cell)
        if path is None and isinstance(cell, Mapping):
            path = loader.file_of(cell.get("path"))
        changed = os.stat(path or "").st_mtime_ns
    except (OSError, ValueError):
        return
    tick = _TICK if changed % _SECOND else _COARSE_TICK
    age = time.time_ns() - changed
    if 0 <= age < tick:
        time.sleep((tick - age) / _SECOND)


def settings_of(loader: Loader) -> str:
    """Return everything except the cell that the result of `read` depends on, as JSON.

    Raises:
        TypeError: If a setting has no JSON form.
    """
    config = loader.read_config()
    classes = {**classes_in(config), type(loader).__name__: type(loader)}
    # A loader or an encoder inside it, whose settings are in the config in another form.
    classes |= {
        name: one
        for name, one in classes_in(loader.get_config()).items()
        if issubclass(one, Loader | Encoder)
    }
    settings = {
        "class": type(loader).__name__,
        "config": serialize(config),
        # Without `item`: of arrays with several items, a cache keeps the items.
        "spec": {name: one for name, one in asdict(loader.read_spec).items() if name != "item"},
        # A cache on a network drive may be read by other machines.
        "byteorder": sys.byteorder,
        # A new version may read the same cell differently.
        "version": __version__,
        "sources": {name: _sources(one) for name, one in sorted(classes.items())},
    }
    return json.dumps(settings, indent=1, sort_keys=True)


def kept_settings(loader: Loader) -> str | None:
    """Return `settings_of` what is kept for a loader, or None if its arrays are not kept."""
    source = loader.cached_by
    dtype = np.dtype(source.read_spec.dtype)
    kept = loader.cached and source.cached and not dtype.hasobject and dtype.itemsize > 0
    # It is unknown which parts of a tuple name files, unless a loader of its own reads each.
    kept = kept and (isinstance(source.column, str) or bool(source.parts))
    return settings_of(source) if kept else None


def _sources(cls: type) -> dict[str, str]:
    # Users edit their own loaders without renaming them, so the source code is part of the key.
    found = {}
    for one in cls.__mro__:
        if one.__module__.partition(".")[0] not in ("multimodal_gen", "builtins", "abc", "typing"):
            try:
                text = inspect.getsource(one)
            except (OSError, TypeError):
                # A class of a notebook's cell has no file.
                text = ""
            # The code too: a file may have been edited since it was imported.
            content = f"{text}{code_of(vars(one))}".encode("utf-8", "replace")
            found[one.__qualname__] = blake2b(content, digest_size=8).hexdigest()
    return found
