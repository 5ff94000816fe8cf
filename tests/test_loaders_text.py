from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

import multimodal_gen as mg
from multimodal_gen.augment import RandomFlip
from multimodal_gen.augment.text import (
    RandomWordDeletion,
    RandomWordSwap,
    TokenDropout,
    TokenMasking,
)

TEXTS = [
    "a red mug with a handle",
    "a blue lamp for the desk",
    "the red lamp and the blue mug",
    "a wooden chair, painted red",
] * 5


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "wordlevel"])
def test_each_model_encodes_pads_and_decodes(model: str) -> None:
    loader = mg.TextLoader.from_texts(
        "caption", TEXTS, model=model, vocabulary_size=200, sequence_length=30
    )
    ids = loader.read("a red lamp")
    assert loader.spec == mg.ArraySpec((30,), "int32", "tokens", loader.spec.vocabulary_size)
    assert ids.dtype == np.int32
    assert (ids > 1).sum() >= 3
    assert ids[-1] == 0
    assert ids.max() < loader.spec.vocabulary_size
    assert loader.decode(ids) == "a red lamp"
    mg.check_loader(loader, ["a red lamp", "", "zzz 😀"])


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "wordlevel"])
def test_each_trained_tokenizer_knows_a_mask_token_and_leaves_no_id_unused(model: str) -> None:
    encoder = mg.TextLoader.from_texts(
        "caption", TEXTS, model=model, vocabulary_size=80, sequence_length=8
    ).encoder
    assert isinstance(encoder, mg.TokenEncoder)
    assert [encoder.token(one) for one in (1, 2)] == ["[UNK]", "[MASK]"]
    assert encoder.token_id("[MASK]") == 2
    assert all(encoder.token(one) for one in range(1, encoder.vocabulary_size))
    assert (encoder.token(0), encoder.token(encoder.vocabulary_size)) == ("", "")
    assert np.flatnonzero(~encoder.ordinary).tolist() == [0, 1, 2]
    assert 2 not in encoder.encode("a red [MASK]")
    assert 2 in encoder.replace(match_special_tokens=True).encode("a red [MASK]")


def test_zero_is_padding_and_one_is_an_unknown_word() -> None:
    loader = mg.TextLoader.from_texts(
        "caption", TEXTS, model="wordlevel", vocabulary_size=50, sequence_length=4
    )
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
    assert np.array_equal(folded.read("RED LaMp"), folded.read("red lamp"))
    assert not np.array_equal(folded.read("red lämp"), folded.read("red lamp"))
    exact = mg.TextLoader.from_texts("caption", [*TEXTS, "RED"], lowercase=False)
    assert not np.array_equal(exact.read("RED"), exact.read("red"))


def test_missing_texts_are_left_out_of_training_and_refused_when_read() -> None:
    loader = mg.TextLoader.from_texts("caption", [*TEXTS, None, float("nan")])
    for cell in (None, float("nan")):
        with pytest.raises(mg.LoadError, match="missing"):
            loader.read(cell)
    with pytest.raises(
        mg.LoadError,
        match=r"expected text. Convert .*astype\('string'\)`. Received: int 3",
    ):
        loader.read(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "gpt"}, "`model` must be .*gpt"),
        ({"output_mode": "vector"}, "`output_mode` must be .*vector"),
        ({"vocabulary_size": 3}, "`vocabulary_size` must be at least 4"),
        ({"sequence_length": 0}, "`sequence_length` must be a positive integer"),
        ({"padding": "both", "sequence_length": 3}, "`padding` must be .*both"),
    ],
)
def test_arguments_without_meaning_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.TextLoader.from_texts("caption", TEXTS, **arguments)
    for swapped in (("caption", "a text"), (TEXTS, "caption")):
        with pytest.raises(TypeError, match="Pass the name of a column first, and then its values"):
            mg.TextLoader.from_texts(*swapped)
    with pytest.raises(
        mg.LoadError, match=r"index 's', column 'caption': expected text.*astype.*Received: int 3"
    ):
        mg.TextLoader.from_texts("caption", pd.Series(["a", 3], index=["r", "s"]))
    with pytest.raises(mg.LoadError, match="index 1, column 'caption': expected text"):
        mg.TextLoader.from_texts("caption", ["a", 3])
    with pytest.raises(ValueError, match="There is no text to learn"):
        mg.TextLoader.from_texts("caption", ["", None])


