"""Texts as weighted bags of hashed n-grams: the text features that a small table needs.

`NgramEncoder` learns from training texts which word and character n-grams there are and how rare
each one is, and then turns one text into an integer array of ids and weights. It is pure Python and
NumPy: it reads no table, knows no loader and no model. `TextLoader(output_mode="ngrams")` is the
loader made from it.
"""

from __future__ import annotations

import base64
import math
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multimodal_gen.config import Configurable
from multimodal_gen.errors import share_in_words
from multimodal_gen.loaders.text.ngram_hashes import FORM, ngram_hashes
from multimodal_gen.rows.checks import check_at_least, check_positive

# A weight of 1.0 is stored as 2**16: integers pass every precision policy unrounded.
WEIGHT_SCALE = 2**16

# As many as batches remember per row (`batch/row_memory.py`). With fewer, long descriptions lose
# words that distinguish them.
_MAX_SEQUENCE_LENGTH = 1024
_FEW_TEXTS = 3000


@dataclass(frozen=True, repr=False)
class NgramEncoder(Configurable):
    """Turns a text into hashed n-grams with L2-normalised tf-idf weights; see `from_texts`.

    The n-grams are words 1 to 2 and, within what spaces separate, padded by a space on either side,
    characters 2 to 5, of the casefolded NFKC form. In scripts that put no spaces between words,
    such as Chinese and Thai, each letter with its marks is a word. A weight is `(1 + ln tf) * (1 +
    ln((1 + N) / (1 + df)))`, divided by the Euclidean norm of the text's weights (Salton and
    Buckley, 1988, with the smoothing that scikit-learn's `TfidfVectorizer` uses). N-grams that were
    not learned are left out.

    Args:
        hashes: 32-bit hashes of the learned n-grams; the n-gram at position `i` has id `i + 1`.
        document_frequencies: For each of them, in how many training texts it occurs.
        num_texts: Number of training texts.
        sequence_length: Maximum n-grams per text; the lightest ones of longer texts are left out.
        form: How words are found in text that is not ASCII: 2, or 1 as in bundles that were saved
            before there was 2.
    """

    hashes: tuple[int, ...]
    document_frequencies: tuple[int, ...]
    num_texts: int
    sequence_length: int
    form: int = FORM
    _ids: dict[int, int] = field(init=False, compare=False)
    _idf: np.ndarray = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.hashes) != len(self.document_frequencies) or len(set(self.hashes)) != len(
            self.hashes
        ):
            raise ValueError(
                "`hashes` must be unique and as many as `document_frequencies`. Received: "
                f"len(hashes)={len(self.hashes)}, "
                f"len(document_frequencies)={len(self.document_frequencies)}"
            )
        if self.form not in (1, 2):
            raise ValueError(f"`form` must be 1 or 2. Received: form={self.form}")
        check_positive(sequence_length=self.sequence_length)
        object.__setattr__(self, "_ids", {value: i for i, value in enumerate(self.hashes, start=1)})
        # Entry 0 is padding, which is in no text; ids count from 1.
        frequencies = np.asarray((self.num_texts, *self.document_frequencies), dtype=np.float64)
        object.__setattr__(self, "_idf", 1.0 + np.log((1.0 + self.num_texts) / (1.0 + frequencies)))

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        *,
        vocabulary_size: int = 32768,
        sequence_length: int | None = None,
        min_document_frequency: int | None = None,
    ) -> NgramEncoder:
        """Learns the n-grams of training texts.

        Args:
            texts: Training texts only: validation texts would leak their rare words into the
                vocabulary.
            vocabulary_size: Number of ids at most, 0 (padding) included; the most frequent n-grams
                are kept.
            sequence_length: Maximum n-grams per text. Default: what the longest of 99 % of the
                training texts needs, at most 1,024; a warning counts the texts that have more, if
                they are more than 1 %.
            min_document_frequency: N-grams found in fewer training texts are left out; if none is
                found that often, all are kept. Default: 1 up to 3,000 texts, because there most
                words are rare, otherwise 2.

        Raises:
            ValueError: If an argument is out of range or no text holds an n-gram.
        """
        # Id 0 is padding, so a vocabulary of one id would leave no n-gram.
        check_at_least(2, vocabulary_size=vocabulary_size)
        if min_document_frequency is not None:
            check_positive(min_document_frequency=min_document_frequency)
        frequencies: Counter[int] = Counter()
        lengths = []
        for text in texts:
            unique = set(ngram_hashes(text))
            frequencies.update(unique)
            lengths.append(len(unique))
        if not frequencies:
            raise ValueError(
                f"`texts` must hold at least one word. Received: {len(lengths)} texts without any"
            )
        if min_document_frequency is None:
            min_document_frequency = 1 if len(lengths) <= _FEW_TEXTS else 2
        kept = [item for item in frequencies.items() if item[1] >= min_document_frequency] or list(
            frequencies.items()
        )
        # Equal counts are ordered by hash, so that the order of the texts does not matter.
        kept.sort(key=lambda item: (-item[1], item[0]))
        kept = kept[: vocabulary_size - 1]
        if sequence_length is None:
            needed = max(math.ceil(np.quantile(lengths, 0.99)), 1)
            sequence_length = min(needed, _MAX_SEQUENCE_LENGTH)
            if needed > sequence_length:
                share = np.mean(np.asarray(lengths) > sequence_length)
                warnings.warn(
                    f"{share:.0%} of the texts have more than {sequence_length} different n-grams, "
                    f"and lose the lightest. `sequence_length={needed}` is enough for 99 % of the "
                    f"texts and takes {needed / sequence_length:.1f} times as long in training; "
                    f"`sequence_length={sequence_length}` keeps this length without the warning.",
                    stacklevel=3,
                )
        hashes, document_frequencies = zip(*kept, strict=True)
        return cls(hashes, document_frequencies, len(lengths), sequence_length)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, 0 (padding) included: every id is below it."""
        return len(self.hashes) + 1

    @property
    def spec_shape(self) -> tuple[int, int]:
        """Shape of what `encode` returns."""
        return (self.sequence_length, 2)

    def encode(self, text: str) -> np.ndarray:
        """Encodes one text.

        Args:
            text: Any text; an empty text gives only padding.

        Returns:
            `(sequence_length, 2)` int32. `[:, 0]` ids in [1, vocabulary_size), increasing, then 0
            as padding; `[:, 1]` the weights in units of 2**-16, in [0, 65536].
        """
        counts = self._counts(text)
        encoded = np.zeros((self.sequence_length, 2), dtype=np.int32)
        if not counts:
            return encoded
        ids = np.fromiter(counts.keys(), dtype=np.int64, count=len(counts))
        weights = (
            1.0 + np.log(np.fromiter(counts.values(), dtype=np.float64, count=len(counts)))
        ) * self._idf[ids]
        if len(ids) > self.sequence_length:
            # Equal weights are ordered by id, so that the same ids are kept everywhere.
            heaviest = np.lexsort((ids, -weights))[: self.sequence_length]
            ids, weights = ids[heaviest], weights[heaviest]
        order = np.argsort(ids)
        weights = weights[order]
        weights *= WEIGHT_SCALE / math.sqrt(float(weights @ weights))
        encoded[: len(ids), 0] = ids[order]
        encoded[: len(ids), 1] = np.rint(weights)
        return encoded

    def coverage(self, texts: Sequence[str]) -> str | None:
        """Say what share of texts has more n-grams than are kept, and what share has none known;
        None if no text does.
        """
        counts = np.fromiter(map(self.count, texts), "int64", len(texts))
        many, none = int((counts > self.sequence_length).sum()), int((counts == 0).sum())
        said = []
        if many:
            said.append(
                f"{share_in_words(many, len(texts))} of the captions have more than "
                f"{self.sequence_length} and lose the lightest"
            )
        if none:
            said.append(f"{share_in_words(none, len(texts))} of the captions have no learned one")
        return f"as n-grams, {'; '.join(said)}" if said else None

    def count(self, text: str) -> int:
        """Count a text's known n-grams; `encode` keeps the heaviest `sequence_length` of them."""
        return len(self._counts(text))

    def _counts(self, text: str) -> dict[int, int]:
        # Id -> how often it occurs.
        get = self._ids.get
        counts: dict[int, int] = {}
        for value in ngram_hashes(text, self.form):
            key = get(value)
            if key is not None:
                counts[key] = counts.get(key, 0) + 1
        return counts

    def get_config(self) -> dict[str, Any]:
        """The config for `from_config` as JSON values, with the two long lists as packed text."""
        return {
            "hashes": _pack(self.hashes),
            "document_frequencies": _pack(self.document_frequencies),
            "num_texts": self.num_texts,
            "sequence_length": self.sequence_length,
            "form": self.form,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NgramEncoder:
        """Builds the encoder that `get_config` described."""
        return cls(
            _unpack(config["hashes"]),
            _unpack(config["document_frequencies"]),
            int(config["num_texts"]),
            int(config["sequence_length"]),
            # Older bundles, from before there were two forms, do not name one.
            int(config.get("form", 1)),
        )

    def __repr__(self) -> str:
        return (
            f"NgramEncoder(vocabulary_size={self.vocabulary_size}, "
            f"sequence_length={self.sequence_length}, num_texts={self.num_texts})"
        )


def _pack(values: tuple[int, ...]) -> str:
    """Unsigned 32-bit integers -> little-endian bytes, compressed, as base64 text."""
    return base64.b64encode(zlib.compress(np.asarray(values, dtype="<u4").tobytes(), 9)).decode(
        "ascii"
    )


def _unpack(text: str) -> tuple[int, ...]:
    return tuple(np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<u4").tolist())
