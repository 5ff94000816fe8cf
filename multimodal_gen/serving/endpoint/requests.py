"""The rows of a request: JSON with files as base64, or the fields and files of a form."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, NoReturn

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from multimodal_gen.errors import shown
from multimodal_gen.serving.endpoint.columns import (
    FILE,
    NUMBERS,
    Column,
    RequestError,
    Rows,
    rows_of,
)

# Lists and objects in JSON: each takes many times its bytes in memory.
_MOST_BRACKETS = 100_000


def read_rows(body: bytes, columns: Mapping[str, Column], most: int) -> Rows:
    """The rows of a JSON body.

    Args:
        body: The body.
        columns: The columns of the model.
        most: Rows of a request.

    Raises:
        RequestError: If it is not what it must be.
    """
    try:
        if body.count(b"[") + body.count(b"{") > _MOST_BRACKETS:
            raise RequestError(413, "the JSON has too many lists and objects: send fewer rows")
        found = json.loads(body, parse_constant=_no_constant)
    except RequestError:
        raise
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(400, f"the body is not JSON: {said}") from None
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list) or set(found) != {"rows"}:
        raise RequestError(
            422, f'the body must be {{"rows": [{{column: cell}}]}}. Received: {shown(found)}'
        )
    if not rows:
        raise RequestError(422, "there must be at least one row. Received: no rows")
    if len(rows) > most:
        raise RequestError(
            422, f"a request may have {most:,} rows: send fewer at once. Received: {len(rows):,}"
        )
    return rows_of(rows, columns)


async def read_form(body: bytes, headers: Headers, columns: Mapping[str, Column]) -> Rows:
    """The one row of a form.

    Args:
        body: The body.
        headers: Those of the request, with the boundary of its parts.
        columns: The columns of the model.

    Raises:
        RequestError: If it is not what it must be.
    """
    parser = MultiPartParser(headers, _chunks(body), max_part_size=len(body))
    # A body that is in memory already needs no file on disk.
    parser.spool_max_size = len(body) + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RequestError(400, f"the form cannot be read: {error.message}") from None
    parts: dict[str, list[Any]] = {}
    for name, value in form.multi_items():
        if name not in columns:
            raise RequestError(
                422,
                f"The columns are {', '.join(map(repr, columns))}. Received: {shown(name)}",
            )
        parts.setdefault(name, []).append(value)
    cells: dict[str, Any] = {}
    errors: dict[int, str] = {}
    for name, values in parts.items():
        cells[name] = _cell(columns[name], values)
    return Rows([cells], errors)


async def _chunks(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _cell(column: Column, values: Sequence[Any]) -> Any:
    found = [_part(column, one) for one in values]
    if column.many:
        there = [one for one in found if one is not None]
        return there or None
    if len(found) > 1:
        raise RequestError(
            422, f"column {column.name!r} must come once. Received: {len(found)} times"
        )
    return found[0]


def _part(column: Column, value: Any) -> Any:
    if isinstance(value, UploadFile):
        content = value.file.read()
        value.file.close()
        if column.kind != FILE:
            raise RequestError(
                422, f"column {column.name!r} must be a field, not a file. Received: a file"
            )
        # What a browser sends for a field without a file.
        return None if not content and not value.filename else content
    if not value:
        # An empty field is a missing cell, as in a csv file.
        return None
    if column.kind == FILE:
        raise RequestError(
            422, f"column {column.name!r} must be a file, with its content. Received: a text"
        )
    if column.kind != NUMBERS:
        return value
    try:
        return Column(column.name, NUMBERS).from_json(json.loads(value), 0)
    except (ValueError, RecursionError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            422, f"column {column.name!r} must be JSON of numbers. Received: {shown(value)}"
        ) from None
