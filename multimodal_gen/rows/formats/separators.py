"""A header that is a single column although its name holds a separator: what the file seems
separated by instead.
"""

from __future__ import annotations

from collections.abc import Sequence

_SIGNS = (";", "\t", "|", ",")


def wrong_separator(names: Sequence[str]) -> str:
    """What a header of one column seems separated by, and the way out, as a sentence; "" where
    nothing says so.

    A single column may well have such a name, so it is only worth a word where something else is
    wrong.

    Args:
        names: The names of all columns.
    """
    if len(names) != 1:
        return ""
    (name,) = names
    found = [sign for sign in _SIGNS if sign in name]
    if not found:
        return ""
    sign = max(found, key=name.count)
    save = {",": "name it .csv", "\t": "name it .tsv"}.get(sign, "save it as .csv with commas")
    return (
        f"The header has one column, {name!r}; the file seems separated by {sign!r}: {save}, or "
        f"read it with `pd.read_csv(path, sep={sign!r}, dtype=str, keep_default_na=False, "
        "na_values=[''])`."
    )
