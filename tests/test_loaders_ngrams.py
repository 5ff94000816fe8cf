"""NgramEncoder: what is learned, what is encoded, and that both are the same everywhere."""

import dataclasses
import json
import math
import pickle
import re
import warnings
import zlib

import numpy as np
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.text.ngrams import WEIGHT_SCALE, NgramEncoder

TEXTS = ["red glass mug", "blue glass bowl", "red wooden bowl", "tired red dog"]


@pytest.fixture
def encoder() -> NgramEncoder:
    return NgramEncoder.from_texts(TEXTS, min_document_frequency=1)


def test_encode_gives_ids_below_the_vocabulary_size_and_padding_at_the_end(encoder):
    encoded = encoder.encode("red mug")
    assert encoded.shape == encoder.spec_shape and encoded.dtype == np.int32
    used = np.count_nonzero(encoded[:, 0])
    assert 0 < used < len(encoded)
    assert (encoded[:used, 0] > 0).all() and (encoded[:used, 0] < encoder.vocabulary_size).all()
    assert (np.diff(encoded[:used, 0]) > 0).all()
    assert not encoded[used:].any()


def test_weights_have_euclidean_norm_one(encoder):
    weights = encoder.encode("red glass mug, red bowl")[:, 1] / WEIGHT_SCALE
    assert np.linalg.norm(weights) == pytest.approx(1.0, abs=1e-4)


def test_the_norm_is_one_after_truncation_too():
    encoder = NgramEncoder.from_texts(TEXTS, min_document_frequency=1, sequence_length=5)
    encoded = encoder.encode("red glass mug")
    assert (encoded[:, 0] > 0).all()
    assert np.linalg.norm(encoded[:, 1] / WEIGHT_SCALE) == pytest.approx(1.0, abs=1e-4)


def test_count_is_of_all_ngrams_that_were_learned_those_left_out_too(encoder):
    for text in ("red mug", "red red mug", "", "zzzz"):
        whole = dataclasses.replace(encoder, sequence_length=500).encode(text)
        assert encoder.count(text) == np.count_nonzero(whole[:, 0])
        assert dataclasses.replace(encoder, sequence_length=3).count(text) == encoder.count(text)


def test_truncation_keeps_the_heaviest_ngrams(encoder):
    short = NgramEncoder(encoder.hashes, encoder.document_frequencies, encoder.num_texts, 5)
    text = "red red glass mug"
    full = encoder.encode(text)
    heaviest = full[np.argsort(-full[:, 1], kind="stable")[:5], 0]
    assert set(short.encode(text)[:, 0]) == set(heaviest)


def test_weights_follow_sublinear_tf_and_smoothed_idf():
    encoder = NgramEncoder.from_texts(["a b", "a c"], min_document_frequency=1)
    encoded = encoder.encode("a a a c")
    counts = {"a": (3, 2), "c": (1, 1)}
    # Of each one-letter word: the word, and the character n-grams " a", "a ", " a "; then the word
    # pair "a c".
    expected = []
    for tf, df in counts.values():
        expected += [(1 + math.log(tf)) * (1 + math.log(3 / (1 + df)))] * 4
    expected.append(1 + math.log(3 / 2))
    expected = np.array(sorted(expected)) / np.linalg.norm(expected)
    weights = encoded[encoded[:, 0] > 0, 1] / WEIGHT_SCALE
    np.testing.assert_allclose(sorted(weights), expected, atol=1e-4)


def test_a_word_is_not_the_same_characters_inside_another_word():
    encoder = NgramEncoder.from_texts(["red", "red"])
    inside = encoder.encode("tired")
    # " red ": 4 of two characters, 3 of three, 2 of four, 1 of five, and the word itself.
    assert np.count_nonzero(encoder.encode("red")[:, 0]) == 11
    # Inside "tired" are re, ed, red, "d ", "ed " and "red ", and no word.
    assert np.count_nonzero(inside[:, 0]) == 6


def test_ids_are_ordered_by_document_frequency_and_rare_ngrams_are_left_out():
    encoder = NgramEncoder.from_texts(["red mug", "red mug", "red cup"], min_document_frequency=2)
    assert list(encoder.document_frequencies) == sorted(encoder.document_frequencies, reverse=True)
    assert set(encoder.document_frequencies) == {2, 3}
    assert encoder.encode("mug").any()
    assert not encoder.encode("cup").any()
    assert NgramEncoder.from_texts(["red mug", "red bowl"], vocabulary_size=4).vocabulary_size == 4