def test_training_a_tokenizer_repeats_in_another_process() -> None:
    # Words of which each occurs as often as the others: their pieces are worth the same, so there
    # are ties to break.
    ties = [
        " ".join(f"{one}{two}{three}" for one in "bdg")
        for two in "aeiou"
        for three in ("mp", "nk", "rst", "lf")
    ]
    code = (
        "import hashlib, json, multimodal_gen as mg; from multimodal_gen.config import serialize; "
        f"texts = {[*TEXTS, *ties]!r}; "
        "print([hashlib.sha256(json.dumps(serialize(mg.TextLoader.from_texts('c', texts, model=m, "
        "vocabulary_size=60))).encode()).hexdigest() for m in ('wordpiece', 'bpe', 'unigram', "
        "'wordlevel')])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(outputs) == 1


def word_tokenizer(words: list[str]) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[-1])
    )
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
    with pytest.raises(
        ValueError, match="does not say how long a text may be: set `sequence_length`"
    ):
        mg.TextLoader("caption", tokenizer)
    tokenizer.enable_truncation(3)
    assert mg.TextLoader("caption", tokenizer).spec.shape == (3,)


def test_files_that_are_no_tokenizer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tokenizer file does not exist"):
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
    with pytest.raises(ValueError, match="An encoder has its own length"):
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


