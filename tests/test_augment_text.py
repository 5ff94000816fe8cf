from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from multimodal_gen.augment.text import (
    RandomWordDeletion,
    RandomWordSwap,
    TextAugmentation,
    TokenAugmentation,
    TokenDropout,
    TokenMasking,
    augment_text,
)
from multimodal_gen.config import deserialize, serialize
from multimodal_gen.loaders.text.tokens import TokenEncoder

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "mug", "[UNK]"]
CLS, SEP, MASK, A, RED, MUG, UNK = range(1, 8)


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def encoder(*, padding: str = "right") -> TokenEncoder:
    tokenizer = tokenizers.Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return TokenEncoder.from_tokenizer(
        tokenizer, sequence_length=8, truncation="right", padding=padding
    )


def test_only_words_and_their_pieces_are_ordinary() -> None:
    assert np.flatnonzero(encoder().ordinary).tolist() == [A, RED, MUG]


def test_neighbours_are_exchanged_and_no_word_moves_further() -> None:
    assert RandomWordSwap(1.0)("a b c d e", stream()) == "b a d c e"
    assert RandomWordSwap(0.0)("a  b\tc", stream()) == "a  b\tc"
    for seed in range(50):
        words = RandomWordSwap(0.5)("0 1 2 3 4 5 6 7 8 9", stream(seed)).split()
        assert sorted(words) == list("0123456789")
        assert all(abs(int(word) - place) <= 1 for place, word in enumerate(words))


def test_pairs_are_exchanged_as_often_as_the_rate_says() -> None:
    rng, rate = stream(), 0.3
    counts = Counter(RandomWordSwap(rate)("a b c", rng) for _ in range(20_000))
    expected = {"b a c": rate, "a c b": (1 - rate) * rate, "a b c": (1 - rate) ** 2}
    assert set(counts) == set(expected)
    for text, probability in expected.items():
        assert counts[text] / 20_000 == pytest.approx(probability, abs=0.012)


def test_words_are_left_out_as_often_as_the_rate_says_but_never_all() -> None:
    rng, text = stream(), "a b c d e f g h i j"
    lengths = [len(RandomWordDeletion(0.2)(text, rng).split()) for _ in range(4_000)]
    assert np.mean(lengths) == pytest.approx(8.0, abs=0.08)
    left = Counter(RandomWordDeletion(1.0)("a b c d", rng) for _ in range(4_000))
    assert set(left) == set("abcd")
    assert all(count / 4_000 == pytest.approx(0.25, abs=0.03) for count in left.values())
    kept = RandomWordDeletion(0.5)(text, rng).split()
    assert kept == sorted(kept)


@pytest.mark.parametrize("operation", [RandomWordSwap(1.0), RandomWordDeletion(1.0)])
@pytest.mark.parametrize("text", ["", "  ", "word", " word "])
def test_a_text_of_less_than_two_words_stays_as_it_is(
    operation: TextAugmentation, text: str
) -> None:
    assert operation(text, stream()) == text


def test_dropped_tokens_leave_no_gap_and_special_ones_stay() -> None:
    right, left = encoder(), encoder(padding="left")
    dropout = TokenDropout(0.5)
    seen = set()
    for seed in range(60):
        ids = dropout(right.encode("a red qqq mug"), stream(seed), right)
        mirrored = dropout(left.encode("a red qqq mug"), stream(seed), left)
        for array in (ids, mirrored):
            assert array.shape == (8,) and array.dtype == np.int32
        used = np.count_nonzero(ids)
        assert (ids[:used] > 0).all()
        assert (mirrored[-np.count_nonzero(mirrored) :] > 0).all()
        assert ids[0] == CLS and ids[used - 1] == SEP and UNK in ids
        words = [one for one in ids.tolist() if one in (A, RED, MUG)]
        assert words == sorted(words) and words
        seen.add(tuple(words))
    assert len(seen) == 7  # all subsets of three words, but the empty one


