from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

import multimodal_gen as mg

TEXTS = [
    "a red mug with a handle",
    "a blue lamp for the desk",
    "the red lamp and the blue mug",
    "a wooden chair, painted red",
] * 5


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "wordlevel"])
def test_each_model_encodes_pads_and_decodes(model: str) -> None:
    loader = mg.TextLoader.from_texts("caption", TEXTS, model=model, vocabulary_size=200, sequence_length=30)
    ids = loader.read("a red lamp")
    assert loader.spec == mg.ArraySpec((30,), "int32", "tokens", loader.spec.vocabulary_size)
    assert ids.dtype == np.int32
    assert (ids > 1).sum() >= 3
    assert ids[-1] == 0
    assert ids.max() < loader.spec.vocabulary_size
    assert loader.decode(ids) == "a red lamp"
    mg.check_loader(loader, ["a red lamp", "", "zzz 😀"])


def test_zero_is_padding_and_one_is_an_unknown_word() -> None:
    loader = mg.TextLoader.from_texts("caption", TEXTS, model="wordlevel", vocabulary_size=50, sequence_length=4)
    assert loader.read("").tolist() == [0, 0, 0, 0]
    assert loader.read("qqq").tolist() == [1, 0, 0, 0]


def test_truncation_and_padding_on_either_side() -> None:
    def read(text: str, **sides: str) -> str:
        loader = mg.TextLoader.from_texts(
            "caption", TEXTS, model="wordlevel", vocabulary_size=50, sequence_length=3, **sides
        )
        ids = loader.read(text)
        return " ".join(loader.decode(np.array([one])) or "-" for one in ids)

    assert read("a red mug with") == "a red mug"
    assert read("a red mug with", truncation="left") == "red mug with"
    assert read("red") == "red - -"
    assert read("red", padding="left") == "- - red"


def test_the_default_length_fits_99_percent_of_the_training_captions() -> None:
    loader = mg.TextLoader.from_texts("caption", TEXTS, model="wordlevel")
    assert loader.spec.shape == (7,)
    assert mg.TextLoader.from_texts("caption", ["a " * 5000]).spec.shape == (512,)


def test_case_counts_only_when_asked() -> None:
    folded = mg.TextLoader.from_texts("caption", TEXTS)
    assert np.array_equal(folded.read("RED Lämp"), folded.read("red lamp"))
    exact = mg.TextLoader.from_texts("caption", [*TEXTS, "RED"], lowercase=False)
    assert not np.array_equal(exact.read("RED"), exact.read("red"))


def test_missing_texts_are_left_out_of_training_and_refused_when_read() -> None:
    loader = mg.TextLoader.from_texts("caption", [*TEXTS, None, float("nan")])
    for cell in (None, float("nan")):
        with pytest.raises(mg.LoadError, match="missing"):
            loader.read(cell)
    with pytest.raises(mg.LoadError, match=r"expected text. Convert the column with `.astype\(str\)`. Received: int 3"):
        loader.read(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "gpt"}, "`model` must be .*gpt"),
        ({"output_mode": "vector"}, "`output_mode` must be .*vector"),
        ({"vocabulary_size": 2}, "`vocabulary_size` must be at least 3"),
        ({"sequence_length": 0}, "`sequence_length` must be positive"),
        ({"padding": "both", "sequence_length": 3}, "`padding` must be .*both"),
    ],
)
def test_arguments_without_meaning_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.TextLoader.from_texts("caption", TEXTS, **arguments)
    for swapped in (("caption", "a text"), (TEXTS, "caption")):
        with pytest.raises(TypeError, match="takes a column name and then texts"):
            mg.TextLoader.from_texts(*swapped)
    with pytest.raises(ValueError, match="There is no text to learn"):
        mg.TextLoader.from_texts("caption", ["", None])


