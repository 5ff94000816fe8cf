"""A folder of finished folds, from which a stopped cross-validation continues.

`folds.json` says which table and settings they belong to. Each fold is a bundle in `fold-N/`, with
the outputs for its rows in `outputs.npy`. These are written last, in one step: a fold without them
is trained again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.loading import load_bundle
from multimodal_gen.sequence.state import digest_of_column, digest_of_settings

_FORMAT = 1


class Kept:
    """The finished folds in a folder; without one, nothing is kept.

    Args:
        folder: The folder, which is created; or None.
        settings: What the folds depend on, as JSON values.

    Raises:
        ValueError: If the folder has the folds of other settings; it names what differs.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, settings: Mapping[str, Any]) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is None:
            return
        own = {"format": _FORMAT, **settings}
        file = self.folder / "folds.json"
        if file.exists():
            self._check(file, own)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(file, f"{json.dumps(own, indent=1)}\n".encode())

    def _check(self, file: Path, own: dict[str, Any]) -> None:
        try:
            found = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"The folds in a folder cannot be continued, as their settings cannot be read "
                f"({error}). Name another folder. Received: folder={str(self.folder)!r}"
            ) from error
        differing = [
            name
            for name in dict.fromkeys([*own, *found])
            if not isinstance(found, dict) or own.get(name) != found.get(name)
        ]
        if differing:
            raise ValueError(
                "The folder holds the folds of another cross-validation, which must not be mixed "
                f"with these: {', '.join(differing)} "
                f"{'differs' if len(differing) == 1 else 'differ'}. Name another folder, or remove "
                f"it. Received: folder={str(self.folder)!r}"
            )

    def load(self, number: int) -> tuple[Bundle, np.ndarray] | None:
        """The bundle and the outputs of a fold, counting from 1; None if it is not finished."""
        if self.folder is None:
            return None
        place = self.folder / f"fold-{number}"
        if not (place / "outputs.npy").exists():
            return None
        return load_bundle(place), np.load(place / "outputs.npy", allow_pickle=False)

    def save(self, number: int, bundle: Bundle, outputs: np.ndarray) -> None:
        """Keep a finished fold."""
        if self.folder is None:
            return
        place = self.folder / f"fold-{number}"
        bundle.save(place)
        temporary = place / ".outputs.npy"
        np.save(temporary, outputs, allow_pickle=False)
        os.replace(temporary, place / "outputs.npy")


def digests_of_table(table: pd.DataFrame, columns: list[str] | None) -> dict[str, str]:
    """Column -> digest of its cells, and of the index; of all columns for None."""
    names = list(table.columns) if columns is None else list(dict.fromkeys(columns))
    found = {f"column {name!r}": digest_of_column(table[name]) for name in names}
    return {**found, "the index": digest_of_column(table.index.to_series())}


def digest_of_function(function: Callable[..., Any]) -> str:
    """A digest of a function's name and code; of other values, that of their settings."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return digest_of_settings(function)
    digest = blake2b(digest_size=16)
    waiting = [code]
    while waiting:
        one = waiting.pop()
        digest.update(one.co_code)
        digest.update(repr((one.co_name, one.co_names)).encode())
        for value in one.co_consts:
            # Functions inside it; their `repr` has an address.
            if isinstance(value, CodeType):
                waiting.append(value)
            else:
                digest.update(repr(value).encode())
    return digest.hexdigest()


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_name(f".{file.name}")
    temporary.write_bytes(content)
    os.replace(temporary, file)