def stream(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def trained(loader: mg.TextLoader, text: str, seed: int) -> list[str]:
    """The words of a text as a model sees them while training."""
    rng = stream(seed)
    return loader.decode(loader.augment(loader.read(loader.augment_cell(text, rng)), rng)).split()


def shout(text: str, rng: np.random.Generator) -> str:
    return text.upper()


def reveal(text: str, rng: np.random.Generator) -> str:
    return f"{text} lamp"


def test_operations_on_words_come_before_those_on_tokens_whatever_their_order_in_the_list() -> None:
    loader = mg.TextLoader.from_texts(
        "caption",
        TEXTS,
        model="wordlevel",
        augment=[TokenDropout(1.0), RandomWordSwap(1.0), reveal],
    )
    seen = {tuple(trained(loader, "red mug", seed)) for seed in range(40)}
    assert seen == {("mug",), ("red",), ("lamp",)}
    masking = loader.replace(augment=[TokenMasking(1.0), reveal])
    array = masking.augment(masking.read(masking.augment_cell("red mug", stream(0))), stream(0))
    assert array.tolist() == [2, 2, 2, 0, 0, 0, 0]


def test_without_a_stream_nothing_is_varied_and_other_cells_are_left_for_read_to_refuse() -> None:
    loader = mg.TextLoader.from_texts("caption", TEXTS, augment=[shout, TokenDropout(1.0)])
    array = loader.read("a red mug")
    assert loader.augment(array, None) is array
    assert loader.augment_cell(None, stream(0)) is None
    with pytest.raises(mg.LoadError, match="expected text"):
        loader.read(loader.augment_cell(3, stream(0)))


@pytest.mark.parametrize("output_mode", ["tokens", "ngrams"])
def test_a_varying_loader_keeps_the_contract_and_is_saved_without_foreign_callables(
    output_mode: str,
) -> None:
    own = [RandomWordDeletion(0.3), RandomWordSwap(0.3)]
    loader = mg.TextLoader.from_texts(
        "caption", TEXTS, output_mode=output_mode, augment=[shout, *own]
    )
    mg.check_loader(loader, ["a red mug", "", "zzz 😀"])
    assert loader.get_config()["augment"] == own
    assert loader.replace(column="title").operations == loader.operations
    assert np.array_equal(loader.read("a red mug"), loader.replace(augment=[]).read("a red mug"))


def test_ngrams_take_operations_on_words_and_refuse_those_on_tokens() -> None:
    loader = mg.TextLoader.from_texts(
        "caption", TEXTS, output_mode="ngrams", augment=[RandomWordSwap(1.0)]
    )
    rng = stream(0)
    varied = loader.augment(loader.read(loader.augment_cell("red mug", rng)), rng)
    assert np.array_equal(varied, loader.read("mug red"))
    assert not np.array_equal(varied, loader.read("red mug"))
    with pytest.raises(
        ValueError,
        match=r"N-grams cannot be dropped.*RandomWordSwap.*Received: TokenDropout\(rate=0.1\)",
    ):
        loader.replace(augment=[TokenDropout(0.1)])


@pytest.mark.parametrize("operations", [RandomWordSwap(), ["swap"], [RandomFlip()]])
def test_what_is_no_list_of_operations_on_text_is_refused(operations: object) -> None:
    with pytest.raises(
        ValueError,
        match="`augment` must (be a list|hold operations on words or tokens).*Received: ",
    ):
        mg.TextLoader.from_texts("caption", TEXTS, augment=operations)  # type: ignore[arg-type]


def test_a_tokenizer_file_without_a_mask_token_is_refused_and_one_that_got_it_is_taken(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokenizer.json"
    word_tokenizer(["[PAD]", "red", "mug", "[UNK]"]).save(str(path))
    with pytest.raises(
        ValueError, match=r"has no token '\[MASK\]'.*Tokenizer.from_file.*add_special_tokens"
    ):
        mg.TextLoader.from_file("caption", path, sequence_length=4, augment=[TokenMasking(1.0)])
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.add_special_tokens(["[MASK]"])
    loader = mg.TextLoader("caption", tokenizer, sequence_length=4, augment=[TokenMasking(1.0)])
    assert loader.augment(loader.read("red mug"), stream(0)).tolist() == [4, 4, 0, 0]
    tokenizer.save(str(path))
    again = mg.TextLoader.from_file("caption", path, sequence_length=4, augment=[TokenMasking(1.0)])
    assert again == loader


def test_captions_vary_from_epoch_to_epoch_and_not_with_batches_or_when_evaluating() -> None:
    texts = [f"{TEXTS[row % 4]} for the desk" for row in range(12)]
    table = pd.DataFrame({"caption": texts})
    loader = mg.TextLoader.from_texts(
        "caption", texts, augment=[RandomWordSwap(0.5), TokenDropout(0.3)]
    )

    def epoch(number: int, **arguments: int) -> np.ndarray:
        data = mg.MultimodalSequence(table, {"caption": loader}, shuffle=True, seed=1, **arguments)
        data.epoch = number
        arrays = np.concatenate([batch[0][0] for batch in data])
        rows = np.concatenate([data.rows(one).index for one in range(len(data))])
        return arrays[np.argsort(rows)]

    first, second = epoch(0, batch_size=5), epoch(1, batch_size=5)
    assert np.array_equal(first, epoch(0, batch_size=3, threads=1))
    assert (first != second).any(axis=1).mean() > 0.8
    evaluated = mg.MultimodalSequence(table, {"caption": loader}, shuffle=True).for_evaluation()
    plain = np.stack(loader.read_batch(texts))
    assert np.array_equal(np.concatenate([batch[0][0] for batch in evaluated]), plain)


def test_the_default_length_has_room_for_words_that_no_training_caption_has() -> None:
    words = (
        "red blue green old new small large mug lamp chair desk shelf vase clock bowl on by near "
        "under a the with"
    )
    rng = np.random.default_rng(0)
    captions = [" ".join(rng.choice(words.split(), 6)) for _ in range(150)]
    loader = mg.TextLoader.from_texts("caption", captions)
    assert loader.spec.shape == (6 + 12,)
    text = "a crimson drawer near the clock"
    assert loader.decode(loader.read(text)) == text
    # To "wordlevel" a new word is one id, so there is nothing to make room for.
    assert mg.TextLoader.from_texts("caption", captions, model="wordlevel").spec.shape == (6,)
    # Long captions are not made longer in proportion, and never longer than 512.
    long = [" ".join(rng.choice(words.split(), 200)) for _ in range(20)]
    assert mg.TextLoader.from_texts("caption", long).spec.shape == (212,)
    assert mg.TextLoader.from_texts("caption", [" ".join(long)]).spec.shape == (512,)


def test_words_of_one_caption_alone_count_as_their_letters() -> None:
    same = ["a red mug", "a blue mug", "a red lamp", "a blue lamp"]
    own = [
        f"{text} {word}"
        for text, word in zip(same, ["walnut", "cobalt", "ceramic", "velvet"], strict=True)
    ]
    lengths = [
        mg.TextLoader.from_texts("caption", texts).spec.shape[0] for texts in (same * 2, own)
    ]
    assert lengths == [3 + 12, 3 + len("ceramic") + 12]


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([b"a red mug", "caf\u00e9".encode()], ["a red mug", "caf\u00e9"]),
        ([["a", "mug"], ["lamp"]], ["a mug", "lamp"]),
    ],
)
def test_bytes_and_lists_are_refused_with_a_line_that_makes_texts_of_them(
    cells: list[object], texts: list[str]
) -> None:
    table = pd.DataFrame({"caption": cells})
    with pytest.raises(mg.LoadError, match=r"index 0, column 'caption': expected text\.") as caught:
        mg.TextLoader.from_texts("caption", table)
    code = str(caught.value).split("`")[1].replace("column", "'caption'")
    exec(code, {"table": table})
    assert table["caption"].tolist() == texts
    with pytest.raises(mg.LoadError, match=r"Make one text of such cells with .*Received: ndarray"):
        mg.TextLoader.from_texts("caption", ["a", np.array([1, 2])])


