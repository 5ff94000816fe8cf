"""Tokenizers from elsewhere and what a caption may hold: names of special tokens are words, and
nothing is random.
"""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

import multimodal_gen as mg
from multimodal_gen.config import deserialize, serialize

TEXTS = [
    "a red mug with a handle",
    "a blue lamp",
    "the red lamp and the blue mug",
    "[PAD] and [MASK] and [UNK]",
] * 5


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram", "wordlevel"])
def test_names_of_special_tokens_in_a_caption_are_words(model: str, lowercase: bool) -> None:
    loader = mg.TextLoader.from_texts(
        "text", TEXTS, model=model, lowercase=lowercase, sequence_length=30
    )
    for name in ("[PAD]", "[MASK]"):
        for text in (
            name,
            f"a red {name}",
            f"{name}{name} mug",
            f"x{name}x",
            name.translate({91: 0xFF3B, 93: 0xFF3D}),
        ):
            array = loader.read(text)
            used = np.trim_zeros(array, "b")
            assert len(used) and not {0, 2} & set(used.tolist()), (text, used)
            assert np.array_equal(loader.read_batch([text])[0], array)
        assert name.strip("[]").lower() in loader.decode(loader.read(f"a red {name}")).lower()
    masked = mg.MaskedTextLoader(loader, rate=1.0)
    assert (masked.mask(loader.read("red [MASK]"), None)[1] != 0).sum() == (
        loader.read("red [MASK]") > 1
    ).sum()


def t5_like() -> tokenizers.Tokenizer:
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -3.0),
        ("▁red", -2.0),
        ("▁mug", -2.0),
    ]
    letters = [(letter, -5.0) for letter in "</>padsunkremg"]
    tokenizer = tokenizers.Tokenizer(models.Unigram(pieces + letters, unk_id=2))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def words_like() -> tokenizers.Tokenizer:
    names = ["<pad>", "<s>", "</s>", "<mask>", "red", "mug", "<unk>"]
    tokenizer = tokenizers.Tokenizer(
        models.WordLevel({name: place for place, name in enumerate(names)}, "<unk>")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = (
        normalizers.Lowercase(),
        pre_tokenizers.WhitespaceSplit(),
    )
    tokenizer.add_special_tokens(["<pad>", "<s>", "</s>", "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def gpt_like(dropout: float | None = None) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE(dropout=dropout))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(
        ["a red mug with a handle", "a blue lamp for the desk"] * 5, trainer
    )
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "names", "ends"),
    [
        (t5_like(), ["<pad>", "</s>"], (0, 1)),
        (words_like(), ["<pad>", "<s>", "</s>", "<mask>", "<MASK>"], (1, 1)),
        (gpt_like(), ["<|endoftext|>"], (0, 0)),
    ],
    ids=["t5", "words", "gpt"],
)
def test_names_of_special_tokens_are_words_for_tokenizers_from_elsewhere(
    tmp_path: Path, tokenizer: tokenizers.Tokenizer, names: list[str], ends: tuple[int, int]
) -> None:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loader = mg.TextLoader.from_file("text", tmp_path / "tokenizer.json", sequence_length=24)
    encoder = loader.encoder
    assert isinstance(encoder, mg.TokenEncoder)
    special = {encoder.token_id(name) for name in names if name.islower()}
    for name in names:
        for text in (name, f"red {name} mug", f"{name} {name}"):
            used = np.trim_zeros(loader.read(text), "b").tolist()
            inside = used[ends[0] : len(used) - ends[1]]
            assert inside and not special & {0, *inside} & set(inside), (text, used)
            assert np.array_equal(loader.read_batch([text])[0], loader.read(text))
    plain = loader.read("red mug")
    assert np.array_equal(
        plain[: np.count_nonzero(plain)] - encoder.offset, tokenizer.encode("red mug").ids
    )
    matching = loader.replace(tokenizer=encoder.replace(match_special_tokens=True))
    assert encoder.token_id(names[0]) in matching.read(f"red {names[0]} mug")


def test_bundles_of_before_keep_their_ids() -> None:
    tokenizer = tokenizers.Tokenizer(
        models.WordPiece(
            {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "lamp": 3, "a": 4, "##a": 5}, unk_token="[UNK]"
        )
    )
    steps = [
        normalizers.NFKC(),
        normalizers.Lowercase(),
        normalizers.NFD(),
        normalizers.StripAccents(),
    ]
    tokenizer.normalizer, tokenizer.pre_tokenizer = (
        normalizers.Sequence(steps),
        pre_tokenizers.BertPreTokenizer(),
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[MASK]"])
    saved = {
        "class_name": "TokenEncoder",
        "config": {
            "tokenizer_json": tokenizer.to_str(),
            "sequence_length": 6,
            "truncation": "right",
            "padding": "left",
        },
    }
    encoder = deserialize(saved)
    for text in ("a Lämp", "a [MASK] lamp", "[PAD] a", "a" * 101, "a 杯子 lamp", "é"):
        ids = tokenizer.encode(text).ids[:6]
        assert encoder.encode(text).tolist() == [0] * (6 - len(ids)) + ids, text
    for copy in (
        deserialize(serialize(encoder)),
        pickle.loads(pickle.dumps(encoder)),
        encoder.replace(padding="left"),
    ):
        assert copy == encoder and copy.match_special_tokens
    new = mg.TokenEncoder(tokenizer.to_str(), sequence_length=6)
    for copy in (deserialize(serialize(new)), pickle.loads(pickle.dumps(new))):
        assert copy == new and not copy.match_special_tokens and 2 not in copy.encode("a [MASK]")


def test_a_tokenizer_that_drops_merges_at_random_does_so_no_more_and_says_so(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokenizer.json"
    gpt_like(dropout=0.5).save(str(path))
    with pytest.warns(
        UserWarning, match=r"leaves out merges at random \(dropout=0.5\).*TokenDropout"
    ):
        loader = mg.TextLoader.from_file("text", path, sequence_length=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(
            loader.read("a red mug"),
            mg.TextLoader("text", gpt_like(), sequence_length=30).read("a red mug"),
        )
        again = deserialize(serialize(loader))
    assert again == loader
    assert len({one.read("a red mug with a handle").tobytes() for one in [loader, again] * 10}) == 1
    table = pd.DataFrame({"text": ["a red mug with a handle", "a blue lamp for the desk"] * 8})
    data = mg.MultimodalSequence(table, {"text": loader}, batch_size=16, shuffle=True)
    rows = {
        row.tobytes()
        for _ in range(3)
        for (batch,) in data
        for row in np.asarray(batch[0] if isinstance(batch, (list, tuple)) else batch)
    }
    assert len(rows) == 2
    with pytest.warns(UserWarning, match="dropout=0.5"):
        assert (
            json.loads(
                mg.TextLoader("text", gpt_like(0.5), sequence_length=3).encoder.tokenizer_json
            )["model"]["dropout"]
            is None
        )


@pytest.mark.parametrize("length", [1, 2])
def test_a_length_without_room_for_a_word_beside_the_template_is_refused(length: int) -> None:
    with pytest.raises(
        ValueError,
        match=rf"at least 3, because .* adds 2 special tokens.*Received: sequence_length={length}$",
    ):
        mg.TextLoader("text", words_like(), sequence_length=length)
    assert (
        np.count_nonzero(mg.TextLoader("text", words_like(), sequence_length=3).read("red mug"))
        == 3
    )
    with pytest.raises(ValueError, match="at least 2, because .* adds 1 special"):
        mg.TextLoader("text", t5_like(), sequence_length=1)
