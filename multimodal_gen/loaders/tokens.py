"""Text to token ids with the tokenizers library: training a tokenizer, and encoding to a fixed length."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from multimodal_gen.config import Configurable

PAD, UNKNOWN, MASK = "[PAD]", "[UNK]", "[MASK]"
_SPECIAL = [PAD, UNKNOWN, MASK]


class TokenEncoder(Configurable):
    """Encodes text to `(sequence_length,) int32` token ids in which 0 is padding and nothing else.

    Where a tokenizer uses id 0 for a token of its own, all its ids are raised by one; `vocabulary_size` counts the 0.
    Special tokens that the tokenizer's own template adds, such as [CLS], survive truncation.

    `ordinary`, `(vocabulary_size,) bool`, tells the ids of words and pieces of words from padding, special tokens, the
    token for unknown words, and ids that no token has.

    Args:
        tokenizer_json: The text of a tokenizer.json.
        sequence_length: Ids a text.
        truncation: The side that is cut off, "right" or "left".
        padding: The side that is filled with zeros, "right" or "left".
    """

    def __init__(
        self, tokenizer_json: str, *, sequence_length: int, truncation: str = "right", padding: str = "right"
    ) -> None:
        for name, side in (("truncation", truncation), ("padding", padding)):
            if side not in ("right", "left"):
                raise ValueError(f'`{name}` must be "right" or "left". Received: {name}={side!r}')
        if sequence_length < 1:
            raise ValueError(f"`sequence_length` must be positive. Received: sequence_length={sequence_length!r}")
        self.tokenizer_json = tokenizer_json
        self.sequence_length = int(sequence_length)
        self.padding = padding
        self.tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.offset = 0 if _zero_is_padding(self.tokenizer) else 1
        used = [one + self.offset for one in self.tokenizer.get_vocab().values()]
        self.vocabulary_size = max(used, default=self.offset) + 1
        self.ordinary = np.zeros(self.vocabulary_size, bool)
        self.ordinary[used] = True
        self.ordinary[[0, *(one + self.offset for one in _special_ids(self.tokenizer, tokenizer_json))]] = False
        self.ordinary.flags.writeable = False
        self.tokenizer.enable_truncation(self.sequence_length, direction=truncation)
        self.spec_shape: tuple[int, ...] = (self.sequence_length,)

    @classmethod
    def from_tokenizer(
        cls, tokenizer: tokenizers.Tokenizer, *, sequence_length: int | None, truncation: str, padding: str
    ) -> Self:
        """Take over a tokenizer as it is now; later changes to it do not reach the encoder.

        Raises:
            ValueError: If no length is given and the tokenizer does not truncate by itself.
        """
        if sequence_length is None:
            if tokenizer.truncation is None:
                raise ValueError(
                    "The tokenizer does not say how long a text may be: give `sequence_length`. "
                    "Received: sequence_length=None"
                )
            sequence_length = tokenizer.truncation["max_length"]
        return cls(tokenizer.to_str(), sequence_length=sequence_length, truncation=truncation, padding=padding)

    def encode(self, text: str) -> np.ndarray:
        """Token ids of a text, `(sequence_length,) int32`."""
        return self._padded(self.tokenizer.encode(text).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of many texts."""
        return [self._padded(encoding.ids) for encoding in self.tokenizer.encode_batch_fast(list(texts))]

    def decode(self, array: np.ndarray) -> str:
        """The text that the ids stand for, without padding and special tokens."""
        ids = [int(token) - self.offset for token in np.asarray(array).ravel() if token != 0]
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def token_id(self, token: str) -> int:
        """The id of a token, in [1, vocabulary_size).

        Raises:
            ValueError: If the tokenizer has no such token.
        """
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(
                f"The tokenizer has no token {token!r}. Name the one that it has with `mask_token`; or open its file "
                f"with `tokenizers.Tokenizer.from_file`, call its `add_special_tokens([{token!r}])`, and give it to "
                f"`TextLoader`. Received: mask_token={token!r}"
            )
        return int(found) + self.offset

    def token(self, token_id: int) -> str:
        """The token that has an id; "" for padding, and where none has it."""
        return (self.tokenizer.id_to_token(int(token_id) - self.offset) or "") if token_id else ""

    def _padded(self, ids: Sequence[int]) -> np.ndarray:
        array = np.zeros(self.sequence_length, "int32")
        if ids:
            where = slice(0, len(ids)) if self.padding == "right" else slice(-len(ids), None)
            array[where] = ids
            array[where] += self.offset
        return array

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.get_config()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(type(self).from_config(state["config"]).__dict__)

    def __repr__(self) -> str:
        model = json.loads(self.tokenizer_json)["model"]["type"]
        return f"TokenEncoder({model}, {self.vocabulary_size} ids, sequence_length={self.sequence_length})"