def test_training_a_tokenizer_repeats_in_another_process() -> None:
    code = (
        "import hashlib, json, multimodal_gen as mg; from multimodal_gen.config import serialize; "
        f"texts = {TEXTS!r}; "
        "print([hashlib.sha256(json.dumps(serialize(mg.TextLoader.from_texts('c', texts, model=m, vocabulary_size=60)))"
        ".encode()).hexdigest() for m in ('wordpiece', 'bpe', 'unigram', 'wordlevel')])"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    }
    assert len(outputs) == 1


def word_tokenizer(words: list[str]) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_a_tokenizer_file_with_its_own_padding_keeps_its_ids(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(["[PAD]", "red", "mug", "[UNK]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loader = mg.TextLoader.from_file("caption", tmp_path / "tokenizer.json", sequence_length=4)
    assert loader.read("red mug").tolist() == [1, 2, 0, 0]
    assert loader.spec.vocabulary_size == 4


def test_a_tokenizer_that_uses_zero_for_a_word_is_raised_by_one() -> None:
    loader = mg.TextLoader("caption", word_tokenizer(["red", "mug", "unknown"]), sequence_length=4)
    assert loader.read("red mug").tolist() == [1, 2, 0, 0]
    assert loader.spec.vocabulary_size == 4
    assert loader.decode(loader.read("red mug")) == "red mug"
    mg.check_loader(loader, ["red", "mug mug"])


def test_special_tokens_survive_truncation_and_later_changes_do_not_reach_the_loader() -> None:
    tokenizer = word_tokenizer(["[PAD]", "[CLS]", "[SEP]", "red", "mug", "[UNK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    loader = mg.TextLoader("caption", tokenizer, sequence_length=4)
    tokenizer.enable_truncation(2)
    assert loader.read("red mug red mug").tolist() == [1, 3, 4, 2]


def test_the_length_of_a_tokenizer_that_truncates_is_its_own() -> None:
    tokenizer = word_tokenizer(["[PAD]", "red", "[UNK]"])
    with pytest.raises(ValueError, match="does not say how long a text may be: give `sequence_length`"):
        mg.TextLoader("caption", tokenizer)
    tokenizer.enable_truncation(3)
    assert mg.TextLoader("caption", tokenizer).spec.shape == (3,)


def test_files_that_are_no_tokenizer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tokenizer file"):
        mg.TextLoader.from_file("caption", tmp_path / "none.json", sequence_length=3)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ValueError, match=r"bad.json' is not a tokenizer.json"):
        mg.TextLoader.from_file("caption", tmp_path / "bad.json", sequence_length=3)
    with pytest.raises(TypeError, match=r"use TextLoader.from_file. Received: tokenizer='t.json'"):
        mg.TextLoader("caption", "t.json")  # type: ignore[arg-type]


def test_ngrams_are_ids_and_weights_and_cannot_be_decoded() -> None:
    loader = mg.TextLoader.from_texts("caption", TEXTS, output_mode="ngrams", sequence_length=64)
    array = loader.read("a red mug")
    assert loader.spec.kind == "ngrams"
    assert loader.spec.shape == (64, 2)
    used = array[:, 0] > 0
    assert np.linalg.norm(array[used, 1] / 2**16) == pytest.approx(1, abs=1e-3)
    mg.check_loader(loader, ["a red mug", "", "blue"])
    with pytest.raises(ValueError, match="N-grams cannot be decoded"):
        loader.decode(array)
    with pytest.raises(ValueError, match="An encoder brings its own lengths"):
        mg.TextLoader("caption", loader.encoder, sequence_length=3)


def test_lone_surrogates_do_not_stop_the_run() -> None:
    loader = mg.TextLoader.from_texts("caption", TEXTS, sequence_length=8)
    assert loader.read("red \ud800 mug").shape == (8,)
    assert loader.read_batch(["red \ud800"])[0].shape == (8,)


def test_naughty_strings_are_encoded_whole_or_in_batches(real_data: Path) -> None:
    lines = (real_data / "naughty_strings.txt").read_text("utf-8").splitlines()
    for mode in ("tokens", "ngrams"):
        loader = mg.TextLoader.from_texts("caption", lines, output_mode=mode)
        mg.check_loader(loader, lines)
