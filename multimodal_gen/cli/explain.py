"""What `explain` does after its arguments are read and the bundle is loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.explaining.page import page
from multimodal_gen.cli.bad_rows import NO_FILE, plain_reason
from multimodal_gen.cli.predict import check_columns_of
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.errors import counted

_FIRST_ROWS = 20
_RANGE = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?")
# With fewer other rows, all rows of the table stand for what is left out.
_FEWEST_OTHERS = 8


def rows_named(text: str | None, count: int) -> list[int]:
    """The rows that --rows names, in its order, each once; by default the first 20.

    Args:
        text: Numbers and ranges of rows, such as "3,17,40-45"; the first row is 0, as in
            predictions.
        count: How many rows the table has.

    Raises:
        ValueError: If it is something else, or names a row that the table does not have.
    """
    if text is None:
        return list(range(min(_FIRST_ROWS, count)))
    found: dict[int, None] = {}
    for part in text.split(","):
        matched = _RANGE.fullmatch(part)
        if matched is None:
            raise ValueError(
                "--rows needs numbers of rows and ranges of them, such as 3,17,40-45. Received: "
                f"--rows {text}"
            )
        first, last = int(matched[1]), int(matched[2] or matched[1])
        if last >= count or first > last:
            raise ValueError(
                f"--rows must name rows from 0 to {count - 1:,}, and in ranges the smaller first. "
                "Received: "
                f"--rows {text}"
            )
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


def explain_to_page(
    bundle: Bundle,
    table: pd.DataFrame,
    rows: list[int],
    of: str | None,
    target: str | None,
    out: Path,
    folder: str,
    reporter: Reporter,
) -> bool:
    """Explain rows of a table and write the page.

    Args:
        bundle: The bundle.
        table: The table, whose other rows stand for what is left out.
        rows: Positions of the rows.
        of: The class or number to explain, or None.
        target: Of several targets the name of one, or None.
        out: The HTML file.
        folder: The base folder of relative paths, in words.
        reporter: Gets the reports.

    Returns:
        Whether any row could be explained.
    """
    check_columns_of(bundle, table)
    others = table.drop(index=table.index[rows])
    background = others if len(others) >= _FEWEST_OTHERS else table
    found = bundle.explain(table.iloc[rows], of=of, target=target, background=background)
    out.parent.mkdir(parents=True, exist_ok=True)
    what = f"Why {of}" if of is not None else "Why the predictions"
    out.write_text(page(found, what), encoding="utf-8")
    lost = [str(one.error) for one in found if one.error is not None]
    reporter.say(f"Explained {counted(len(found) - len(lost), 'row')}: {out}")
    if lost:
        reporter.say(
            f"note: {counted(len(lost), 'row')} without a prediction. The first: "
            f"{plain_reason(lost[0])}"
        )
    if 2 * sum(NO_FILE in one for one in lost) > len(found):
        reporter.say(f"Are the paths of these rows relative to --directory {folder}?")
    return len(lost) < len(found)
