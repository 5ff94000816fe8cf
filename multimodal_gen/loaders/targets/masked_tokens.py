"""The tokens that a `MaskedTextLoader` hides, as the target of a model that predicts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.text.masked import MaskedTextLoader
from multimodal_gen.spec import ArraySpec

if TYPE_CHECKING:
    import keras

_LEAST_PROBABILITY = 1e-7


class MaskedTokens(Target):
    """The tokens that a `MaskedTextLoader` hides, to be predicted at every position.

    Yields `(sequence_length,) int32`: the ids of the hidden tokens at their positions, 0 elsewhere.
    The zeros count neither in the loss nor in the scores.

    The model puts out probabilities `(rows, sequence_length, vocabulary_size)`; `units` is their
    number a position. That is much for many rows: `Bundle.evaluate` and `Bundle.predict` hold the
    outputs of all rows of their table.

    Args:
        loader: The `MaskedTextLoader` among the inputs. The target must be made of the same one, or
            of an equal one.
    """

    activation = "softmax"
    kept_by_row = True
    loader: MaskedTextLoader

    def __init__(self, loader: MaskedTextLoader) -> None:
        if not isinstance(loader, MaskedTextLoader):
            raise ValueError(
                "MaskedTokens needs the MaskedTextLoader that is among the inputs, as in "
                f'`MaskedTokens(inputs["caption"])`. Received: loader={loader!r}'
            )
        self.loader = loader
        self.column = loader.column
        self.units = loader.encoder.vocabulary_size
        # The kind is "label", because no branch of the model is to be built for it.
        self.spec = ArraySpec(loader.spec.shape, "int32", "label", self.units)

    def check_inputs(self, inputs: Mapping[str, Loader]) -> None:
        """Check that the same loader is among the inputs.

        Raises:
            ValueError: If not.
        """
        if self.loader not in inputs.values():
            raise ValueError(
                f"The target `MaskedTokens(loader)` needs that same loader among the inputs, or "
                f"the model would see other masks than it is scored on. Received: {self.loader!r}, "
                f"inputs {list(inputs)}"
            )

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The hidden tokens."""
        return {
            "hidden": ", ".join(self.loader.encoder.token(one) for one in array if one)
            or "(nothing)"
        }

    def read(self, cell: Any) -> np.ndarray:
        """The ids of all tokens of the caption; `augment` decides which are labels."""
        return self.loader.read(cell)

    @property
    def cached_by(self) -> Loader:
        """The loader of the captions, so that they are kept once."""
        return self.loader.cached_by

    def read_batch(self, cells: Sequence[Any]) -> list[np.ndarray]:
        """The ids of many captions at once."""
        return self.loader.read_batch(cells)

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """Apply the loader's operations on text, as among the inputs."""
        return self.loader.augment_cell(cell, rng)

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """The ids of the hidden tokens, 0 elsewhere."""
        return self.loader.mask(array, rng)[1]

    @property
    def loss(self) -> keras.losses.Loss:
        """Cross-entropy on probabilities, the mean over the hidden tokens of a batch."""
        from multimodal_gen.loaders.targets.losses import MaskedCrossentropy

        return MaskedCrossentropy()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The share of the hidden tokens that the model predicts, "masked_accuracy"."""
        from multimodal_gen.loaders.targets.losses import MaskedAccuracy

        return [MaskedAccuracy()]

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Accuracy over the hidden tokens, and perplexity: e to the mean of their -log probability.

        Raises:
            ValueError: If no token is hidden, or the outputs are not one probability per token of
                the vocabulary.
        """
        outputs = self._checked(outputs)
        hidden = np.asarray(truth) != 0
        if not hidden.any():
            raise ValueError(
                "There is nothing to score: no caption has a hidden token. Received: truth of 0"
            )
        labels, guesses = np.asarray(truth)[hidden], outputs[hidden]
        # A probability that underflows to 0 would make the perplexity infinite.
        probabilities = np.clip(guesses[np.arange(len(labels)), labels], _LEAST_PROBABILITY, 1.0)
        return {
            "masked_accuracy": float(np.mean(guesses.argmax(axis=-1) == labels)),
            "perplexity": float(np.exp(-np.mean(np.log(probabilities, dtype="float64")))),
        }

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The column "tokens": the most likely token of each position, joined by single spaces.

        There are `sequence_length` tokens, `text.split(" ")[position]` is that of a position.
        Outputs alone do not show where a caption ends, so padding gets a meaningless token too:
        with padding on the right, the caption's own tokens are the first
        `np.count_nonzero(loader.read(text))`. Only ordinary tokens are returned.
        """
        outputs = self._checked(outputs)
        # Special tokens are excluded, as no caption has one at a hidden position.
        ordinary = np.flatnonzero(self.loader.encoder.ordinary)
        texts = np.empty(len(outputs), object)
        for row, output in enumerate(outputs):
            texts[row] = " ".join(
                self.loader.encoder.token(one)
                for one in ordinary[output[:, ordinary].argmax(axis=-1)]
            )
        return {"tokens": texts}

    def _checked(self, outputs: np.ndarray) -> np.ndarray:
        outputs = np.asarray(outputs)
        if outputs.ndim != 3 or outputs.shape[1:] != (*self.spec.shape, self.units):
            raise ValueError(
                "The model must output one probability per position and token, (rows, "
                f"{self.spec.shape[0]}, {self.units}). Received: outputs of shape {outputs.shape}"
            )
        return outputs
