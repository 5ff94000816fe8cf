"""`TextLoader`: reads caption cells, learns an encoder from training texts, and varies captions.

The encoder turns a text into an array of fixed length: token ids from a trained tokenizer
(`tokens.py`), or a weighted bag of n-grams (`ngrams.py`). `multimodal_gen.augment` has the
operations that vary words and tokens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import tokenizers

from multimodal_gen.augment.text import TextAugmentation, TokenAugmentation, augment_text
from multimodal_gen.loaders.base import Loader, check_missing
from multimodal_gen.loaders.stages import stage
from multimodal_gen.loaders.text.arguments import Operation, checked_operations, tokenizer_from
from multimodal_gen.loaders.text.cells import ColumnTexts, text_of
from multimodal_gen.loaders.text.length import default_length
from multimodal_gen.loaders.text.ngrams import NgramEncoder
from multimodal_gen.loaders.text.tokens import TokenEncoder
from multimodal_gen.loaders.text.vocabulary import train_tokenizer
from multimodal_gen.rows.cells import is_missing
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.spec import ArraySpec


class TextLoader(Loader):
    """Turns captions into ids.

    Returns, depending on its encoder: token ids `(sequence_length,) int32`, kind "tokens", 0 is
    padding; or n-grams `(sequence_length, 2) int32`, kind "ngrams": ids, 0 is padding, and their
    weights in units of 2**-16.

    Most loaders are made by `TextLoader.from_texts` or `TextLoader.from_file`.

    Args:
        column: The column of captions.
        tokenizer: A `tokenizers.Tokenizer`, or a finished `TokenEncoder` or `NgramEncoder`.
        sequence_length: For a `Tokenizer`: ids per caption; by default the length that the
            tokenizer itself truncates to.
        truncation: For a `Tokenizer`: the side that is cut off a long caption, "right" or "left".
        padding: For a `Tokenizer`: the side that is filled with zeros, "right" or "left".
        augment: Operations for training. Those on text come first, in their order:
            `RandomWordSwap`, `RandomWordDeletion`, or any picklable callable `(text, rng) -> text`.
            Then, for an encoder that returns tokens, those on ids: `TokenDropout`, `TokenMasking`.
        missing: How to treat a missing caption (None, NaN): "error", or "blank" for padding only,
            and a mask as another input of the model; see `Loader`. An empty caption is not missing.
    """

    kept_by_row = True
    reads_text = True

    def __init__(
        self,
        column: str,
        tokenizer: tokenizers.Tokenizer | TokenEncoder | NgramEncoder,
        *,
        sequence_length: int | None = None,
        truncation: str = "right",
        padding: str = "right",
        augment: Sequence[Operation] = (),
        missing: str = "error",
    ) -> None:
        self.column, self.missing = column, check_missing(missing)
        if isinstance(tokenizer, tokenizers.Tokenizer):
            self.encoder: TokenEncoder | NgramEncoder = TokenEncoder.from_tokenizer(
                tokenizer, sequence_length=sequence_length, truncation=truncation, padding=padding
            )
        elif isinstance(tokenizer, TokenEncoder | NgramEncoder):
            if (sequence_length, truncation, padding) != (None, "right", "right"):
                raise ValueError(
                    "An encoder has its own length and padding side. Received: an encoder and a "
                    "length or side"
                )
            self.encoder = tokenizer
        else:
            raise TypeError(
                "`tokenizer` must be a tokenizers.Tokenizer, a TokenEncoder or an NgramEncoder; "
                f"for a tokenizer.json use TextLoader.from_file. Received: tokenizer={tokenizer!r}"
            )
        encoder = self.encoder
        self.operations = checked_operations(augment, encoder)
        self._on_tokens = tuple(
            one for one in self.operations if isinstance(one, TokenAugmentation)
        )
        self._on_text = tuple(
            one for one in self.operations if not isinstance(one, TokenAugmentation)
        )
        kind = "tokens" if isinstance(encoder, TokenEncoder) else "ngrams"
        self.pads_left = getattr(encoder, "padding", "right") == "left"
        self.spec = ArraySpec(encoder.spec_shape, "int32", kind, encoder.vocabulary_size)

    @classmethod
    def from_texts(
        cls,
        column: str,
        texts: Iterable[Any],
        *,
        output_mode: str = "tokens",
        model: str = "wordpiece",
        vocabulary_size: int = 16_000,
        sequence_length: int | None = None,
        lowercase: bool = True,
        truncation: str = "right",
        padding: str = "right",
        augment: Sequence[Operation] = (),
        missing: str = "error",
    ) -> Self:
        """Learn the vocabulary from the training texts only.

        Args:
            column: The column of captions.
            texts: The training captions, or the table that has them; missing ones are left out.
            output_mode: "tokens" for ids in their order, or "ngrams" for a bag of word 1- and
                2-grams and character 2- to 5-grams with tf-idf weights, which works best for
                classes on tables of a few thousand rows.
            model: For tokens: "wordpiece", "bpe", "unigram" or "wordlevel". The first three learn
                pieces of words and suit every script; to "wordlevel" a word that was not learned is
                unknown.
            vocabulary_size: The largest number of different ids to learn. For tokens, from 1,024
                on, letters that no training caption has are ids of their bytes in UTF-8; below,
                they make a word unknown.
            sequence_length: Ids per caption. By default the number that 99 % of the training
                captions need, if words in only one caption are spelled in letters, as new words
                will be, plus 12 for two new words (for "wordlevel", the length of 99 %); at most
                512. N-grams: the number that 99 % of the captions have, at most 1,024.
            lowercase: For tokens: whether case, and nothing but case, is ignored. N-grams always
                ignore it.
            truncation: For tokens: the side cut off long captions.
            padding: For tokens: the side filled with zeros.
            augment: Operations for training, as in the constructor.
            missing: As in the constructor.

        Raises:
            TypeError: If the column's name does not come first.
            LoadError: If a caption is not text; it names the row.
            ValueError: If there is no text to learn from, an argument is not one of the named
                values, or `vocabulary_size` is smaller than the number of letters.
        """
        # Checked before all texts are read, which may take a while.
        check_choice("output_mode", output_mode, ("tokens", "ngrams"))
        texts = ColumnTexts(column, texts)
        if not any(text.strip() for text in texts):
            number = sum(1 for _ in texts)
            raise ValueError(
                f"There is no text to learn a vocabulary from. Received: {number} texts for "
                f"{column!r}"
            )
        if output_mode == "ngrams":
            return cls(
                column,
                NgramEncoder.from_texts(
                    texts, vocabulary_size=vocabulary_size, sequence_length=sequence_length
                ),
                augment=augment,
                missing=missing,
            )
        trained = train_tokenizer(
            texts, model=model, vocabulary_size=vocabulary_size, lowercase=lowercase
        )
        if sequence_length is None:
            sequence_length = default_length(trained.to_str(), texts)
        encoder = TokenEncoder.from_tokenizer(
            trained, sequence_length=sequence_length, truncation=truncation, padding=padding
        )
        return cls(column, encoder, augment=augment, missing=missing)

    @classmethod
    def from_file(
        cls,
        column: str,
        path: str | os.PathLike[str],
        *,
        sequence_length: int | None = None,
        truncation: str = "right",
        padding: str = "right",
        augment: Sequence[Operation] = (),
        missing: str = "error",
    ) -> Self:
        """Take a `tokenizer.json`, as the tokenizers library and the Hugging Face hub write it.

        Args:
            column: The column of captions.
            path: The file.
            sequence_length: Ids a caption; by default the length that the file itself truncates to.
            truncation: The side cut off long captions.
            padding: The side filled with zeros.
            augment: Operations for training, as in the constructor.
            missing: As in the constructor.

        Raises:
            ValueError: If the file is not a tokenizer, or states no length and none is given, or
                the length is too small for the special tokens that the tokenizer adds.
        """
        tokenizer = tokenizer_from(path)
        encoder = TokenEncoder.from_tokenizer(
            tokenizer, sequence_length=sequence_length, truncation=truncation, padding=padding
        )
        return cls(column, encoder, augment=augment, missing=missing)

    def get_config(self) -> dict[str, Any]:
        """The arguments, without callables in `augment`: JSON cannot hold them."""
        own = [
            one for one in self.operations if isinstance(one, TextAugmentation | TokenAugmentation)
        ]
        return {
            "column": self.column,
            "tokenizer": self.encoder,
            "augment": own,
            "missing": self.missing,
        }

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """Apply the operations on text; any other cell is left for `read` to refuse."""
        return augment_text(cell, self._on_text, rng) if isinstance(cell, str) else cell

    def read(self, cell: Any) -> np.ndarray:
        """Encode one caption.

        Raises:
            LoadError: If the cell is missing or is not text.
        """
        with stage("tokenize"):
            return self.encoder.encode(text_of(cell))

    def varies(self, training: bool) -> bool:
        """Whether there are operations, and a random stream for them."""
        return training and bool(self.operations)

    def read_batch(self, cells: Sequence[Any]) -> list[np.ndarray]:
        """Encode many captions at once."""
        with stage("tokenize"):
            texts = [text_of(cell) for cell in cells]
            if isinstance(self.encoder, TokenEncoder):
                return self.encoder.encode_batch(texts)
            return [self.encoder.encode(text) for text in texts]

    def file_of(self, cell: Any) -> str | None:
        """None: a caption is its text, even if a file has that name."""
        return None

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Apply the operations on token ids in order; with `rng=None` nothing changes."""
        if rng is None or isinstance(self.encoder, NgramEncoder):
            return array
        for operation in self._on_tokens:
            array = operation(array, rng, self.encoder)
        return array

    def decode(self, array: np.ndarray) -> str:
        """Decode ids to words: what the model sees of a caption.

        Raises:
            ValueError: For n-grams, which cannot be turned back into a caption.
        """
        if isinstance(self.encoder, NgramEncoder):
            raise ValueError("N-grams cannot be decoded; read the caption in the table instead.")
        return self.encoder.decode(array)

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """The caption as the model gets it, with special tokens such as [MASK].

        For n-grams, the caption in the table, and a remark if the n-grams are not its own.
        """
        if isinstance(self.encoder, TokenEncoder):
            return {"": self.encoder.decode(array, skip_special_tokens=False)}
        if not array.any():
            return {"": ""}
        if is_missing(cell):
            return {"": "(missing)\nno caption in the table, but the model is given one"}
        own = np.array_equal(array, self.read(cell))
        remark = "" if own else "\ncaption as in the table, not as the model is given it"
        # N-grams cannot be turned back into a text, so the table's is shown, with a warning if it
        # differs.
        return {"": " ".join(str(cell).split()) + remark}

    def text_coverage(self, texts: Sequence[str]) -> str | None:
        """The share of truncated texts and unknown tokens; for n-grams, of texts without any."""
        return self.encoder.coverage(texts) if texts else None
