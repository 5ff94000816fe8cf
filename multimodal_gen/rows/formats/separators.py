"""A header with a single column whose name contains a separator: which separator the file seems to
use.
"""

from __future__ import annotations

from collections.abc import Sequence

_SIGNS = (";", "\t", "|", ",")


def wrong_separator(names: Sequence[str]) -> str:
    """Which separator a header of one column seems to use, and what to do; "" if there is no sign
    of one.

    A single column may have such a name, so this is only reported if something else is wrong.

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
        f"The header has one column, {name!r}; the file seems to be separated by {sign!r}: {save}, "
        f"or read it with `pd.read_csv(path, sep={sign!r}, dtype=str, keep_default_na=False, "
        "na_values=[''])`."
    )
