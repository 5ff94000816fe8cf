"""The names of inputs, made from the names of their columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# `metrics.json` uses these keys for the model on all inputs and for details, so no input may have
# such a name.
_RESERVED = {"both", "all", "details"}
# A single column of one of these kinds has the name of the kind.
_NAMED_BY_KIND = ("image", "images", "caption", "captions")


def input_names(columns: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], str]:
    """The names of the inputs of pictures, captions, categories and dates.

    A single column of pictures is "image", and a single one of captions "caption"; if cells hold
    several, they are "images" and "captions". Others keep their own names, in which everything but
    ASCII letters, digits and underscores is replaced, as Keras requires. If the name is taken, as
    that of an input or of its mask, the kind is put before it.

    Args:
        columns: Kind ("image", "images", "caption", "captions", "category", "date" or "number") ->
            its columns. All numbers together are one input, "number".

    Returns:
        (kind, column) -> name, for all kinds but "number".
    """
    single = {kind for kind in _NAMED_BY_KIND if len(columns.get(kind, ())) == 1}
    taken = single | _RESERVED | ({"number"} if columns.get("number") else set())
    names = {}
    for kind in (*_NAMED_BY_KIND, "category", "date"):
        for place, column in enumerate(columns.get(kind, ()), 1):
            name = re.sub(r"[^0-9A-Za-z_]+", "_", column).strip("_") or f"{kind}_{place}"
            if kind in single:
                name = kind
            elif name in taken or name.removesuffix("_present") in taken - {name}:
                name = f"{kind}_{name}" if f"{kind}_{name}" not in taken else f"{kind}_{place}"
            names[kind, column] = name
            taken.add(name)
    return names
