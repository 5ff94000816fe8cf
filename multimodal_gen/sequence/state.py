"""The state of a sequence as JSON: a position, and digests of the data it belongs to.

`state`, `set_state` and `ResumeTraining` use it. A position is meaningful only with the same table,
plan and loaders. A state therefore holds a digest per column and per input, and an error names the
ones that differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.config import serialize
from multimodal_gen.rows.arrays import ArrayDtype
from multimodal_gen.rows.chunks import chunks_of
from multimodal_gen.rows.plan import Plan
from multimodal_gen.rows.stores.column import StoredColumn

_FORMAT = 1
# A column of arrays may be larger than memory, so only this many of its rows are read.
_SAMPLED_ROWS = 64


def digest_of_column(column: pd.Series) -> str:
    """Compute a digest of the cells of a column, in their order.

    Numbers and texts are read in full: ten million texts take about two seconds. For an
    `ArrayColumn`, 64 evenly spaced rows are read. For a column of `open_table`, its files count, by
    name, size and time, and which of their rows are shown. Files that cells name are not opened.

    Args:
        column: Any column.

    Returns:
        32 hexadecimal digits, the same in every process.
    """
    digest = blake2b(digest_size=16)
    dtype = column.dtype
    if isinstance(dtype, ArrayDtype):
        rows = np.unique(np.linspace(0, len(column) - 1, _SAMPLED_ROWS).astype("int64"))
        digest.update(f"{len(column)} {dtype.name}".encode())
        column = column.iloc[rows]
    elif isinstance(column.array, StoredColumn):
        for store, name in column.array.sources:
            digest.update(f"{name} {store.fingerprint()}\n".encode("utf-8", "surrogatepass"))
        for part in chunks_of(column):
            digest.update(np.ascontiguousarray(part.array.rows).view("u1").data)
        return digest.hexdigest()
    elif isinstance(dtype, np.dtype) and dtype.kind in "biufcmM":
        # Numbers are read as bytes, which mean something else in another type.
        digest.update(dtype.str.encode())
        digest.update(np.ascontiguousarray(column.to_numpy()).view("u1").data)
        return digest.hexdigest()
    for part in chunks_of(column):
        digest.update("\n".join(map(_text, part.tolist())).encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def digest_of_settings(value: Any) -> str:
    """Compute a digest of a loader, an operation or another setting.

    For a value without a JSON form, such as a function, only the name counts.
    """
    return blake2b(
        # Settings in another order are the same settings.
        json.dumps(_settings(value), sort_keys=True).encode(),
        digest_size=16,
    ).hexdigest()


def fingerprint(assembly: Any) -> dict[str, Any]:
    """Compute digests of everything that batches depend on: columns, inputs, targets, operations.

    Args:
        assembly: The `Assembly` of a sequence.

    Returns:
        JSON values.
    """
    targets = {
        "the target" if name is None else name: one for name, one in assembly.targets.items()
    }
    by_class = {str(name): weights.tolist() for name, weights in assembly.weights.by_class.items()}
    return {
        "rows": len(assembly.table),
        "columns": {
            str(name): digest_of_column(assembly.table[name])
            for name in dict.fromkeys(assembly.columns)
        },
        "inputs": {name: digest_of_settings(loader) for name, loader in assembly.inputs.items()},
        "targets": {name: digest_of_settings(loader) for name, loader in targets.items()},
        "operations": {
            "augmenting": digest_of_settings(bool(assembly.augmenting)),
            "sample_augment": digest_of_settings(list(assembly.sample_augment)),
            "batch_augment": digest_of_settings(list(assembly.batch_augment)),
            "class_weight": digest_of_settings(by_class),
            "on_error": digest_of_settings(assembly.on_error),
        },
    }


def make_state(
    plan: Plan, fingerprint: Mapping[str, Any], *, endless: bool, epoch: int, batch: int
) -> dict[str, Any]:
    """Return the state of a sequence before a batch of an epoch, as JSON values."""
    settings = {
        "batch_size": int(plan.batch_size),
        "shuffle": bool(plan.shuffle),
        "seed": int(plan.seed),
        "drop_remainder": bool(plan.drop_remainder),
        "endless": bool(endless),
        "sampler": _digest_of_numbers(plan.weights)
        if plan.mixture is None
        else plan.mixture.fingerprint(),
        "bucket_by_length": _digest_of_numbers(plan.buckets),
    }
    return {"format": _FORMAT, "epoch": epoch, "batch": batch, "plan": settings, **fingerprint}


def check_state(state: Any, own: Mapping[str, Any], num_batches: int | None = None) -> None:
    """Refuse a value that is not a state, or a state of another sequence.

    Args:
        state: The value to check.
        own: The state of the sequence that is to take it.
        num_batches: Batches per epoch, the greatest possible position; None for an endless
            sequence.

    Raises:
        ValueError: It names everything that differs, or the batch that is beyond the epoch.
    """
    if not isinstance(state, Mapping) or set(state) != set(own) or state["format"] != _FORMAT:
        found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(
            f"`state` must be what this version's `sequence.state()` returns. Received: {found}"
        )
    for name in ("epoch", "batch"):
        number = state[name]
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(
                f"{name!r} in a state must be an integer of at least 0. Received: {name}={number!r}"
            )
    problems = list(_differences(state, own))
    if problems:
        raise ValueError(
            f"The state belongs to another sequence: {'; '.join(problems)}. Build the sequence "
            "as it was when the state was taken, or start over. Received: the state of epoch "
            f"{state['epoch']}, batch {state['batch']}"
        )
    if num_batches is not None and state["batch"] > num_batches:
        raise ValueError(
            f"'batch' in a state must be at most {num_batches}, the batches per epoch. Received: "
            f"batch={state['batch']!r}"
        )


def _differences(state: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    # A digest shows only that something differs; settings also show the old and new value.
    if state["rows"] != own["rows"]:
        yield f"the table had {state['rows']:,} rows and has {own['rows']:,}"
    elif state["columns"] != own["columns"]:
        yield from _changed(
            "column",
            state["columns"],
            own["columns"],
            "different cells, or the same in another order",
        )
    for name, value in own["plan"].items():
        before = state["plan"].get(name)
        # Weights and buckets depend on the table, whose difference was already reported.
        if name in ("sampler", "bucket_by_length"):
            if (before is None) != (value is None) or (
                before != value and state["columns"] == own["columns"]
            ):
                yield f"{name} differs"
        elif before != value:
            yield f"{name} was {before!r} and is {value!r}"
    operations = dict(state["operations"])
    if operations.get("on_error") == digest_of_settings("raise"):
        # With "raise", no row had failed until the run stopped, so the policy has had no effect
        # yet.
        operations["on_error"] = own["operations"]["on_error"]
    for word, before, now in (
        ("input", state["inputs"], own["inputs"]),
        ("target", state["targets"], own["targets"]),
        ("argument", operations, own["operations"]),
    ):
        yield from _changed(word, before, now, "different settings")


def _changed(
    word: str, before: Mapping[str, str], now: Mapping[str, str], how: str
) -> Iterator[str]:
    # The order of inputs matters, because a model takes them as a list.
    if set(before) != set(now) or (word == "input" and list(before) != list(now)):
        yield f"the {word}s were {list(before)} and are {list(now)}"
    for name in now:
        if before.get(name, now[name]) != now[name]:
            yield f"{word} {name!r} has {how}"


def _digest_of_numbers(values: np.ndarray | None) -> str | None:
    return (
        None
        if values is None
        else blake2b(np.ascontiguousarray(values).view("u1").data, digest_size=16).hexdigest()
    )


def _settings(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _settings(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_settings(item) for item in value]
    try:
        return serialize(value)
    except TypeError:
        # An object with functions inside: its name and settings are all that can be compared.
        config = getattr(value, "get_config", None)
        name = value.__qualname__ if hasattr(value, "__qualname__") else type(value).__qualname__
        return (
            [name, _settings(config())]
            if callable(config) and not isinstance(value, type)
            else name
        )


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return repr(cell)
    if isinstance(cell, bytes | bytearray | memoryview):
        return f"bytes {blake2b(cell, digest_size=16).hexdigest()}"
    if isinstance(cell, PurePath):
        return repr(str(cell))
    if isinstance(cell, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(item)}" for key, item in cell.items()) + "}"
    if isinstance(cell, np.ndarray) and cell.dtype.hasobject:
        # Their bytes are addresses; so are the lists of a column read from Parquet.
        cell = cell.tolist()
    if isinstance(cell, list | tuple):
        return f"[{', '.join(map(_text, cell))}]"
    if hasattr(cell, "tobytes") and hasattr(cell, "__array_interface__"):
        # An array or a picture in memory: `repr` would leave most of it out, or print an address.
        return f"array {blake2b(cell.tobytes(), digest_size=16).hexdigest()}"
    text = repr(cell)
    # The address of an object is another one in every run.
    return type(cell).__qualname__ if " at 0x" in text else text
