"""The settings that all batches of a sequence share: table, loaders, policies, operations.

The plan decides which rows are in a batch, and their random streams. A `Draft` is one batch made
with these settings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from multimodal_gen.batch.buckets import Buckets
from multimodal_gen.batch.cache import ArrayCache, LoaderCache
from multimodal_gen.batch.cache.filled import is_filled
from multimodal_gen.batch.failures import FailureLog
from multimodal_gen.batch.shared_draws import joined_targets
from multimodal_gen.batch.slots import Slot
from multimodal_gen.batch.sources import Source, sources_of
from multimodal_gen.batch.weights import Weights
from multimodal_gen.errors import TableError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.rows.table import check_columns
from multimodal_gen.spec import ArraySpec, mask_names, with_masks

# Name -> how the inputs of a batch are given to Keras.
INPUTS_AS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "list": lambda inputs: list(inputs.values()),
    "tuple": lambda inputs: tuple(inputs.values()),
    "dict": dict,
    "array": lambda inputs: next(iter(inputs.values())),
}


@dataclass(frozen=True)
class Reading:
    """How cells are read.

    Args:
        threads: Size of the pool.
        timeout: Maximum seconds per read, or None.
    """

    threads: int
    timeout: float | None = None


@dataclass(frozen=True)
class Assembly:
    """The settings of the batches of one table.

    Args:
        table: One row per sample.
        inputs: Input name -> loader.
        targets: Target name -> target; the name is None for a single target.
        weights: How rows are weighted.
        sample_augment: Operations on whole samples.
        batch_augment: Operations on whole batches.
        augmenting: Whether anything random happens.
        inputs_as: The form of a batch's inputs: one of `INPUTS_AS`; "array" for a single one.
        reading: How cells are read.
        on_error: What happens to a row that cannot be loaded: "raise", "skip" or "blank".
        max_error_rate: Greatest share of rows that may be lost.
        buckets: The lengths that batches of one input are cut to, or None.
        cache: Where arrays are kept on disk, or None.

    Attributes:
        sources: Slot -> where its arrays come from; in training by `Loader.for_training`.
        failures: The rows that could not be loaded so far.
        masks: Name of an input -> name of its mask, for inputs that have one.
        specs: Name -> spec of everything that a model gets: the inputs, then their masks.
    """

    table: pd.DataFrame
    inputs: Mapping[str, Loader]
    targets: Mapping[str | None, Loader]
    weights: Weights
    sample_augment: Sequence[Any]
    batch_augment: Sequence[Any]
    augmenting: bool
    inputs_as: str
    reading: Reading
    on_error: str = "raise"
    max_error_rate: float = 1.0
    buckets: Buckets | None = None
    cache: ArrayCache | None = None
    sources: Mapping[Slot, Source] = field(init=False, repr=False, compare=False)
    failures: FailureLog = field(init=False, repr=False, compare=False)
    masks: Mapping[str, str] = field(init=False, repr=False, compare=False)
    specs: Mapping[str, ArraySpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A target that is a picture must get the same random draws as its input picture.
        targets = joined_targets(self.inputs, self.targets) if self.augmenting else self.targets
        inputs = dict(self.inputs)
        if self.augmenting:
            inputs = {name: loader.for_training() for name, loader in inputs.items()}
        loaders = {Slot("input", name): loader for name, loader in inputs.items()}
        loaders |= {Slot("target", name): target for name, target in targets.items()}
        sources = sources_of(loaders, len(self.table), self.cache, training=self.augmenting)
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "failures", FailureLog(len(self.table), self.max_error_rate))
        object.__setattr__(self, "masks", mask_names(inputs))
        object.__setattr__(self, "specs", with_masks(inputs))

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        return columns_read(self.inputs, self.targets, self.weights.columns)

    def columns_without(self, slots: Collection[Slot]) -> list[str]:
        """The columns that are read if the arrays of some slots are known."""
        rest = {str(slot): one.loader for slot, one in self.sources.items() if slot not in slots}
        return columns_read(rest, {}, self.weights.columns)

    @property
    def copies_from_cache(self) -> bool:
        """Whether a filled cache makes batches as fast as memory allows: it copies them, and
        nothing varies what it holds.
        """
        cached = [one.loader for one in self.sources.values() if one.cache is not None]
        return bool(cached) and not any(
            # Items of a batch lie apart, and are read one by one.
            one.varies(self.augmenting) or one.spec.kind == "many"
            for one in cached
        )

    def is_cached(self) -> bool:
        """Return whether the cache holds the arrays of nearly all rows."""
        caches = [one.cache for one in self.sources.values() if one.cache is not None]
        kept = [one for one in caches if isinstance(one, LoaderCache)]
        # Which items a cell has is not looked up here.
        items = any(one.loader.spec.kind == "many" for one in caches)
        return not items and is_filled(kept, self.table)

    def batch_bytes(self, rows: int) -> int:
        """Bytes that hold the arrays of a batch, with masks and weights."""
        specs = [source.loader.spec for source in self.sources.values()]
        # What is small, and the start of each array at a multiple of 64 bytes.
        return rows * sum(spec.nbytes + 64 for spec in specs) + 4096

    def for_evaluation(self, table: pd.DataFrame) -> Assembly:
        """Return the same settings for the rows of another table, for evaluation.

        Nothing is random, classes have no weights, and all captions have their full length.

        Raises:
            TableError: If the table has no rows or lacks a column.
        """
        try:
            check_columns(table, self.columns)
        except TableError as error:
            hint = ""
            if self.targets:
                hint = (
                    " To predict rows without targets, use `MultimodalSequence(table, "
                    "sequence.inputs)`."
                )
            raise TableError(f"{error}.{hint}") from None
        # Scores must weigh rows as the table does, not as training balanced its classes.
        weights = replace(self.weights, by_class={})
        return replace(self, table=table, augmenting=False, weights=weights, buckets=None)

    def release(self) -> None:
        """Forget the rows that are kept in temporary files, and close the files."""
        for source in self.sources.values():
            if source.memory is not None:
                source.memory.clear()


def columns_read(
    inputs: Mapping[str, Loader],
    targets: Mapping[str | None, Loader],
    weights: Sequence[str],
) -> list[str]:
    """Return the columns of weights, then those that loaders and targets read."""
    columns = list(weights)
    for loader in (*inputs.values(), *targets.values()):
        columns += [loader.column] if isinstance(loader.column, str) else list(loader.column)
    return columns