def train_tokenizer(
    texts: Sequence[str], *, model: str = "wordpiece", vocabulary_size: int, lowercase: bool = True
) -> tokenizers.Tokenizer:
    """Train a tokenizer whose ids 0, 1 and 2 are padding, unknown words and [MASK].

    The same texts give the same tokenizer. The trainers alone do not: they number the pieces that continue a word in
    the order of a hash map (huggingface/tokenizers issue 1794). What is left of it: where two pieces of a Unigram
    model are worth the same to the last digit, either may be kept, so on large texts a few pieces can differ from run
    to run; a bundle keeps the one that was trained with.

    Args:
        texts: The training texts.
        model: "wordpiece", "bpe", "unigram" or "wordlevel".
        vocabulary_size: The largest number of ids.
        lowercase: Whether case and accents are ignored.
    """
    if model not in ("wordpiece", "bpe", "unigram", "wordlevel"):
        raise ValueError(f'`model` must be "wordpiece", "bpe", "unigram" or "wordlevel". Received: model={model!r}')
    if vocabulary_size <= len(_SPECIAL):
        raise ValueError(
            f"`vocabulary_size` must be at least {len(_SPECIAL) + 1}. Received: vocabulary_size={vocabulary_size!r}"
        )
    steps: list[normalizers.Normalizer] = [normalizers.NFKC()]
    if lowercase:
        steps += [normalizers.Lowercase(), normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC()]
    normalizer = normalizers.Sequence(steps)
    common: dict[str, Any] = {"vocab_size": vocabulary_size, "show_progress": False}
    if model == "wordpiece":
        letters = {letter for text in texts for letter in normalizer.normalize_str(text) if not letter.isspace()}
        # Pieces named beforehand keep their place; as ordinary tokens of a rebuilt model they are nothing special.
        pieces = [f"##{letter}" for letter in sorted(letters)]
        common["vocab_size"] = max(vocabulary_size, len(_SPECIAL) + len(pieces))
        trained = _train(
            texts,
            models.WordPiece(unk_token=UNKNOWN),
            trainers.WordPieceTrainer(special_tokens=_SPECIAL + pieces, **common),
            normalizer,
            pre_tokenizers.BertPreTokenizer(),
        )
        words = models.WordPiece(trained.get_vocab(), unk_token=UNKNOWN)
        return _assembled(words, normalizer, trained.pre_tokenizer, decoders.WordPiece())
    if model == "bpe":
        trained = _train(
            texts,
            models.BPE(unk_token=UNKNOWN),
            trainers.BpeTrainer(special_tokens=_SPECIAL, **common),
            normalizer,
            pre_tokenizers.Metaspace(),
        )
        trained.decoder = decoders.Metaspace()
        return trained
    if model == "unigram":
        trained = _train(
            texts,
            models.Unigram(),
            trainers.UnigramTrainer(special_tokens=_SPECIAL, unk_token=UNKNOWN, **common),
            normalizer,
            pre_tokenizers.Metaspace(),
        )
        scored = json.loads(trained.to_str())["model"]["vocab"]
        rounded = sorted(
            ((token, round(score, 5)) for token, score in scored[len(_SPECIAL) :]), key=lambda one: (-one[1], one[0])
        )
        unigrams = models.Unigram([tuple(one) for one in scored[: len(_SPECIAL)]] + rounded, unk_id=1)
        return _assembled(unigrams, normalizer, trained.pre_tokenizer, decoders.Metaspace())
    return _train(
        texts,
        models.WordLevel(unk_token=UNKNOWN),
        trainers.WordLevelTrainer(special_tokens=_SPECIAL, **common),
        normalizer,
        pre_tokenizers.BertPreTokenizer(),
    )


def _train(texts: Sequence[str], model: Any, trainer: Any, normalizer: Any, pre_tokenizer: Any) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _assembled(model: Any, normalizer: Any, pre_tokenizer: Any, decoder: Any) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoder
    tokenizer.add_special_tokens(_SPECIAL)
    return tokenizer


def _zero_is_padding(tokenizer: tokenizers.Tokenizer) -> bool:
    if tokenizer.padding is not None:
        return tokenizer.padding["pad_id"] == 0
    token = tokenizer.id_to_token(0)
    return token is None or token.strip("[]<>|").lower() in ("pad", "padding")


def _special_ids(tokenizer: tokenizers.Tokenizer, tokenizer_json: str) -> set[int]:
    special = {one for one, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    # What is left of a text without words is what the template adds, whether or not it is declared as special.
    empty = tokenizer.encode("")
    special.update(one for one, added in zip(empty.ids, empty.special_tokens_mask, strict=True) if added)
    model = json.loads(tokenizer_json)["model"]
    unknown = model.get("unk_id") if model.get("unk_token") is None else tokenizer.token_to_id(model["unk_token"])
    return special if unknown is None else {*special, unknown}
