"""Random operations on one text: on its words before it is encoded, or on its token ids afterwards.

They go into `TextLoader(augment=[...])`, together with any callable `(text, rng) -> text`. Word
operations work with every encoder, token operations only with encoders that return tokens.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Protocol

import numpy as np

from multimodal_gen.augment.parameters import check_probability
from multimodal_gen.config import Configurable

TextOperation = Callable[[str, np.random.Generator], str]


class TextAugmentation(Configurable):
    """A random operation `(text, rng) -> text`; `rng` is the only source of randomness."""

    @abc.abstractmethod
    def __call__(self, text: str, rng: np.random.Generator) -> str:
        """Apply the operation with draws from `rng`."""


class Tokens(Protocol):
    """What a token operation knows about its ids; a `TokenEncoder` implements this.

    Attributes:
        padding: The side that is filled with zeros, "right" or "left".
        ordinary: `(vocabulary_size,) bool`, False for padding, special tokens, and ids without a
            token.
    """

    padding: str
    ordinary: np.ndarray

    def token_id(self, token: str) -> int:
        """The id of a token; if there is none, a ValueError says how to add it."""


class TokenAugmentation(Configurable):
    """A random operation on token ids.

    `ids` is `(sequence_length,) int32`, 0 is padding, and must not be changed in place; the result
    has the same shape and dtype; `rng` is the only source of randomness. Special tokens and padding
    must not be changed.
    """

    @abc.abstractmethod
    def __call__(self, ids: np.ndarray, rng: np.random.Generator, tokens: Tokens) -> np.ndarray:
        """Apply the operation with draws from `rng`."""

    def check(self, tokens: Tokens) -> None:
        """Raise a ValueError if the operation cannot work on the ids of this encoder.

        By default it can.
        """


@dataclass(frozen=True)
class RandomWordSwap(TextAugmentation):
    """Swaps neighbouring words.

    Each pair of neighbours, from left to right, is swapped with probability `rate`; the words of a
    swapped pair are not moved again, so no word moves by more than one place. Words are separated
    by whitespace; the words of a changed text are joined by single spaces.

    Args:
        rate: A probability in [0, 1].
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        check_probability("rate", self.rate)

    def __call__(self, text: str, rng: np.random.Generator) -> str:
        """Draw which pairs are swapped."""
        words = _words(text, self)
        # Also a text in a script without spaces, which is one word here.
        if len(words) < 2:
            return text
        place, moved = 0, False
        draws = rng.random(len(words) - 1).tolist()
        while place < len(draws):
            if draws[place] < self.rate:
                words[place], words[place + 1] = words[place + 1], words[place]
                place, moved = place + 1, True
            place += 1
        # Unchanged texts keep their line breaks, which joining would replace.
        return " ".join(words) if moved else text


@dataclass(frozen=True)
class RandomWordDeletion(TextAugmentation):
    """Deletes words, but never all of them.

    Each word is deleted with probability `rate`; if that would delete every word, one of them,
    drawn at random, is kept. Words are separated by whitespace; the words of a changed text are
    joined by single spaces.

    Args:
        rate: A probability in [0, 1].
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        check_probability("rate", self.rate)

    def __call__(self, text: str, rng: np.random.Generator) -> str:
        """Draw which words are deleted."""
        words = _words(text, self)
        if len(words) < 2:
            return text
        kept = (rng.random(len(words)) >= self.rate).tolist()
        if all(kept):
            return text
        if not any(kept):
            return words[int(rng.integers(len(words)))]
        return " ".join(compress(words, kept))


@dataclass(frozen=True)
class TokenDropout(TokenAugmentation):
    """Deletes tokens and closes the gaps, but never deletes all of them.

    Each ordinary token is deleted with probability `rate`; if that would delete every token, one of
    them, drawn at random, is kept. The free positions are filled with zeros on the encoder's
    padding side.

    Args:
        rate: A probability in [0, 1].
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        check_probability("rate", self.rate)

    def __call__(self, ids: np.ndarray, rng: np.random.Generator, tokens: Tokens) -> np.ndarray:
        """Draw which tokens are deleted."""
        ordinary = tokens.ordinary[ids]
        # One draw per position, padding included, so the stream does not depend on the length.
        dropped = ordinary & (rng.random(ids.shape) < self.rate)
        if not dropped.any():
            return ids
        if np.array_equal(dropped, ordinary):
            dropped[rng.choice(np.flatnonzero(ordinary))] = False
        kept = ids[~dropped]
        result = np.zeros_like(ids)
        result[
            slice(len(kept)) if tokens.padding == "right" else slice(len(ids) - len(kept), None)
        ] = kept
        return result


@dataclass(frozen=True)
class TokenMasking(TokenAugmentation):
    """Replaces tokens with the mask token.

    Each ordinary token is replaced with probability `rate`.

    Args:
        rate: A probability in [0, 1].
        mask_token: A token of the tokenizer; those of `TextLoader.from_texts` have "[MASK]".
    """

    rate: float = 0.1
    mask_token: str = "[MASK]"

    def __post_init__(self) -> None:
        check_probability("rate", self.rate)

    def check(self, tokens: Tokens) -> None:
        """Make sure that the tokenizer has the mask token."""
        tokens.token_id(self.mask_token)

    def __call__(self, ids: np.ndarray, rng: np.random.Generator, tokens: Tokens) -> np.ndarray:
        """Draw which tokens are replaced."""
        masked = tokens.ordinary[ids] & (rng.random(ids.shape) < self.rate)
        return np.where(masked, np.int32(tokens.token_id(self.mask_token)), ids)


def augment_text(
    text: str, operations: Sequence[TextAugmentation | TextOperation], rng: np.random.Generator
) -> str:
    """Apply operations in their order.

    Args:
        text: Any text.
        operations: Word operations, or any callables `(text, rng) -> text`.
        rng: The random stream of this row.

    Raises:
        ValueError: If an operation returns anything but a str; the message names the operation.
    """
    for operation in operations:
        result = operation(text, rng)
        if not isinstance(result, str):
            raise ValueError(
                f"An operation on text must return a str. Received: {type(result).__name__} from "
                f"{operation!r}"
            )
        text = result
    return text


def _words(text: Any, operation: TextAugmentation) -> list[str]:
    if not isinstance(text, str):
        raise TypeError(
            f"{type(operation).__name__} works on text: use it in `TextLoader(augment=[...])`. "
            f"Received: {type(text).__name__}"
        )
    return text.split()
