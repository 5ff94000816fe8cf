"""What a request may hold in each column, and the cells that are made of it.

A cell of a table may name a file, and a loader opens it. A request comes from a stranger, so no
text of it ever reaches a loader that might take it for a path or a URL: a picture is its bytes.
Which loaders read texts and values is asked of them (`reads_text`, `kept_by_row`); whatever else a
loader reads, it gets as bytes or as numbers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from multimodal_gen.errors import LoadError, shown
from multimodal_gen.loaders.arrays import ArrayLoader
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.loaders.file_loader import FileLoader
from multimodal_gen.loaders.many import ManyLoader

FILE, TEXT, VALUE, NUMBERS = "file", "text", "value", "numbers"
# What JSON must hold, in words.
_WORDS = {
    FILE: "the content of a file as base64",
    TEXT: "a text",
    VALUE: "a text, a number, true or false",
    NUMBERS: "a number, or lists of numbers",
}


class RequestError(ValueError):
    """A request that cannot be answered at all, with its HTTP status.

    Args:
        status: Such as 422.
        reason: What is wrong, in one sentence.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Column:
    """A column that the loaders read.

    Args:
        name: Its name.
        kind: "file" for bytes, "text", "value" for a text or a number, or "numbers" for an array.
        many: Whether a cell is a list of such.
        picture: Whether a file is a picture.
        optional: Whether the cell may be missing.
    """

    name: str
    kind: str
    many: bool = False
    picture: bool = False
    optional: bool = False

    def from_json(self, value: Any, row: int) -> Any:
        """The cell for a value of JSON; None stays None, which is a missing cell.

        Args:
            value: The value.
            row: The place of the row in its request.

        Raises:
            RequestError: If it is of another type.
            LoadError: If it is not base64.
        """
        if value is None:
            return None
        if not self.many:
            return self._one(value, row)
        if not isinstance(value, list):
            raise self._wrong(value, row)
        return [None if one is None else self._one(one, row) for one in value]

    def _one(self, value: Any, row: int) -> Any:
        kind = self.kind
        if kind == FILE and isinstance(value, str):
            return self._content(value, row)
        right = (
            (kind == TEXT and isinstance(value, str))
            or (kind == VALUE and isinstance(value, str | int | float))
            or (kind == NUMBERS and _is_numbers(value))
        )
        if not right:
            raise self._wrong(value, row)
        return value

    def _content(self, text: str, row: int) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            # `shown` of a picture in base64 is long, and says nothing.
            raise LoadError(
                f"the text is not the content of a file as base64: {error}. Received: "
                f"{len(text):,} characters",
                index=row,
                column=self.name,
            ) from None

    def _wrong(self, value: Any, row: int) -> RequestError:
        wanted = f"a list, each item {_WORDS[self.kind]}" if self.many else _WORDS[self.kind]
        return RequestError(
            422, f"Row {row}: column {self.name!r} must be {wanted}. Received: {shown(value)}"
        )


def columns_of(inputs: Mapping[str, Loader]) -> dict[str, Column]:
    """The columns that the loaders of a model read, by name.

    Raises:
        ValueError: If two loaders read different things from one column.
    """
    found: dict[str, Column] = {}
    for loader in inputs.values():
        for one in _read_by(loader):
            before = found.setdefault(one.name, one)
            if {before.kind, one.kind} == {TEXT, VALUE}:
                # A text is a value, but not the other way round.
                one = before = before if before.kind == TEXT else one
            if (before.kind, before.many) != (one.kind, one.many):
                raise ValueError(
                    "A request can hold only one thing in a column. Received: inputs that read "
                    f"{_WORDS[before.kind]} and {_WORDS[one.kind]} from column {one.name!r}"
                )
            optional = before.optional and one.optional
            found[one.name] = Column(one.name, one.kind, one.many, before.picture, optional)
    return found


def _read_by(loader: Loader) -> Iterator[Column]:
    if isinstance(loader.column, tuple):
        # A loader of several columns reads each by a loader of its own, or values as its cells.
        parts = {one.column: one for one in loader.parts}
        for name in loader.column:
            if name in parts:
                yield from _read_by(parts[name])
            else:
                yield Column(name, _kind_of(loader), optional=_takes_missing(loader))
        return
    many = isinstance(loader, ManyLoader)
    item = loader.item if many else loader
    picture = item.spec.kind == "image"
    yield Column(loader.column, _kind_of(item), many, picture, _takes_missing(loader))


def _takes_missing(loader: Loader) -> bool:
    if not loader.accepts_missing:
        return loader.missing == "blank"
    # It sees missing cells, and may refuse them.
    cell = None if isinstance(loader.column, str) else (None,) * len(loader.column)
    try:
        loader.read(cell)
    except LoadError:
        return False
    return True


def _kind_of(loader: Loader) -> str:
    inner = loader
    while isinstance(inner, EncodedLoader) and inner.loader is not None:
        inner = inner.loader
    if isinstance(inner, ArrayLoader):
        return NUMBERS
    if isinstance(inner, FileLoader):
        return FILE
    if inner.reads_text:
        return TEXT
    # What is kept by row depends on nothing but the cell, and on no file. An encoder of the cells
    # themselves may be any function, which may open them.
    if inner.kept_by_row and not isinstance(inner, EncodedLoader):
        return VALUE
    return FILE


def _is_numbers(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return True
    return isinstance(value, list) and all(map(_is_numbers, value))


def rows_of(values: Iterable[Any], columns: Mapping[str, Column]) -> Rows:
    """The cells of the rows of a request, and the errors of those that have none.

    Args:
        values: The rows, as JSON gives them.
        columns: The columns of the model.

    Raises:
        RequestError: If a row is not an object of these columns.
    """
    cells: list[dict[str, Any]] = []
    errors: dict[int, str] = {}
    for place, row in enumerate(values):
        if not isinstance(row, dict):
            raise RequestError(
                422, f"Row {place} must be an object of columns. Received: {shown(row)}"
            )
        unknown = [name for name in row if name not in columns]
        if unknown:
            raise RequestError(
                422,
                f"Row {place}: the columns are {', '.join(map(repr, columns))}. Received: "
                f"{shown(unknown[0])}",
            )
        own: dict[str, Any] = {}
        for name, value in row.items():
            try:
                own[name] = columns[name].from_json(value, place)
            except LoadError as error:
                errors[place] = f"{errors[place]}; {error}" if place in errors else str(error)
        cells.append(own)
    return Rows(cells, errors)


@dataclass(frozen=True)
class Rows:
    """The rows of a request.

    Args:
        cells: Column -> cell of each row; a column that is left out is a missing cell.
        errors: Place of a row -> why it has no prediction.
    """

    cells: list[dict[str, Any]]
    errors: dict[int, str]
