from __future__ import annotations

import pickle
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

import multimodal_gen as mg
from multimodal_gen.augment.text import RandomWordSwap, TokenDropout
from multimodal_gen.config import deserialize, serialize
from multimodal_gen.loaders.targets.masked_tokens import MaskedTokens
from multimodal_gen.loaders.text.masked import MaskedTextLoader

# Each thing has its own colour and place, so a hidden word can be told from those that are left.
THINGS = [
    ("apple", "red", "tree"),
    ("lemon", "yellow", "market"),
    ("frog", "green", "pond"),
    ("whale", "blue", "sea"),
    ("crow", "black", "roof"),
    ("swan", "white", "lake"),
    ("fox", "orange", "forest"),
    ("pig", "pink", "farm"),
]


def sentences(number: int) -> list[str]:
    """Three shapes of sentence; the words of one agree with each other."""
    shapes = ("the {1} {0} by the {2}", "by the {2} there is a {1} {0}", "a {0} is {1} at the {2}")
    return [shapes[row // 8 % 3].format(*THINGS[row % 8]) for row in range(number)]


def stream(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def loader(*, augment: list | None = None, **arguments: float) -> MaskedTextLoader:
    texts = mg.TextLoader.from_texts(
        "caption", sentences(24), model="wordlevel", sequence_length=10, augment=augment or []
    )
    return MaskedTextLoader(texts, **arguments)


def test_the_contract_is_kept_and_input_and_target_are_saved_with_the_tokenizer() -> None:
    masked = loader(rate=0.3, augment=[RandomWordSwap(0.5), TokenDropout(0.2)])
    for one in (masked, MaskedTokens(masked)):
        mg.check_loader(one, ["a red apple", "", "qqq", "the the the"])
        copy = pickle.loads(pickle.dumps(deserialize(serialize(one))))
        assert copy == one
        array = one.read("the red apple by the tree")
        assert np.array_equal(copy.augment(array, stream(3)), one.augment(array, stream(3)))
    assert masked.spec == masked.loader.spec
    assert MaskedTokens(masked).spec == mg.ArraySpec(
        (10,), "int32", "label", masked.spec.vocabulary_size
    )


@pytest.mark.parametrize("seed", [None, *range(10)])
def test_input_and_target_agree_on_what_is_hidden(seed: int | None) -> None:
    masked = loader(rate=0.5)
    target = MaskedTokens(masked)
    ids = masked.read("by the pond there is a green frog")
    shown = masked.augment(ids, None if seed is None else stream(seed))
    labels = target.augment(
        target.read("by the pond there is a green frog"), None if seed is None else stream(seed)
    )
    hidden = labels != 0
    assert hidden.sum() == 4
    assert np.array_equal(labels[hidden], ids[hidden])
    assert np.array_equal(shown[~hidden], ids[~hidden])


def test_of_the_chosen_tokens_eight_in_ten_are_masked_one_is_random_and_one_stays() -> None:
    masked, rng = loader(rate=0.25), stream(0)
    ids = masked.read("by the pond there is a green frog")
    fates, places = [], np.zeros(8)
    for _ in range(4_000):
        shown, labels = masked.mask(ids, rng)
        chosen = labels != 0
        assert chosen.sum() == 2
        places += chosen[:8]
        fates += [
            (one == masked.mask_id, one == before)
            for one, before in zip(shown[chosen], ids[chosen], strict=True)
        ]
    hidden, kept = np.mean(fates, axis=0)
    words = np.count_nonzero(masked.encoder.ordinary)
    assert hidden == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1 + 0.1 / words, abs=0.015)
    assert places / 4_000 == pytest.approx(np.full(8, 0.25), abs=0.03)


def test_every_caption_with_a_word_has_something_to_guess_and_others_have_nothing() -> None:
    masked = loader()
    for text, number in {
        "frog": 1,
        "the red fox": 1,
        "qqq " * 10 + "fox": 0,
        "qqq": 0,
        "": 0,
        "[MASK]": 0,
    }.items():
        ids = masked.read(text)
        shown, labels = masked.mask(ids, stream(0))
        assert np.count_nonzero(labels) == number, text
        assert number or np.array_equal(shown, ids)
    assert np.count_nonzero(loader(rate=1.0).mask(masked.read("the red fox"), stream(0))[1]) == 3


def test_masks_are_new_each_epoch_and_fixed_by_the_caption_when_evaluating() -> None:
    texts = sentences(20)
    table = pd.DataFrame({"caption": texts})
    masked = loader(rate=0.3, augment=[RandomWordSwap(0.5), TokenDropout(0.2)])
    data = mg.MultimodalSequence(
        table, {"caption": masked}, MaskedTokens(masked), batch_size=6, shuffle=True
    )

    def epoch(number: int) -> list[np.ndarray]:
        data.epoch = number
        return [
            np.concatenate(part)
            for part in zip(*((ids, labels) for (ids,), labels in data), strict=True)
        ]

    for number in (0, 1):
        shown, labels = epoch(number)
        assert (labels > 0).any(axis=1).all()
        # Where nothing was put instead, a hidden token is still there; elsewhere input and
        # label do not meet.
        hidden = labels != 0
        assert (shown[hidden] == masked.mask_id).mean() == pytest.approx(0.8, abs=0.2)
        assert not (shown[~hidden] == masked.mask_id).any()
    assert not np.array_equal(epoch(0)[1], epoch(1)[1])
    ((ids,), labels) = data.for_evaluation(table.iloc[::-1])[0]
    ((again,), _) = data.for_evaluation(table.tail(3))[0]
    assert np.array_equal(ids[:3], again[::-1])
    assert np.array_equal(ids[0], masked.augment(masked.read(texts[-1]), None))
    assert (labels > 0).any(axis=1).all()


def test_scores_are_of_hidden_tokens_only_and_agree_with_loss_and_metric() -> None:
    target = MaskedTokens(loader())
    rng = np.random.default_rng(0)
    outputs = rng.random((4, 10, target.units)).astype("float32")
    outputs /= outputs.sum(axis=-1, keepdims=True)
    labels = np.where(rng.random((4, 10)) < 0.4, rng.integers(1, target.units, (4, 10)), 0).astype(
        "int32"
    )
    labels[:, 0] = outputs[:, 0].argmax(axis=-1)
    scores = target.score(labels, outputs)
    hits = (outputs.argmax(axis=-1) == labels)[labels > 0]
    assert 0 < hits.mean() < 1
    assert scores["masked_accuracy"] == pytest.approx(hits.mean())
    assert scores["perplexity"] == pytest.approx(
        np.exp(float(target.loss(labels, outputs))), rel=1e-5
    )
    (metric,) = target.metrics
    metric.update_state(labels, outputs)
    assert (metric.name, float(metric.result())) == ("masked_accuracy", pytest.approx(hits.mean()))
    assert target.metrics[0] is not metric


def test_outputs_become_one_ordinary_token_a_position() -> None:
    target = MaskedTokens(loader())
    encoder = target.loader.encoder
    outputs = np.zeros((2, 10, target.units), "float32")
    outputs[:, :, 2] = 0.9
    ids = target.read("a red apple")
    for position, one in enumerate(ids[:3]):
        outputs[0, position, one] = 0.1
    tokens = target.decode_outputs(outputs)["tokens"]
    assert tokens[0].split(" ")[:3] == ["a", "red", "apple"]
    assert len(tokens[1].split(" ")) == 10
    assert set(tokens[1].split(" ")) == {encoder.token(int(np.flatnonzero(encoder.ordinary)[0]))}


@pytest.mark.parametrize("shape", [(2, 10), (2, 9, 40), (2, 10, 3)])
def test_outputs_of_another_shape_and_captions_without_hidden_tokens_are_refused(
    shape: tuple[int, ...],
) -> None:
    target = MaskedTokens(loader())
    with pytest.raises(
        ValueError,
        match=r"one probability per position and token, \(rows, 10, .*Received: outputs of shape",
    ):
        target.decode_outputs(np.zeros(shape, "float32"))
    with pytest.raises(ValueError, match="nothing to score: no caption has a hidden token"):
        target.score(np.zeros((2, 10), "int32"), np.ones((2, 10, target.units), "float32"))


def test_what_cannot_be_masked_is_refused() -> None:
    ngrams = mg.TextLoader.from_texts("caption", sentences(8), output_mode="ngrams")
    for wrong in (ngrams, "caption", mg.ImageLoader("image")):
        with pytest.raises(
            ValueError, match=r"Masking needs a TextLoader that returns tokens.*Received: loader="
        ):
            MaskedTextLoader(wrong)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError,
        match="`rate` must be positive, otherwise there is nothing to predict. Received: rate=0",
    ):
        loader(rate=0)
    with pytest.raises(ValueError, match="`rate` must be a probability"):
        loader(rate=2)
    with pytest.raises(
        ValueError, match=r"MaskedTokens needs the MaskedTextLoader that is among the inputs"
    ):
        MaskedTokens(loader().loader)  # type: ignore[arg-type]
    tokenizer = tokenizers.Tokenizer(
        models.WordLevel({"[PAD]": 0, "red": 1, "[UNK]": 2}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(ValueError, match=r"no token '\[MASK\]'"):
        MaskedTextLoader(mg.TextLoader("caption", tokenizer, sequence_length=3))
    with pytest.raises(ValueError, match="has no words to hide"):
        MaskedTextLoader(mg.TextLoader("caption", tokenizer, sequence_length=3), mask_token="red")


def guesser(length: int, vocabulary_size: int) -> keras.Model:
    """Guesses each token from its place and from all tokens around it."""
    ids = keras.Input((length,), dtype="int32")
    seen = keras.layers.Embedding(vocabulary_size, 32)(ids)
    hidden = keras.layers.Dense(128, activation="relu")(keras.layers.Flatten()(seen))
    places = keras.layers.Reshape((length, 32))(keras.layers.Dense(length * 32)(hidden))
    outputs = keras.layers.Dense(vocabulary_size, activation="softmax")(places)
    return keras.Model((ids,), outputs)


@pytest.mark.slow
def test_a_small_model_learns_to_guess_far_better_than_the_commonest_word(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    train, test = (
        pd.DataFrame({"caption": sentences(240), "weight": 1.0}),
        pd.DataFrame({"caption": sentences(24)}),
    )
    # Nonsense that must not be learned, as it has no weight.
    train.loc[::4, ["caption", "weight"]] = ["the farm farm by the farm", 0.0]
    masked = loader()
    target = MaskedTokens(masked)
    data = mg.MultimodalSequence(
        train, {"caption": masked}, target, batch_size=32, shuffle=True, sample_weight="weight"
    )
    model = guesser(10, target.units)
    model.compile(keras.optimizers.Adam(1e-2), loss=target.loss, metrics=target.metrics)
    model.fit(data, epochs=14, shuffle=False, verbose=0)

    labels = np.concatenate([batch[1] for batch in data.for_evaluation(test.assign(weight=1.0))])
    guessed = labels[labels > 0]
    commonest = np.bincount(guessed).max() / len(guessed)
    watched = model.evaluate(
        data.for_evaluation(test.assign(weight=1.0)), verbose=0, return_dict=True
    )
    bundle = mg.Bundle(model, {"caption": masked}, target)
    scores = bundle.evaluate(test)
    assert watched["masked_accuracy"] == pytest.approx(scores["masked_accuracy"], abs=1e-5)
    assert np.exp(watched["loss"]) == pytest.approx(scores["perplexity"], rel=1e-4)
    assert commonest < 0.4
    assert scores["masked_accuracy"] > 0.8
    assert scores["perplexity"] < 2

    # With the loader inside, nothing is hidden but what the caption itself leaves open.
    asking = masked.loader.replace(tokenizer=masked.encoder.replace(match_special_tokens=True))
    mg.Bundle(model, {"caption": asking}, target).save(tmp_path)
    texts = pd.DataFrame(
        {"caption": ["the [MASK] frog by the pond", "a whale is blue at the [MASK]"]},
        index=["x", "y"],
    )
    tokens = mg.load_bundle(tmp_path).predict(texts)["tokens"].str.split(" ")
    assert (tokens["x"][1], tokens["y"][6]) == ("green", "sea")
