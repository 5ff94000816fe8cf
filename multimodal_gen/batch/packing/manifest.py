"""What is done of a packed table, kept beside it, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from multimodal_gen.batch.packing.naming import Output
from multimodal_gen.errors import LoadError, TableError

_VERSION = 2


class Manifest:
    """What is done of a packed table: of each finished shard its digests and the rows left out.

    Args:
        output: Where it goes.
        settings: A digest of the table and of how it is packed.

    Raises:
        FileExistsError: If there is something of this name that was made of other rows, or
            otherwise, or not by `pack_table`.
    """

    def __init__(self, output: Output, settings: str) -> None:
        self._path, self._settings = output.manifest, settings
        self.done: dict[int, dict[str, Any]] = {}
        try:
            kept = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            there = [file for file in output.files if file.exists()]
            if there:
                raise FileExistsError(
                    f"{there[0]} already exists, and {self._path.name}, which would say what it "
                    "was made of, is not beside it: remove it, or choose another name. Received: "
                    f"out={output.path!r}"
                ) from None
            return
        except ValueError as error:
            raise TableError(
                f"{self._path} is damaged: remove it and the files it belongs to. Received: "
                f"out={output.path!r}"
            ) from error
        other = kept.get("version") != _VERSION or kept.get("settings") != settings
        if other and not kept.get("shards") and not any(map(Path.exists, output.files)):
            # A run that ended before its first shard, as with a column that the format cannot hold.
            return
        if other:
            raise FileExistsError(
                f"{output.path} already exists, and was packed from another table or in another "
                f"way: choose another name, or remove its files and {self._path}. Received: "
                f"out={output.path!r}"
            )
        self.done = {int(number): one for number, one in kept["shards"].items()}

    def save(self) -> None:
        """Write it, whole or not at all."""
        about = {"version": _VERSION, "settings": self._settings, "shards": self.done}
        partial = Path(f"{self._path}.partial")
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(about, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self._path)

    def bad(self) -> dict[int, LoadError]:
        """Position -> error of the rows that were left out."""
        return {
            int(row): LoadError(
                one["reason"], index=one["index"], column=one["column"], path=one["path"]
            )
            for shard in self.done.values()
            for row, one in shard["bad"].items()
        }


def as_json(bad: dict[int, LoadError]) -> dict[str, dict[str, Any]]:
    """Errors as the manifest keeps them."""
    return {
        str(row): {
            "reason": one.reason,
            "index": one.index if isinstance(one.index, int | str) else str(one.index),
            "column": one.column,
            "path": one.path,
        }
        for row, one in bad.items()
    }
