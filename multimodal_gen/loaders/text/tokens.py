"""Encodes a text as token ids and pads or cuts them to a fixed length.

The tokenizers library finds the tokens; padding with 0 is done here. `vocabulary.py` trains
tokenizers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Self

import numpy as np
import tokenizers

from multimodal_gen.config import Configurable
from multimodal_gen.errors import share_in_words
from multimodal_gen.loaders.text.spelling import Writer, readable, shown
from multimodal_gen.loaders.text.tokenizer_json import (
    special_ids,
    unknown_id,
    without_dropout,
    without_unknown,
    zero_is_padding,
)
from multimodal_gen.rows.checks import check_choice, check_positive, check_switches

# Texts that are encoded together.
_AT_ONCE = 1024


class TokenEncoder(Configurable):
    """Encodes text to `(sequence_length,) int32` token ids in which 0 is padding and nothing else.

    If a tokenizer uses id 0 for one of its tokens, all its ids are raised by one; `vocabulary_size`
    counts the 0. Special tokens that the tokenizer's own template adds, such as [CLS], survive
    truncation.

    Texts are literal: "[MASK]" or "</s>" in a text is plain text, not the special token. And a text
    always gives the same ids: leaving out merges at random (the `dropout` of BPE) is switched off,
    because the library draws from its own random stream; `TokenDropout` varies ids with the row's
    stream.

    Letters that a tokenizer trained by `TextLoader.from_texts` never met become ids of their bytes
    in UTF-8.

    `ordinary`, `(vocabulary_size,) bool`, is True for ids of words and pieces of words, and False
    for padding, special tokens, the token for unknown words, and ids without a token.

    Args:
        tokenizer_json: The text of a tokenizer.json.
        sequence_length: Ids a text; more than the tokenizer's template adds.
        truncation: The side that is cut off, "right" or "left".
        padding: The side that is filled with zeros, "right" or "left".
        match_special_tokens: Whether names of special tokens in a text are read as these tokens, so
            that "a red [MASK]" asks a model for a word. Encoders in bundles saved before this
            argument existed keep it on.
    """

    def __init__(
        self,
        tokenizer_json: str,
        *,
        sequence_length: int,
        truncation: str = "right",
        padding: str = "right",
        match_special_tokens: bool = False,
    ) -> None:
        check_choice("truncation", truncation, ("right", "left"))
        check_choice("padding", padding, ("right", "left"))
        check_switches(match_special_tokens=match_special_tokens)
        check_positive(sequence_length=sequence_length)
        self.tokenizer_json = without_dropout(tokenizer_json)
        self.sequence_length = int(sequence_length)
        self.padding = padding
        self.match_special_tokens = match_special_tokens
        self.tokenizer = tokenizers.Tokenizer.from_str(self.tokenizer_json)
        # This class pads with 0 itself: the file may pad with another id, to another length, or not
        # at all.
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        added = self.tokenizer.num_special_tokens_to_add(is_pair=False)
        if added >= self.sequence_length:
            raise ValueError(
                f"`sequence_length` must be at least {added + 1}, because the tokenizer's template "
                f"adds {added} special tokens to every text. Received: "
                f"sequence_length={sequence_length!r}"
            )
        # 0 means padding everywhere in this package: masks, averages and embeddings rely on it.
        self.offset = 0 if zero_is_padding(self.tokenizer) else 1
        vocabulary = self.tokenizer.get_vocab()
        used = [one + self.offset for one in vocabulary.values()]
        self.vocabulary_size = max(used, default=self.offset) + 1
        special = special_ids(self.tokenizer)
        unknown = unknown_id(self.tokenizer, json.loads(self.tokenizer_json)["model"])
        if unknown is not None:
            special.add(unknown)
        # The ids that masking may draw at random: those of words, without padding, special tokens
        # and gaps in the vocabulary.
        self.ordinary = np.zeros(self.vocabulary_size, bool)
        self.ordinary[used] = True
        self.ordinary[[0, *(one + self.offset for one in special)]] = False
        self.ordinary.flags.writeable = False
        if not self.offset:
            special.add(0)
        # Set before the writer is made, which encodes trial texts with it; truncation is set
        # afterwards, so that these texts stay whole.
        self.tokenizer.encode_special_tokens = not match_special_tokens
        self._writer = Writer(
            self.tokenizer, special, unknown, match_special_tokens=match_special_tokens
        )
        self.tokenizer.enable_truncation(self.sequence_length, direction=truncation)
        self.spec_shape: tuple[int, ...] = (self.sequence_length,)

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: tokenizers.Tokenizer,
        *,
        sequence_length: int | None,
        truncation: str,
        padding: str,
    ) -> Self:
        """Copy a tokenizer; later changes to it do not affect the encoder.

        Raises:
            ValueError: If no length is given and the tokenizer does not truncate.
        """
        if sequence_length is None:
            if tokenizer.truncation is None:
                raise ValueError(
                    "The tokenizer does not say how long a text may be: set `sequence_length`. "
                    "Received: sequence_length=None"
                )
            sequence_length = tokenizer.truncation["max_length"]
        return cls(
            tokenizer.to_str(),
            sequence_length=sequence_length,
            truncation=truncation,
            padding=padding,
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build the encoder of a `get_config`; those of older bundles behave as before."""
        # Older configs lack the argument; their encoders matched special tokens.
        return cls(**{"match_special_tokens": True, **config})

    def get_config(self) -> dict[str, Any]:
        """The arguments, `tokenizer_json` without dropout, `match_special_tokens` always set."""
        return {
            **super().get_config(),
            "tokenizer_json": self.tokenizer_json,
            "match_special_tokens": self.match_special_tokens,
        }

    def encode(self, text: str) -> np.ndarray:
        """Token ids of a text, `(sequence_length,) int32`.

        Raises:
            LoadError: If the text has a word that the tokenizer does not know, and it has no token
                for such words.
        """
        try:
            return self._padded(self._writer.ids(text, self.tokenizer.encode(text).ids))
        except Exception as error:
            raise without_unknown(error) from None

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of many texts.

        Raises:
            LoadError: As `encode`.
        """
        texts = list(texts)
        try:
            # The fast variant computes no offsets into the text, which are not needed.
            encodings = self.tokenizer.encode_batch_fast(texts)
        except Exception as error:
            raise without_unknown(error) from None
        ids = self._writer.ids
        return [
            self._padded(ids(text, encoding.ids))
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return how many ids each text has, at most `sequence_length`."""
        texts = list(texts)
        encodings = self.tokenizer.encode_batch_fast(texts)
        return [
            len(self._writer.ids(text, one.ids)) for text, one in zip(texts, encodings, strict=True)
        ]

    def coverage(self, texts: Sequence[str]) -> str | None:
        """Say what share of texts is cut off, and what share of tokens is unknown; None if nothing
        is.
        """
        cut, tokens, strange = 0, 0, 0
        unknown = unknown_id(self.tokenizer, json.loads(self.tokenizer_json)["model"])
        # A second tokenizer, because truncation is a setting of the whole object and not every
        # release reports what it cut off.
        whole = tokenizers.Tokenizer.from_str(self.tokenizer_json)
        whole.no_padding()
        whole.no_truncation()
        whole.encode_special_tokens = self.tokenizer.encode_special_tokens
        rest = iter(texts)
        while some := list(islice(rest, _AT_ONCE)):
            for one in whole.encode_batch(some):
                cut += len(one.ids) > self.sequence_length
                tokens += len(one.ids)
                strange += one.ids.count(unknown) if unknown is not None else 0
        said = []
        if cut:
            said.append(
                f"{share_in_words(cut, len(texts))} of the captions are longer than "
                f"{self.sequence_length} and are truncated"
            )
        if strange:
            said.append(f"{share_in_words(strange, tokens)} of the tokens are unknown")
        return f"as tokens, {'; '.join(said)}" if said else None

    def decode(self, array: np.ndarray, *, skip_special_tokens: bool = True) -> str:
        """Decode ids to text, without padding and, by default, without special tokens."""
        check_switches(skip_special_tokens=skip_special_tokens)
        ids = [int(token) - self.offset for token in np.asarray(array).ravel() if token != 0]
        return readable(self.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))

    def token_id(self, token: str) -> int:
        """The id of a token, in [1, vocabulary_size).

        Raises:
            ValueError: If the tokenizer has no such token.
        """
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(
                f"The tokenizer has no token {token!r}. Name its own one with `mask_token`; or "
                "open its file with `tokenizers.Tokenizer.from_file`, call its "
                f"`add_special_tokens([{token!r}])`, and pass it to `TextLoader`. Received: "
                f"mask_token={token!r}"
            )
        return int(found) + self.offset

    def token(self, token_id: int) -> str:
        """The token with an id, "<0xE7>" for a byte of a letter; "" for padding and unused ids."""
        return (
            shown(self.tokenizer.id_to_token(int(token_id) - self.offset) or "") if token_id else ""
        )

    def _padded(self, ids: Sequence[int]) -> np.ndarray:
        array = np.zeros(self.sequence_length, "int32")
        if ids:
            where = slice(0, len(ids)) if self.padding == "right" else slice(-len(ids), None)
            array[where] = ids
            # Only where there are ids, so that padding stays 0.
            array[where] += self.offset
        return array

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.get_config()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(type(self).from_config(state["config"]).__dict__)

    def __repr__(self) -> str:
        model = json.loads(self.tokenizer_json)["model"]["type"]
        return (
            f"TokenEncoder({model}, {self.vocabulary_size} ids, "
            f"sequence_length={self.sequence_length})"
        )
