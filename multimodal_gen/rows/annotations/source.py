"""A file or folder of annotations as formats look at it: each part is read when it is asked for."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from multimodal_gen.rows.annotations.noting import Found
from multimodal_gen.rows.annotations.sections import Sections, read_sections
from multimodal_gen.rows.formats.folders import Found as Files
from multimodal_gen.rows.formats.folders import find_files

# How many lines of a text say which format it has.
_LINES = 20
# Outlines of objects, which nothing here reads and which are most of such a file.
_LARGE = ("segmentation", "keypoints")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
# Names that an error lists, and letters of each.
_SHOWN, _LETTERS = 5, 40


@dataclass(frozen=True)
class Format:
    """A format of annotations.

    Args:
        name: The word for `format=`.
        title: What people call it.
        fits: Whether a file looks like it.
        read: Reads it.
    """

    name: str
    title: str
    fits: Callable[[Source], bool]
    read: Callable[[Source], Found]


class Source:
    """A file or folder.

    Args:
        path: Its path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_folder = path.is_dir()
        self.suffix = "" if self.is_folder else path.suffix.lower()

    @cached_property
    def sections(self) -> Sections:
        """What a .json file holds."""
        return read_sections(self.path, _LARGE)

    @property
    def json(self) -> Sections:
        """What it holds if it is a .json file, and nothing if it is another one."""
        return self.sections if self.suffix == ".json" else Sections()

    @cached_property
    def lines(self) -> list[str]:
        """The first lines of a text that are not blank."""
        if self.suffix not in (".csv", ".tsv", ".txt", ".token", ".jsonl", ".ndjson"):
            return []
        # What is not UTF-8 is found when the file is read.
        with self.path.open(encoding="utf-8-sig", errors="replace") as file:
            return list(islice((line.rstrip("\r\n") for line in file if line.strip()), _LINES))

    @cached_property
    def names(self) -> list[str]:
        """The columns of a table: the cells of the first line, the keys of the first object."""
        if self.suffix in (".parquet", ".pq"):
            from pyarrow import parquet

            return [str(name) for name in parquet.read_schema(self.path).names]
        if self.suffix in (".jsonl", ".ndjson"):
            return list(_first_object(self.lines))
        separator = _SEPARATORS.get(self.suffix, ",")
        return next(csv.reader(self.lines[:1], delimiter=separator), []) if self.lines else []

    @cached_property
    def files(self) -> Files:
        """What is in a folder, and below it."""
        return find_files(self.path) if self.is_folder else Files()

    def seen(self) -> str:
        """What it holds, in words."""
        if self.is_folder:
            pictures, others = self.files.pictures, self.files.others
            return f"a folder with {len(pictures):,} pictures and {len(others):,} other files" + (
                f", such as {others[0]!r}" if others else ""
            )
        if self.suffix == ".json":
            parts = [
                f"{f'{name[:_LETTERS]!r}: ' if name else ''}a list of objects with "
                f"{_some(sorted(table.columns))}"
                for name, table in self.sections.tables.items()
            ]
            values = self.sections.values
            keys = [f"the keys {_some(list(values))}"] if values else []
            more = [f"{len(parts) - _SHOWN:,} more lists"] if len(parts) > _SHOWN else []
            return "; ".join([*parts[:_SHOWN], *more, *keys]) or "an empty object"
        if self.suffix in (".parquet", ".pq", ".jsonl", ".ndjson"):
            return f"the columns {_some(self.names)}"
        return f"a first line {self.lines[0][:200]!r}" if self.lines else "nothing that is text"


def _some(names: Sequence[str]) -> str:
    # A file may have as many keys as pictures.
    first = ", ".join(repr(name[:_LETTERS]) for name in names[:_SHOWN])
    return f"[{first}{f' and {len(names) - _SHOWN:,} more' if len(names) > _SHOWN else ''}]"


def _first_object(lines: list[str]) -> dict[str, object]:
    import json

    try:
        found = json.loads(lines[0]) if lines else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
