"""`DualEncoder`: pictures and texts as vectors of one space, to compare, to label and to search.

It is a bundle of a model from `models/contrastive.py` without a target, and is saved like one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Self

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.halves import halves_of, vectors_of
from multimodal_gen.bundle.loading import load_bundle
from multimodal_gen.bundle.pair_fits import better_fits_of, fits_of
from multimodal_gen.bundle.pair_items import (
    Items,
    items_in,
    one_cell,
    reads_text,
    recalls,
)
from multimodal_gen.bundle.retrieval import VectorIndex, labelled
from multimodal_gen.loaders.base import Loader
from multimodal_gen.models.pairs import pair_of
from multimodal_gen.rows.checks import check_choice


class DualEncoder:
    """Two encoders whose vectors share one space, such as those of pictures and their captions.

    Args:
        model: A model of `build_dual_encoder`, trained by `fit_contrastive`, or one that takes
            vectors which share a space already.
        inputs: Input name -> loader, the two that the model was built for.

    Raises:
        TypeError: If the model is another one.
        ValueError: If the model and the loaders do not match.

    Example:
        pair = DualEncoder(model, inputs)
        pair.zero_shot(table, {"mug": "a mug", "lamp": ["a lamp", "a lamp on a table"]})
        pair.index(table).search("red mug", k=5)
    """

    def __init__(self, model: keras.Model, inputs: Mapping[str, Loader]) -> None:
        self._pair = pair_of(model)
        self._bundle = Bundle(model, inputs)
        self._halves = halves_of(model, inputs)

    @property
    def model(self) -> keras.Model:
        """The model of both halves."""
        return self._bundle.model

    @property
    def inputs(self) -> dict[str, Loader]:
        """Input name -> loader."""
        return self._bundle.inputs

    @property
    def scale(self) -> float:
        """What cosine similarities are multiplied by before they become probabilities."""
        return float(keras.ops.convert_to_numpy(self._pair.similarity_scale))

    def embed(
        self, table: pd.DataFrame, name: str, *, batch_size: int = 64, verbose: int = 0
    ) -> np.ndarray:
        """Return the vectors of one input for every row of a table.

        A cell that holds several items has the vector of the mean of their embeddings, of the first
        `at_most`.

        Args:
            table: It needs the columns of this input only.
            name: The input.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.

        Returns:
            `(rows, size) float32` of length 1, in the order of the table; NaN for rows with a cell
            that cannot be loaded, which a warning counts.

        Raises:
            LoadError: If no row can be loaded.
        """
        check_choice("name", name, tuple(self._halves))
        return vectors_of(self._halves[name], table, batch_size, verbose)

    def similarity(self, table: pd.DataFrame, *, batch_size: int = 64) -> pd.Series:
        """Return how well the two inputs of each row fit: cosines in [-1, 1].

        Rows with low values are candidates for pictures that have another one's caption.

        Args:
            table: It needs the columns of both inputs.
            batch_size: Rows per batch.

        Returns:
            float32 with the table's index; NaN for rows that cannot be loaded.
        """
        first, second = self._vectors(table, batch_size).values()
        return pd.Series((first * second).sum(axis=1), table.index, name="similarity")

    def better_fits(self, table: pd.DataFrame, *, batch_size: int = 64) -> pd.DataFrame:
        """Return how many other rows fit better than the own one, which `similarity` cannot tell.

        Args:
            table: It needs the columns of both inputs.
            batch_size: Rows per batch.

        Returns:
            A column for each input: the share of the other rows, in [0, 1], whose other cell fits
            this cell better, without those of an equal cell. NaN for rows that cannot be loaded.
        """
        return better_fits_of(self.inputs, table, self._vectors(table, batch_size))

    def fits(self, table: pd.DataFrame, *, batch_size: int = 64) -> pd.DataFrame:
        """Say whether the two cells of rows belong together that the pair was not trained on.

        Args:
            table: It needs the columns of both inputs.
            batch_size: Rows per batch.

        Returns:
            As `out_of_fold_fits`: the columns of `better_fits`, "similarity" and "exchanged".
        """
        return fits_of([(self, table)], batch_size)

    def _vectors(self, table: pd.DataFrame, batch_size: int) -> dict[str, np.ndarray]:
        return {name: self.embed(table, name, batch_size=batch_size) for name in self._halves}

    def zero_shot(
        self,
        table: pd.DataFrame,
        prompts: Mapping[str, str | Sequence[str]],
        *,
        batch_size: int = 64,
    ) -> pd.DataFrame:
        """Label rows by the text that is nearest to them, without training on labels.

        Args:
            table: It needs the columns of the input that is not the text.
            prompts: Label -> what describes it: a text, or several whose vectors are averaged.
            batch_size: Rows per batch.

        Returns:
            As `Bundle.predict` of a `ClassLabel`: "label" with the most likely label, and a column
            with the probability of each; None and NaN for rows that cannot be loaded.

        Raises:
            ValueError: If there are fewer than two labels, or none of the inputs is a text.
        """
        if not isinstance(prompts, Mapping) or len(prompts) < 2:
            raise ValueError(
                "`prompts` must map at least two labels to texts, as in {'mug': 'a mug', ...}. "
                f"Received: prompts={prompts!r}"
            )
        text, other = self._text_input(), self._other(self._text_input())
        vectors = np.stack([self._mean(text, one) for one in prompts.values()])
        embedded = self.embed(table, other, batch_size=batch_size)
        return labelled(self.scale * embedded @ vectors.T, list(prompts), table.index)

    def index(
        self, table: pd.DataFrame, name: str | None = None, *, batch_size: int = 64
    ) -> VectorIndex:
        """Make the rows of a table searchable by text, or by picture.

        Args:
            table: It needs the columns of this input only.
            name: The input whose vectors are searched; by default the one that is not a text.
            batch_size: Rows per batch.

        Returns:
            The index. Rows that cannot be loaded are not in it. If cells hold several items, a row
            is as near as its nearest item.
        """
        name = self._other(self._text_input()) if name is None else name
        check_choice("name", name, tuple(self._halves))
        items, vectors = self._of_items(table, name, batch_size)
        return VectorIndex(table, vectors, self.encode_query, items.rows)

    def evaluate(
        self, table: pd.DataFrame, *, ranks: Sequence[int] = (1, 5, 10), batch_size: int = 64
    ) -> dict[str, float]:
        """Score how often the right row is among the nearest ones, in both directions.

        A row counts as right if it is the same one, or has an equal cell in either column. Where
        cells hold several items, each is looked for by itself, and each is a query: with five
        captions of each picture, a picture is to find any of its five among all captions, and each
        caption its picture, as is usual for Flickr30k and COCO. Items after `at_most` count too.

        Args:
            table: It needs the columns of both inputs.
            ranks: How many of the nearest rows are looked at.
            batch_size: Rows per batch.

        Returns:
            "{query}_to_{found}_recall_at_{rank}" -> share of the queries, for both directions.

        Raises:
            LoadError: If a row cannot be loaded.
        """
        items, vectors = {}, {}
        for name, half in self._halves.items():
            items[name], vectors[name] = self._of_items(table, name, batch_size)
            for item in np.flatnonzero(np.isnan(vectors[name]).any(axis=1))[:1]:
                # Reading the row again raises the error that names it.
                half.predict(table.iloc[[items[name].rows[item]]])
                half.predict(items[name].cells.iloc[[item]])
        return recalls(vectors, items, len(table), ranks)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model and the loaders into a folder, as `Bundle.save` does."""
        self._bundle.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **arguments: Any) -> Self:
        """Read what `save` wrote.

        Args:
            path: The folder.
            **arguments: As for `load_bundle`.

        Raises:
            BundleError: If the folder is not a bundle, or is damaged.
            TypeError: If it is a bundle of another model.
        """
        bundle = load_bundle(path, **arguments)
        return cls(bundle.model, bundle.inputs)

    def encode_query(self, query: Any, by: str | None = None) -> np.ndarray:
        """Return the vector of one text or picture.

        Args:
            query: A text, or any cell that the other input reads, such as a `pathlib.Path`.
            by: The input that reads it; by default the text for a str, else the other one.

        Returns:
            `(size,) float32` of length 1.

        Raises:
            LoadError: If it cannot be loaded.
        """
        if by is None:
            text = self._text_input()
            several = query if isinstance(query, list) and query else [query]
            words = all(isinstance(one, str) for one in several)
            by = text if words else self._other(text)
        check_choice("by", by, tuple(self._halves))
        cell = os.fspath(query) if isinstance(query, PurePath) else query
        return self._vectors_of(by, [cell])[0]

    def _of_items(
        self, table: pd.DataFrame, name: str, batch_size: int
    ) -> tuple[Items, np.ndarray]:
        # Each item of the cells of an input, and its vector.
        items = items_in(table, self.inputs[name])
        return items, self.embed(items.cells, name, batch_size=batch_size)

    def _vectors_of(self, name: str, cells: Sequence[Any]) -> np.ndarray:
        column = self.inputs[name].column
        if not isinstance(column, str):
            raise ValueError(
                "A query needs an input that reads one column. Received: an input that reads "
                f"{column!r}"
            )
        values = np.empty(len(cells), object)
        values[:] = [one_cell(cell, self.inputs[name]) for cell in cells]
        return self.embed(pd.DataFrame({column: values}), name)

    def _mean(self, name: str, texts: str | Sequence[str]) -> np.ndarray:
        texts = [texts] if isinstance(texts, str) else list(texts)
        mean = self._vectors_of(name, texts).mean(axis=0)
        return np.asarray(mean / max(np.linalg.norm(mean), 1e-12), "float32")

    def _text_input(self) -> str:
        found = [name for name, loader in self.inputs.items() if reads_text(loader)]
        if len(found) != 1:
            raise ValueError(
                f"One of the two inputs must read texts. Received: inputs that read texts, {found}"
            )
        return found[0]

    def _other(self, name: str) -> str:
        return next(one for one in self._halves if one != name)

    def __repr__(self) -> str:
        loaders = "\n".join(
            f"  {name}: {loader.spec} from {loader.column!r}"
            for name, loader in self.inputs.items()
        )
        size = next(iter(self._halves.values())).model.output_shape[-1]
        return f"DualEncoder: vectors of {size} numbers, scale {self.scale:.1f}\n{loaders}"
