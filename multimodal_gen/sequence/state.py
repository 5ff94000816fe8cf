"""Where a sequence stands and what it is made of, as JSON: what `state`, `set_state` and
`ResumeTraining` compare.

A position means something only together with the table, the plan and the loaders that it was taken
with. So a state holds digests of them, column by column and input by input, and a state of
something else is refused by name.
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
from multimodal_gen.rows.plan import Plan

_FORMAT = 1
_CHUNK_ROWS = 100_000
# Of a column of arrays, which may be larger than memory, so many rows are looked at.
_SAMPLED_ROWS = 64


def digest_of_column(column: pd.Series) -> str:
    """A digest of all cells of a column, in their order.

    Numbers and texts are read in full: ten million texts take about two seconds. Of an
    `ArrayColumn`, 64 rows spread evenly are. What stands in a file that a cell names is not looked
    at.

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
    elif isinstance(dtype, np.dtype) and dtype.kind in "biufcmM":
        digest.update(dtype.str.encode())
        digest.update(np.ascontiguousarray(column.to_numpy()).view("u1").data)
        return digest.hexdigest()
    for start in range(0, len(column), _CHUNK_ROWS):
        cells = column.iloc[start : start + _CHUNK_ROWS].tolist()
        digest.update("\n".join(map(_text, cells)).encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def digest_of_settings(value: Any) -> str:
    """A digest of a loader, an operation or any other value of settings.

    What has no JSON form, such as a function, counts by its name alone.
    """
    return blake2b(
        json.dumps(_settings(value), sort_keys=True).encode(), digest_size=16
    ).hexdigest()


def fingerprint(assembly: Any) -> dict[str, Any]:
    """What batches are made of: digests of the columns in use, of the inputs and targets, and of
    the operations.

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
    """The state of a sequence that stands before a batch of an epoch, as JSON values."""
    settings = {
        "batch_size": int(plan.batch_size),
        "shuffle": bool(plan.shuffle),
        "seed": int(plan.seed),
        "drop_remainder": bool(plan.drop_remainder),
        "endless": bool(endless),
        "rank": int(plan.rank),
        "world_size": int(plan.world_size),
        "sampler": _digest_of_numbers(plan.weights),
        "bucket_by_length": _digest_of_numbers(plan.buckets),
    }
    return {"format": _FORMAT, "epoch": epoch, "batch": batch, "plan": settings, **fingerprint}


def check_state(state: Any, own: Mapping[str, Any], num_batches: int | None = None) -> None:
    """Refuse a state that is not one, or is of another sequence.

    Args:
        state: What somebody kept.
        own: The state of the sequence that is to take it.
        num_batches: Batches of an epoch, which is as far as a position may go; None for no end.

    Raises:
        ValueError: It names everything that differs, or the batch that is beyond the epoch.
    """
    if not isinstance(state, Mapping) or set(state) != set(own) or state["format"] != _FORMAT:
        found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(
            f"That is no state that this version's `sequence.state()` gives. Received: {found}"
        )
    for name in ("epoch", "batch"):
        number = state[name]
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(
                f"A state's {name!r} must be an integer, at least 0. Received: {name}={number!r}"
            )
    problems = list(_differences(state, own))
    if problems:
        raise ValueError(
            f"The state is of another sequence: {'; '.join(problems)}. Build the sequence as it "
            "was when the state was taken, or begin anew. Received: the state of epoch "
            f"{state['epoch']}, batch {state['batch']}"
        )
    if num_batches is not None and state["batch"] > num_batches:
        raise ValueError(
            "A state's 'batch' counts the batches of an epoch that were taken, and there are "
            f"{num_batches}. Received: batch={state['batch']!r}"
        )


def _differences(state: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    # Digests say that something differs; numbers and words also what it was.
    if state["rows"] != own["rows"]:
        yield f"the table had {state['rows']:,} rows and has {own['rows']:,}"
    elif state["columns"] != own["columns"]:
        yield from _changed(
            "column", state["columns"], own["columns"], "other cells, or the same in another order"
        )
    for name, value in own["plan"].items():
        before = state["plan"].get(name)
        # Weights and buckets of rows have another digest in another table.
        if name in ("sampler", "bucket_by_length"):
            if (before is None) != (value is None) or (
                before != value and state["columns"] == own["columns"]
            ):
                yield f"{name} is another one"
        elif before != value:
            yield f"{name} was {before!r} and is {value!r}"
    operations = dict(state["operations"])
    if operations.get("on_error") == digest_of_settings("raise"):
        # Until it stopped, nothing had gone wrong: whatever becomes of a bad row has not yet made a
        # difference.
        operations["on_error"] = own["operations"]["on_error"]
    for word, before, now in (
        ("input", state["inputs"], own["inputs"]),
        ("target", state["targets"], own["targets"]),
        ("argument", operations, own["operations"]),
    ):
        yield from _changed(word, before, now, "other settings")


def _changed(
    word: str, before: Mapping[str, str], now: Mapping[str, str], how: str
) -> Iterator[str]:
    # Inputs have an order, as a model takes a list of them.
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
        # An object with functions inside: what of it can be told goes in.
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
    if isinstance(cell, list | tuple):
        return f"[{', '.join(map(_text, cell))}]"
    if hasattr(cell, "tobytes") and hasattr(cell, "__array_interface__"):
        # An array or a picture in memory; what prints it leaves most of it out, or prints an
        # address.
        return f"array {blake2b(cell.tobytes(), digest_size=16).hexdigest()}"
    text = repr(cell)
    return type(cell).__qualname__ if " at 0x" in text else text