def test_tokens_are_dropped_and_masked_as_often_as_the_rate_says() -> None:
    rng, tokens = stream(), encoder()
    ids = tokens.encode("a red mug a red mug")
    dropped = np.mean(
        [
            np.count_nonzero(ids) - np.count_nonzero(TokenDropout(0.2)(ids, rng, tokens))
            for _ in range(4000)
        ]
    )
    masked = np.mean(
        [np.count_nonzero(TokenMasking(0.2)(ids, rng, tokens) == MASK) for _ in range(4000)]
    )
    assert dropped == pytest.approx(1.2, abs=0.06)
    assert masked == pytest.approx(1.2, abs=0.06)


def test_masking_leaves_special_tokens_and_padding_and_can_take_every_word() -> None:
    tokens = encoder()
    ids = TokenMasking(1.0)(tokens.encode("a qqq mug"), stream(), tokens)
    assert ids.tolist() == [CLS, MASK, UNK, MASK, SEP, 0, 0, 0]
    other = TokenMasking(1.0, mask_token="[UNK]")(tokens.encode("a mug"), stream(), tokens)
    assert other.tolist() == [CLS, UNK, UNK, SEP, 0, 0, 0, 0]


@pytest.mark.parametrize("operation", [TokenDropout(1.0), TokenMasking(1.0)])
def test_ids_are_not_changed_in_place_and_a_text_without_words_stays(
    operation: TokenAugmentation,
) -> None:
    tokens = encoder()
    for text in ("a red mug", "", "qqq"):
        ids = tokens.encode(text)
        before = ids.copy()
        ids.flags.writeable = False
        result = operation(ids, stream(), tokens)
        assert np.array_equal(ids, before)
        assert np.array_equal(result, before) == (text != "a red mug")


@pytest.mark.parametrize("operation", [RandomWordSwap(0.3), RandomWordDeletion(0.3)])
def test_the_same_stream_gives_the_same_text(operation: TextAugmentation) -> None:
    text = "one two three four five six seven eight"
    draws = [operation(text, stream(seed)) for seed in range(20)]
    assert draws == [operation(text, stream(seed)) for seed in range(20)]
    assert len(set(draws)) > 5


@pytest.mark.parametrize(
    "operation", [RandomWordSwap, RandomWordDeletion, TokenDropout, TokenMasking]
)
def test_operations_are_saved_whole_and_refuse_rates_that_are_no_probability(
    operation: Any,
) -> None:
    assert deserialize(serialize(operation(0.25))) == operation(0.25)
    for rate in (-0.1, 1.5, float("nan"), "0.1", True):
        with pytest.raises(
            ValueError, match=r"`rate` must be a probability in \[0, 1\]. Received: rate="
        ):
            operation(rate)


def test_a_mask_token_that_the_tokenizer_does_not_have_is_refused_with_the_way_out() -> None:
    with pytest.raises(
        ValueError,
        match=r"no token '<m>'.*`mask_token`.*add_special_tokens\(\['<m>'\]\).*mask_token='<m>'",
    ):
        TokenMasking(0.1, mask_token="<m>").check(encoder())


def shout(text: str, rng: np.random.Generator) -> str:
    return text.upper()


def forget(text: str, rng: np.random.Generator) -> None:
    return None


def test_operations_are_applied_in_their_order_and_must_return_text() -> None:
    assert augment_text("a b", [RandomWordSwap(1.0), shout], stream()) == "B A"
    with pytest.raises(
        ValueError, match=r"must return a str. Received: NoneType from <function forget"
    ):
        augment_text("a b", [forget], stream())  # type: ignore[list-item]


def test_word_operations_given_to_a_picture_say_where_they_belong() -> None:
    with pytest.raises(
        TypeError, match=r"RandomWordSwap works on text: .*TextLoader\(augment=.*Received: ndarray"
    ):
        RandomWordSwap()(np.zeros((2, 2, 3), "uint8"), stream())  # type: ignore[arg-type]
