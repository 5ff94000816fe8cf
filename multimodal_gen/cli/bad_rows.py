"""Report cells that cannot be read without the advice and the lines of Python in loaders' errors,
and rows that a trained model cannot read before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from multimodal_gen.errors import LoadError, counted
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.cell_errors import placed, read_at
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.chunks import cells_in

if TYPE_CHECKING:
    # Audits and caches, which use this file, start without Keras.
    from multimodal_gen.bundle.bundle import Bundle

# Rows that an error names.
_MOST = 5
# What loaders say of a path without a file.
NO_FILE = "no such file"
_CODE = re.compile(r"`[^`]*`")
_OPTION = re.compile(r"--[a-z]")
# What is left of "listed in `x`" without its code: a word that ends no sentence.
_DANGLING = re.compile(
    r"\s+(?:in|of|by|with|to|from|as|for|at|on|than|like|a|an|the|and|or|set|is|are|be|give)$"
    r"|[\s(]+$"
)
# Where a sentence, or a part of one that is complete, ends.
_ENDS = re.compile(r"(?<=[.;])\s+")


def plain_reason(reason: str) -> str:
    """What is wrong with a cell, without the sentences that help only in Python or in training
    because they name code or an option. The received value is kept.

    Args:
        reason: The text of a `LoadError`.
    """
    # What follows is from the table, and may hold anything.
    said, received, rest = reason.partition("Received: ")
    # A point inside code ends no sentence.
    codes = _CODE.findall(said)
    parts = _ENDS.split(_CODE.sub("`", said).strip())
    kept = [part for part in parts if not _is_advice(part)]
    if not _is_advice(parts[0]):
        text = " ".join(kept)
    elif not codes:
        # It is in the words of the command line already.
        text = " ".join([parts[0], *kept])
    else:
        # Of the sentence that says what is wrong, its beginning.
        first = re.split(r"`|\(?--[a-z]", parts[0])[0]
        first = re.split(r"[,:;](?!.*[,:;])", first)[0].rstrip()
        # A bracket that the cut has left open goes too.
        first = first[: first.rindex("(")] if first.count("(") > first.count(")") else first
        while (shorter := _DANGLING.sub("", first)) != first:
            first = shorter
        text = " ".join([first + ".", *kept])
    text = re.sub(r";$", ".", text)
    # Nobody who types a command has a None in a cell.
    return f"{text.replace(' (None or NaN)', '')} {received}{rest}".strip()


def plain_message(message: str) -> str:
    """The message of a finding of an audit in the same way; a path at its end is kept.

    Args:
        message: What the audit says of one cell.
    """
    if "`" not in message:
        return message
    path = re.search(r" \([^()]*\)$", message)
    said = message if path is None else message[: path.start()]
    return f"{plain_reason(said).rstrip('.')}{'' if path is None else path[0]}"


def _is_advice(part: str) -> bool:
    return "`" in part or _OPTION.search(part) is not None


def plain_error(error: LoadError) -> LoadError:
    """The same error, with its reason shortened by `plain_reason`."""
    return LoadError(
        plain_reason(error.reason),
        index=error.index,
        column=error.column,
        path=error.path,
        unknown_label=error.unknown_label,
    )


def check_rows(bundle: Bundle, rows: pd.DataFrame, folder: str) -> None:
    """Reject rows that cannot be scored, as far as this is cheap to check: labels, numbers, missing
    cells and missing files. The content of files is not checked.

    Args:
        bundle: The bundle that will score them.
        rows: The rows.
        folder: The base folder of relative paths, in words.

    Raises:
        LoadError: With the first bad cell, the number of bad rows, and the first of them.
    """
    targets = (
        [bundle.target] if isinstance(bundle.target, Target) else (bundle.target or {}).values()
    )
    bad: dict[int, LoadError] = {}
    for loader in (*targets, *bundle.inputs.values()):
        for position, error in _bad_cells(loader, rows):
            bad.setdefault(position, error)
    if not bad:
        return
    places = sorted(bad)
    lost = [place for place in places if is_lost_file(bad[place])]
    if len(lost) > len(rows) / 2:
        raise _with_way_out(
            bad[lost[0]],
            f"The files of {len(lost):,} of {counted(len(rows), 'row')} are not there: "
            f"{relative_to(bad[lost[0]], folder)}",
        )
    names = [repr(rows.index[[place]].tolist()[0]) for place in places[:_MOST]]
    more = f" and {len(places) - _MOST:,} more" if len(places) > _MOST else ""
    # Files that are broken inside are found only when they are read.
    least = "At least " if any(one.spec.kind == "image" for one in bundle.inputs.values()) else ""
    said = f"{least}{len(places):,} of {len(rows):,} rows cannot be scored, at index "
    said = f"{said}{', '.join(names)}{more}: fix them" if len(places) > 1 else "Fix it"
    raise _with_way_out(
        bad[places[0]], f"{said}, or score only the other rows with --on-error skip."
    )


def is_lost_file(error: LoadError) -> bool:
    """Whether a cell names a file that is not there."""
    return error.path is not None and NO_FILE in error.reason


def scheme_of(error: LoadError) -> str | None:
    """How the URL in a cell begins, such as "https", if that is why it was not opened."""
    refused = error.path is not None and "the cell is a URL" in error.reason
    return str(error.path).partition("://")[0] if refused else None


def relative_to(error: LoadError, folder: str) -> str:
    """What to ask where the files of a whole column are not there.

    Args:
        error: The error of one of its cells.
        folder: The base folder of relative paths, in words.
    """
    return f"are the paths in {error.column!r} relative to --directory {folder}?"


def lost_all(error: LoadError, rows: int, folder: str) -> LoadError:
    """The error for a table without a loadable row: if files are not found, the folder is probably
    wrong.

    Args:
        error: The error of the first row.
        rows: The number of rows.
        folder: The base folder of relative paths, in words.
    """
    reason = f"{error.reason.rstrip('.')}. None of the {rows:,} rows can be loaded"
    if (scheme := scheme_of(error)) is not None:
        reason += f": --directory {scheme}:// opens them"
    elif is_lost_file(error):
        reason += f": {relative_to(error, folder)}"
    return LoadError(reason, index=error.index, column=error.column, path=error.path)


def unscored(error: LoadError) -> LoadError:
    """The error for a row that turned out to be bad when it was read for scoring."""
    return _with_way_out(
        error,
        "Fix it, or score only the rows that can be read with --on-error skip, which counts the "
        "others.",
    )


def _with_way_out(error: LoadError, way_out: str) -> LoadError:
    reason, received, rest = plain_reason(error.reason).partition("Received: ")
    reason = f"{reason.strip().rstrip('.')}. {way_out} {received}{rest}".strip()
    return LoadError(reason, index=error.index, column=error.column, path=error.path)


def _bad_cells(loader: Loader, rows: pd.DataFrame) -> Iterable[tuple[int, LoadError]]:
    if isinstance(loader, Target) and loader.cached_by is not loader:
        # Made of what an input reads.
        return
    for position, cell in enumerate(cells_in(rows, loader.column)):
        index = rows.index[position]
        try:
            if is_missing(cell):
                if loader.missing != "blank":
                    read_at(loader, cell, index)
            elif loader.kept_by_row:
                read_at(loader, cell, index)
            elif not (isinstance(cell, str) and "://" in cell):
                loader.file_of(cell)
        except LoadError as error:
            yield position, error if error.column else placed(error, loader, cell, index)
