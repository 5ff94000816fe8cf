"""Masked language modelling: a caption with some tokens hidden as input, and those tokens as target.

`MaskedTextLoader` goes among the inputs and `MaskedTokens` in the y position. Both work out the same mask for a row:
while training from the row's random stream, which is one for the two as they read one column, and when evaluating
from the caption's ids.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal_gen.augment.parameters import check_probability
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.target import Target
from multimodal_gen.loaders.text import TextLoader
from multimodal_gen.loaders.tokens import TokenEncoder
from multimodal_gen.spec import ArraySpec

if TYPE_CHECKING:
    import keras

# Of the chosen tokens 8 in 10 become the mask token, 1 in 10 a random one, and 1 in 10 stays.
_MASKED, _RANDOM = 0.8, 0.1
_LEAST_PROBABILITY = 1e-7


class MaskedTextLoader(Loader):
    """A text loader that hides some of the tokens, for a model that is to guess them.

    Of the ordinary tokens of a caption the share `rate`, rounded, and at least one, is chosen at random. Of these 80 %
    become the mask token, 10 % a random ordinary token, and 10 % stay as they are (Devlin et al., 2019, "BERT", 3.1,
    and its `create_pretraining_data.py`). Special tokens and padding are never chosen.

    Each epoch hides other tokens. When evaluating, a caption always has the same ones hidden, which depend on its ids
    alone. The loader's own operations are applied before.

    Yields what the loader does, token ids `(sequence_length,) int32`, kind "tokens".

    Args:
        loader: A `TextLoader` that yields tokens. It is also what to feed the trained model with where nothing is to
            be hidden. For captions that ask with the mask token itself, as "a red [MASK]", make a loader that knows it:
            `loader.replace(tokenizer=loader.encoder.replace(match_special_tokens=True))`.
        rate: Share of the tokens that are chosen, in (0, 1].
        mask_token: A token that the tokenizer has; those of `TextLoader.from_texts` have "[MASK]".

    Example:
        masked = MaskedTextLoader(TextLoader.from_texts("caption", train["caption"]))
        data = MultimodalSequence(train, {"caption": masked}, MaskedTokens(masked), shuffle=True)
    """

    kept_by_row = True

    def __init__(self, loader: TextLoader, *, rate: float = 0.15, mask_token: str = "[MASK]") -> None:
        encoder = getattr(loader, "encoder", None)
        if not isinstance(loader, TextLoader) or not isinstance(encoder, TokenEncoder):
            raise ValueError(
                'Masking needs a TextLoader that yields tokens, as `TextLoader.from_texts(output_mode="tokens")` makes '
                f"it. Received: loader={loader!r}"
            )
        check_probability("rate", rate)
        if not rate:
            raise ValueError(f"`rate` must be positive, or there is nothing to guess. Received: rate={rate!r}")
        self.loader = loader
        self.encoder = encoder
        self.rate = rate
        self.mask_id = encoder.token_id(mask_token)
        self.column = loader.column
        self.spec = loader.spec
        self._ordinary = encoder.ordinary & (np.arange(encoder.vocabulary_size) != self.mask_id)
        self._choices = np.flatnonzero(self._ordinary)
        if not len(self._choices):
            raise ValueError("The tokenizer knows no words that could be hidden. Received: only special tokens")

    def read(self, cell: Any) -> np.ndarray:
        """Encode one caption; nothing is hidden yet."""
        return self.loader.read(cell)

    @property
    def cached_by(self) -> Loader:
        """The loader, as `read` hides nothing."""
        return self.loader

    def read_batch(self, cells: Sequence[Any]) -> list[np.ndarray]:
        """Encode many captions at once."""
        return self.loader.read_batch(cells)

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """Apply the loader's operations on text."""
        return self.loader.augment_cell(cell, rng)

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Apply the loader's operations on ids, then hide tokens; by the ids alone where `rng` is None."""
        return self.mask(array, rng)[0]

    def mask(self, array: np.ndarray, rng: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        """Hide tokens.

        Args:
            array: What `read` returned.
            rng: The random stream of this row, or None when evaluating.

        Returns:
            `(ids, labels)`, both `(sequence_length,) int32`: the ids with some of them hidden, and at the chosen
            positions what they were before, 0 elsewhere.
        """
        ids = self.loader.augment(array, rng)
        if rng is None:
            rng = np.random.Generator(np.random.Philox(key=zlib.crc32(ids.astype("<i4").tobytes())))
        masked, labels = ids.copy(), np.zeros_like(ids)
        candidates = np.flatnonzero(self._ordinary[ids])
        if len(candidates):
            number = max(1, round(self.rate * len(candidates)))
            chosen = candidates[np.argsort(rng.random(len(candidates)), kind="stable")[:number]]
            fate = rng.random(number)
            random = self._choices[rng.integers(len(self._choices), size=number)]
            labels[chosen] = ids[chosen]
            shown = np.where(fate < _MASKED + _RANDOM, random, ids[chosen])
            masked[chosen] = np.where(fate < _MASKED, self.mask_id, shown)
        return masked, labels

    def decode(self, array: np.ndarray) -> str:
        """The words that the ids stand for, the mask token left out."""
        return self.loader.decode(array)


class MaskedTokens(Target):
    """The tokens that a `MaskedTextLoader` hides, to be guessed at every position.

    Yields `(sequence_length,) int32`: the ids of the hidden tokens at their positions, 0 elsewhere. The zeros count
    neither in the loss nor in the scores.

    The model puts out probabilities `(rows, sequence_length, vocabulary_size)`; `units` is their number a position.
    That is much for many rows: `Bundle.evaluate` and `Bundle.predict` hold the outputs of all rows of their table.

    Args:
        loader: The `MaskedTextLoader` among the inputs. The target must be made of the same one, or of an equal one.
    """

    activation = "softmax"
    kept_by_row = True

    def __init__(self, loader: MaskedTextLoader) -> None:
        if not isinstance(loader, MaskedTextLoader):
            raise ValueError(
                "MaskedTokens needs the MaskedTextLoader that is among the inputs, as in "
                f'`MaskedTokens(inputs["caption"])`. Received: loader={loader!r}'
            )
        self.loader = loader
        self.column = loader.column
        self.units = loader.encoder.vocabulary_size
        self.spec = ArraySpec(loader.spec.shape, "int32", "label", self.units)

    def read(self, cell: Any) -> np.ndarray:
        """The ids of all tokens of the caption; which of them are labels is decided in `augment`."""
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
        from multimodal_gen.loaders.losses import MaskedCrossentropy

        return MaskedCrossentropy()

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The share of the hidden tokens that the model guesses, "masked_accuracy"."""
        from multimodal_gen.loaders.losses import MaskedAccuracy

        return [MaskedAccuracy()]

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Accuracy over the hidden tokens, and perplexity: e to the mean of their -log probability.

        Raises:
            ValueError: If no token is hidden, or the outputs are not one probability a token of the vocabulary.
        """
        outputs = self._checked(outputs)
        hidden = np.asarray(truth) != 0
        if not hidden.any():
            raise ValueError("There is nothing to score: no caption has a token that is hidden. Received: truth of 0")
        labels, guesses = np.asarray(truth)[hidden], outputs[hidden]
        probabilities = np.clip(guesses[np.arange(len(labels)), labels], _LEAST_PROBABILITY, 1.0)
        return {
            "masked_accuracy": float(np.mean(guesses.argmax(axis=-1) == labels)),
            "perplexity": float(np.exp(-np.mean(np.log(probabilities, dtype="float64")))),
        }

    def decode_outputs(self, outputs: np.ndarray) -> dict[Any, np.ndarray]:
        """The column "tokens": the likeliest token of each position, joined by single spaces.

        There are `sequence_length` tokens, `text.split(" ")[position]` is that of a position. Outputs alone do not tell
        where a caption ends, so there is a token for padding too, which means nothing: with padding on the right, the
        caption's own are the first `np.count_nonzero(loader.read(text))`. Only ordinary tokens are given.
        """
        outputs = self._checked(outputs)
        ordinary = np.flatnonzero(self.loader.encoder.ordinary)
        texts = np.empty(len(outputs), object)
        for row, output in enumerate(outputs):
            texts[row] = " ".join(
                self.loader.encoder.token(one) for one in ordinary[output[:, ordinary].argmax(axis=-1)]
            )
        return {"tokens": texts}

    def _checked(self, outputs: np.ndarray) -> np.ndarray:
        outputs = np.asarray(outputs)
        if outputs.ndim != 3 or outputs.shape[1:] != (*self.spec.shape, self.units):
            raise ValueError(
                "The model must put out one probability a position and token, "
                f"(rows, {self.spec.shape[0]}, {self.units}). Received: outputs of shape {outputs.shape}"
            )
        return outputs