def test_long_texts_that_lose_ngrams_by_default_are_counted():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(300)]
    short, long = [" ".join(words[:5])] * 8, [" ".join(words)] * 2
    with pytest.warns(
        UserWarning,
        match=r"^20% of the texts have more than 1024 different n-grams.*sequence_length=\d{4}`",
    ):
        encoder = NgramEncoder.from_texts(short + long)
    assert encoder.sequence_length == 1024
    needed = NgramEncoder.from_texts(short + long, sequence_length=9000).encode(long[0])
    with pytest.warns(UserWarning, match="different n-grams") as caught:
        mg.TextLoader.from_texts("text", short + long, output_mode="ngrams")
    advice = int(re.search(r"sequence_length=(\d+)", str(caught[0].message))[1])
    assert advice == np.count_nonzero(needed[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NgramEncoder.from_texts(short + long, sequence_length=1024)
        NgramEncoder.from_texts(short * 50 + long)


def test_rare_ngrams_are_kept_where_there_are_few_texts_or_no_others():
    assert NgramEncoder.from_texts(["red mug", "red cup"]).encode("cup").any()
    assert NgramEncoder.from_texts(["one"], min_document_frequency=2).encode("one").any()
    many = [f"red {word}" for word in ("mug", "cup")] * 2000 + ["zebra"]
    assert not NgramEncoder.from_texts(many).encode("zzbr").any()
    assert NgramEncoder.from_texts(many).encode("mug").any()


@pytest.mark.parametrize("text", ["", "   ", "zzz", "🦆🦆", "\ud800"])
def test_a_text_without_known_ngrams_is_all_padding(encoder, text):
    assert not encoder.encode(text).any()


def test_case_and_compatibility_forms_do_not_matter(encoder):
    np.testing.assert_array_equal(
        encoder.encode("RED Glass"), encoder.encode("\uff52\uff45\uff44 glass")
    )


def test_characters_beyond_ascii_are_ngrams_like_any_other():
    encoder = NgramEncoder.from_texts(["Käse 红色杯子", "Käse 红色碗"])
    assert (
        np.count_nonzero(encoder.encode("käse")[:, 0])
        == np.count_nonzero(encoder.encode("KÄSE")[:, 0])
        > 5
    )
    assert encoder.encode("红色")[:, 0].any()


@pytest.mark.parametrize(
    ("train", "one", "other"),
    [
        ("वह किताब पढ़ता है", "किताब", "कताब"),
        ("שָׁלוֹם לְכֻלָּם", "שָׁלוֹם", "שלום"),
        ("சிவப்பு கோப்பை", "கோப்பை", "காப்பை"),
        ("ผู้หญิงวางแก้ว", "ก้", "ก"),
        ("红色的杯子", "杯", "子"),
        ("ふたの写真とぶた", "ふ", "ぶ"),
    ],
)
def test_words_keep_their_marks_and_a_letter_is_a_word_where_there_are_no_spaces(train, one, other):
    encoder = NgramEncoder.from_texts([train])
    assert zlib.crc32(one.encode(), zlib.crc32(b"word")) in encoder.hashes
    assert not np.array_equal(encoder.encode(one), encoder.encode(other))
    assert encoder.encode(one).any()


def test_encoders_of_before_find_words_as_they_did():
    new = NgramEncoder.from_texts(["वह किताब पढ़ता है", "红色的杯子", "a red mug"])
    config = {name: value for name, value in new.get_config().items() if name != "form"}
    old = NgramEncoder.from_config(config)
    assert old.form == 1 and old != new and NgramEncoder.from_config(new.get_config()) == new
    assert np.array_equal(old.encode("a red mug"), new.encode("a red mug"))
    assert not np.array_equal(old.encode("红色"), new.encode("红色"))
    assert NgramEncoder.from_config(old.get_config()).form == 1
    with pytest.raises(ValueError, match="`form` must be 1 or 2. Received: form=3"):
        NgramEncoder.from_config({**config, "form": 3})


def test_ids_and_weights_do_not_change_between_versions():
    encoder = NgramEncoder.from_texts(["red mug", "red cup"], min_document_frequency=2)
    assert encoder.hashes[:3] == PINNED
    assert encoder.encode("red")[:3].tolist() == [[1, 19760], [2, 19760], [3, 19760]]


PINNED = (191713173, 289623901, 438170956)


def test_pickle_and_json_round_trips_are_equal_and_compact(encoder):
    config = json.loads(json.dumps(encoder.get_config()))
    for copy in (pickle.loads(pickle.dumps(encoder)), NgramEncoder.from_config(config)):
        assert copy == encoder
        np.testing.assert_array_equal(copy.encode("red bowl"), encoder.encode("red bowl"))
    assert len(json.dumps(config)) < 12 * encoder.vocabulary_size
    assert len(repr(encoder)) < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 1}, "Received: vocabulary_size=1"),
        ({"sequence_length": 0}, "Received: sequence_length=0"),
        ({"min_document_frequency": 0}, "Received: min_document_frequency=0"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        NgramEncoder.from_texts(TEXTS, **arguments)


def test_texts_without_any_word_are_refused():
    with pytest.raises(ValueError, match="at least one word. Received: 2 texts"):
        NgramEncoder.from_texts(["", " "])
