"""Check the arguments of `TextLoader`: a tokenizer's file, and operations for training."""

from __future__ import annotations

import os
from typing import Any

import tokenizers

from multimodal_gen.augment.base import Augmentation
from multimodal_gen.augment.text import TextAugmentation, TextOperation, TokenAugmentation
from multimodal_gen.loaders.text.ngrams import NgramEncoder
from multimodal_gen.loaders.text.tokens import TokenEncoder

Operation = TextAugmentation | TokenAugmentation | TextOperation


def tokenizer_from(path: str | os.PathLike[str]) -> tokenizers.Tokenizer:
    """Load the tokenizer in a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a tokenizer.json.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"The tokenizer file does not exist. Received: path={os.fspath(path)!r}"
        )
    try:
        return tokenizers.Tokenizer.from_file(os.fspath(path))
    # The tokenizers library raises no class of its own.
    except Exception as error:
        raise ValueError(f"{os.fspath(path)!r} is not a tokenizer.json: {error}") from None


def checked_operations(augment: Any, encoder: TokenEncoder | NgramEncoder) -> tuple[Operation, ...]:
    """Return the operations for training, if they fit the encoder."""
    if not isinstance(augment, list | tuple):
        raise ValueError(f"`augment` must be a list of operations. Received: augment={augment!r}")
    for operation in augment:
        if isinstance(operation, TokenAugmentation):
            if isinstance(encoder, NgramEncoder):
                raise ValueError(
                    "N-grams cannot be dropped or masked like tokens: use the operations on words, "
                    "RandomWordSwap and RandomWordDeletion, or an encoder that returns tokens. "
                    f"Received: {operation!r}"
                )
            operation.check(encoder)
        elif isinstance(operation, Augmentation) or not callable(operation):
            raise ValueError(
                "`augment` must hold operations on words or tokens, or callables `(text, rng) -> "
                f"text`. Received: {operation!r}"
            )
    return tuple(augment)
