"""The branch for categories: one learned vector for each, and one for all that are new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from multimodal_gen.models.branch import Branch, Encoding, require_kind
from multimodal_gen.spec import UNSEEN, ArraySpec


@keras.saving.register_keras_serializable(package="multimodal_gen")
class CategoryEmbedding(layers.Layer):
    """One learned vector per id. In training, a share of the ids is read as id 1, "unseen".

    No training row has a value that training did not have, so without this the vector of unseen
    values would be learned from nothing; with it, it is learned from what rows have in common
    (Kiperwasser and Goldberg, 2016, section 4, do so for words). A missing category stays missing.

    Args:
        vocabulary_size: Number of ids, with the first three that are no category.
        units: Size of the vectors.
        rate: Share of the ids that is replaced in training, in [0, 1).
        multiplier: Factor of the output. With an optimizer like Adam, whose steps do not depend on
            the size of gradients, it multiplies the learning rate of this layer.
    """

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        *,
        rate: float = 0.0,
        multiplier: float = 1.0,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.rate = rate
        self.multiplier = multiplier
        # A generator of its own, so that it is saved and resumed with the model.
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the `(vocabulary_size, units)` table."""
        self.table = self.add_weight(
            shape=(self.vocabulary_size, self.units),
            initializer=keras.initializers.RandomNormal(stddev=0.05 / self.multiplier),
            name="table",
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`(batch, 1)` int32 ids -> `(batch, units)`."""
        ids = ops.squeeze(inputs, 1)
        if training and self.rate:
            drawn = keras.random.uniform(ops.shape(ids), seed=self.seed_generator)
            ids = ops.where((drawn < self.rate) & (ids > UNSEEN), UNSEEN, ids)
        vectors = ops.cast(ops.take(self.table, ids, axis=0), self.compute_dtype)
        return vectors * self.multiplier

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`(batch, 1)` -> `(batch, units)`."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("vocabulary_size", "units", "rate", "multiplier")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class CategoryBranch(Branch):
    """A learned vector for each category.

    Args:
        embedding_size: Size of the embedding. Default: `1.6 * ids ** 0.56`, at most 600, the rule
            of fastai's `emb_sz_rule` (Howard and Gugger, "fastai: a layered API for deep learning",
            2020): 4 for 3 categories, 21 for 100.
        rate: Share of the categories that is read as unseen in training, as that vector learns from
            nothing else.
        multiplier: Factor of this branch's learning rate: a category is in few batches, so its
            vector is moved seldom (see `CategoryEmbedding`).
    """

    embedding_size: int | None = None
    rate: float = 0.1
    multiplier: float = 3.0

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`(batch, 1)` int32 -> `(batch, embedding_size)`."""
        require_kind(self, spec, "category", 1)
        if spec.vocabulary_size is None or spec.shape != (1,):
            raise ValueError(
                "A CategoryBranch needs one id per row, and a spec that says how many ids there "
                f"are. Received: shape={spec.shape}, vocabulary_size={spec.vocabulary_size}"
            )
        size = self.embedding_size or min(600, round(1.6 * spec.vocabulary_size**0.56))
        embedding = CategoryEmbedding(
            spec.vocabulary_size,
            size,
            rate=self.rate,
            multiplier=self.multiplier,
            name=f"{name}_embedding",
        )
        return Encoding(embedding(inputs))
