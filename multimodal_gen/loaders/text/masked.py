"""Masked language modelling: the input with hidden tokens; `targets/masked_tokens.py` has them.

`MaskedTextLoader` goes among the inputs and `MaskedTokens` in the y position. Both work out the
same mask for a row: while training from the row's random stream, which is one for the two as they
read one column, and when evaluating from the caption's ids.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_gen.augment.parameters import check_probability
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.text.loader import TextLoader
from multimodal_gen.loaders.text.tokens import TokenEncoder

# Of the chosen tokens 8 in 10 become the mask token, 1 in 10 a random one, and 1 in 10 stays.
_MASKED, _RANDOM = 0.8, 0.1


class MaskedTextLoader(Loader):
    """A text loader that hides some of the tokens, for a model that predicts them.

    A share `rate` of a caption's ordinary tokens, rounded, and at least one, is chosen at random.
    Of these, 80 % become the mask token, 10 % a random ordinary token, and 10 % stay unchanged
    (Devlin et al., 2019, "BERT", 3.1, and its `create_pretraining_data.py`). Special tokens and
    padding are never chosen.

    Each epoch hides other tokens. When evaluating, a caption always has the same ones hidden, which
    depend on its ids alone. The loader's own operations are applied before.

    Yields what the loader does, token ids `(sequence_length,) int32`, kind "tokens".

    Args:
        loader: A `TextLoader` that returns tokens. Use it also to feed the trained model when
            nothing is hidden. For captions that contain the mask token, such as "a red [MASK]",
            make a loader that knows it:
            `loader.replace(tokenizer=loader.encoder.replace(match_special_tokens=True))`.
        rate: Share of the tokens that are chosen, in (0, 1].
        mask_token: A token that the tokenizer has; those of `TextLoader.from_texts` have "[MASK]".

    Example:
        masked = MaskedTextLoader(TextLoader.from_texts("caption", train["caption"]))
        data = MultimodalSequence(train, {"caption": masked}, MaskedTokens(masked), shuffle=True)
    """

    kept_by_row = True
    reads_text = True

    def __init__(
        self, loader: TextLoader, *, rate: float = 0.15, mask_token: str = "[MASK]"
    ) -> None:
        encoder = getattr(loader, "encoder", None)
        if not isinstance(loader, TextLoader) or not isinstance(encoder, TokenEncoder):
            raise ValueError(
                "Masking needs a TextLoader that returns tokens, as "
                f'`TextLoader.from_texts(output_mode="tokens")` makes. Received: loader={loader!r}'
            )
        check_probability("rate", rate)
        if not rate:
            raise ValueError(
                "`rate` must be positive, otherwise there is nothing to predict. Received: "
                f"rate={rate!r}"
            )
        self.loader = loader
        self.encoder = encoder
        self.rate = rate
        self.mask_id = encoder.token_id(mask_token)
        self.column = loader.column
        self.pads_left = loader.pads_left
        self.spec = loader.spec
        self._ordinary = encoder.ordinary & (np.arange(encoder.vocabulary_size) != self.mask_id)
        self._choices = np.flatnonzero(self._ordinary)
        if not len(self._choices):
            raise ValueError("The tokenizer has no words to hide. Received: only special tokens")

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
        """Apply the operations on ids, then hide tokens; with `rng=None` the ids decide which."""
        return self.mask(array, rng)[0]

    def mask(
        self, array: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Hide tokens.

        Args:
            array: What `read` returned.
            rng: The random stream of this row, or None when evaluating.

        Returns:
            `(ids, labels)`, both `(sequence_length,) int32`: the ids with some of them hidden, and
            at the chosen positions what they were before, 0 elsewhere.
        """
        ids = self.loader.augment(array, rng)
        if rng is None:
            # The seed comes from the ids alone, so that the scores of a caption depend on neither
            # its row nor its file.
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
        """Decode ids to words, without the mask token."""
        return self.loader.decode(array)

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The caption as the model gets it, with the mask token."""
        return self.loader.describe(array, cell)

    def text_coverage(self, texts: Sequence[str]) -> str | None:
        """As the loader."""
        return self.loader.text_coverage(texts)