def test_an_unknown_word_without_a_token_for_it_is_an_error_that_says_what_to_add(
    tmp_path: Path,
) -> None:
    plain = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[PAD]": 0, "red": 1, "mug": 2}, unk_token="[UNK]")
    )
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    file = tmp_path / "tokenizer.json"
    plain.save(str(file))
    loader = mg.TextLoader.from_file("caption", file, sequence_length=3)
    assert loader.read("red mug").tolist() == [1, 2, 0]
    for read in (lambda: loader.read("red jug"), lambda: loader.read_batch(["red mug", "red jug"])):
        with pytest.raises(
            mg.LoadError,
            match=r'has no token for unknown words.*"unk_token": "\[UNK\]".*Received: ',
        ):
            read()
    description = json.loads(file.read_text())
    description["model"]["vocab"]["[UNK]"] = 3
    file.write_text(json.dumps(description))
    assert mg.TextLoader.from_file("caption", file, sequence_length=3).read("red jug").tolist() == [
        1,
        3,
        0,
    ]


def test_a_unigram_model_without_a_token_for_unknown_words_says_the_same() -> None:
    model = tokenizers.models.Unigram([("<pad>", 0.0), ("red", -1.0)])
    loader = mg.TextLoader("caption", tokenizers.Tokenizer(model), sequence_length=3)
    with pytest.raises(mg.LoadError, match=r'has no token for unknown words.*"unk_id"'):
        loader.read("red jug")


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "wordlevel"])
def test_control_characters_inside_a_word_are_left_out_and_spaces_among_them_part_words(
    model: str,
) -> None:
    loader = mg.TextLoader.from_texts(
        "caption", ["a red mug", "a b\x02lue lamp"] * 3, model=model, sequence_length=9
    )
    expected = loader.read("a red mug").tolist()
    assert 1 not in expected
    for text in ("a r\x01ed mug", "a red m\x00ug\x7f", "a red\x9d mug", "a\tred\nmug"):
        assert loader.read(text).tolist() == expected
    assert loader.read("blue").tolist() == loader.read(
        "bl\x1bue"
    ).tolist() and 1 not in loader.read("blue")


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        (["a red mug", ["a", "b"], None], ["a red mug", "a b", None]),
        (["a red mug", (1, "b"), None], ["a red mug", "1 b", None]),
        (["a red mug", b"tea", None], ["a red mug", "tea", None]),
        (["a red mug", 3, None], ["a red mug", "3", None]),
    ],
)
def test_advice_on_a_cell_that_is_not_text_leaves_the_other_cells(
    cells: list[Any], texts: list[Any]
) -> None:
    table = pd.DataFrame({"caption": pd.Series(cells, dtype=object)})
    with pytest.raises(mg.LoadError, match="expected text") as caught:
        mg.TextLoader.from_texts("caption", table)
    code = str(caught.value).split("`")[1]
    exec(code, {"table": table, "pd": pd, "column": "caption"})
    assert [None if pd.isna(cell) else cell for cell in table["caption"].tolist()] == texts
