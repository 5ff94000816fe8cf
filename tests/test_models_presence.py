"""Models of inputs that rows may lack: what stands in the blank array matters to nothing, the rest
learns as ever.
"""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

import multimodal_gen as mg
from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.models import (
    ImageBranch,
    Joint,
    Late,
    Match,
    build_fusion_classifier,
    calibrate_heads,
)
from multimodal_gen.models.absence import FillAbsent
from multimodal_gen.models.auxiliary_terms import PairTerm, contrastive_loss, hand_over, take_over

# On tensorflow, compiling with XLA would take most of the time of these tests.
JIT = False if keras.backend.backend() == "tensorflow" else "auto"
SPECS = {
    "picture": ArraySpec((8, 8, 3), "uint8", "image"),
    "caption": ArraySpec((6, 2), "int32", "ngrams", vocabulary_size=20),
    "words": ArraySpec((5,), "int32", "tokens", vocabulary_size=20),
    "age": ArraySpec((2,), "float32", "vector"),
}
TARGET = mg.ClassLabel("label", ["x", "y", "z"])
ROWS = 12
TINY = {"picture": ImageBranch(widths=(4, 8), embedding_size=8)}
FUSIONS = ["joint", "concat", "gated", "late", "match"]


def number(tensor) -> float:
    return float(ops.convert_to_numpy(tensor))


def build(
    names=("picture", "caption"), fusion="joint", target=TARGET, blank=("picture", "caption")
):
    inputs = {
        name: SimpleNamespace(spec=SPECS[name], missing="blank" if name in blank else "error")
        for name in names
    }
    model = build_fusion_classifier(
        inputs, target, fusion=fusion, branches={name: TINY[name] for name in names if name in TINY}
    )
    losses = (
        {name: one.loss for name, one in target.items()}
        if isinstance(target, dict)
        else target.loss
    )
    model.compile(keras.optimizers.Adam(0.01), loss=losses, jit_compile=JIT)
    return model


def make_data(seed=0, **absent):
    """Arrays of all inputs, random in every row, and masks that are 0 in the rows named for an
    input.
    """
    rng = np.random.default_rng(seed)
    arrays = {
        "picture": rng.integers(0, 256, (ROWS, 8, 8, 3)).astype("uint8"),
        "caption": np.stack(
            [rng.integers(0, 20, (ROWS, 6)), rng.integers(0, 2**16, (ROWS, 6))], -1
        ).astype("int32"),
        "words": rng.integers(0, 20, (ROWS, 5)).astype("int32"),
        "age": rng.normal(size=(ROWS, 2)).astype("float32"),
    }
    masks = {f"{name}_present": np.ones((ROWS, 1), "float32") for name in arrays}
    for name, rows in absent.items():
        arrays[name][rows] = 0
        masks[f"{name}_present"][rows] = 0
    return arrays | masks


def of_model(data, model):
    return {tensor.name: data[tensor.name] for tensor in model.inputs}


def with_rubbish(data, **absent):
    """The same rows, with anything in the arrays of the inputs that they lack."""
    other, changed = make_data(seed=1), {name: array.copy() for name, array in data.items()}
    for name, rows in absent.items():
        changed[name][rows] = other[name][rows]
    return changed


LABELS = np.arange(ROWS, dtype="int32") % 3
ABSENT = {"picture": [0, 1, 5], "caption": [1, 2, 7]}


@pytest.mark.slow
@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_stands_in_a_blank_array_changes_no_prediction(fusion, tmp_path):
    model, data = build(fusion=fusion), make_data(**ABSENT)
    assert [tensor.name for tensor in model.inputs] == [
        "picture",
        "caption",
        "picture_present",
        "caption_present",
    ]
    data = of_model(data, model)
    np.testing.assert_allclose(model.predict(data, verbose=0), 1 / 3, atol=1e-6)
    model.fit(data, LABELS, batch_size=6, epochs=2, verbose=0)
    expected = model.predict(data, verbose=0)
    assert np.isfinite(expected).all()
    assert np.ptp(expected[[3, 4, 6, 8]]) > 1e-3
    changed = with_rubbish(data, **ABSENT)
    assert not np.array_equal(changed["picture"], data["picture"])
    np.testing.assert_array_equal(model.predict(changed, verbose=0), expected)
    # The rows that have everything do look at their arrays.
    assert not np.allclose(
        model.predict(with_rubbish(data, picture=[3], caption=[3]), verbose=0)[3], expected[3]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded.predict(tuple(data.values()), verbose=0), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_stands_in_a_blank_array_changes_no_step_of_training(fusion):
    # Without batch normalization, which looks at all rows of a batch together.
    weights = []
    for change in (False, True):
        keras.utils.set_random_seed(0)
        model = build(("words", "age"), fusion, blank=("words", "age"))
        data = of_model(make_data(words=[0, 1], age=[1, 2]), model)
        data = with_rubbish(data, words=[0, 1], age=[1, 2]) if change else data
        model.fit(data, LABELS, batch_size=ROWS, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("caption",), ("picture",)])
@pytest.mark.parametrize("fusion", ["joint", "late", "concat", "gated"])
def test_a_row_without_its_only_input_is_predicted_by_what_rows_without_it_are(names, fusion):
    model, data = build(names, fusion), make_data(**{names[0]: list(range(6))})
    labels = np.where(np.arange(ROWS) < 6, 2, np.arange(ROWS) % 2)
    model.fit(of_model(data, model), labels, epochs=40, verbose=0)
    predicted = model.predict(of_model(data, model), verbose=0)
    assert np.ptp(predicted[:6], axis=0).max() == 0
    assert predicted[0].argmax() == 2


def test_only_inputs_that_rows_may_lack_have_masks_and_they_come_last():
    model = build(("caption", "age", "picture"), blank=("picture",))
    assert [tensor.name for tensor in model.inputs] == [
        "caption",
        "age",
        "picture",
        "picture_present",
    ]
    data = of_model(make_data(picture=[2]), model)
    data["picture_present"] = data["picture_present"].astype("int64")
    model.fit(tuple(data.values()), LABELS, verbose=0)
    assert np.isfinite(model.predict(data, verbose=0)).all()


def test_late_leaves_the_head_of_a_missing_input_out():
    model = build(fusion=Late())
    data = of_model(make_data(picture=[0, 1]), model)
    for name in ("picture_head", "caption_head"):
        layer = model.get_layer(name)
        layer.set_weights(
            [
                np.full(weights.shape, 3.0) * np.arange(weights.shape[-1])
                for weights in layer.weights
            ]
        )
    caption = keras.Model(model.inputs, model.get_layer("caption_head").output).predict(
        data, verbose=0
    )
    expected = ops.convert_to_numpy(ops.softmax(caption[:2]))
    np.testing.assert_allclose(model.predict(data, verbose=0)[:2], expected, atol=1e-5)


def test_the_gate_of_a_missing_input_is_closed():
    model = build(fusion="gated")
    data = of_model(make_data(picture=[0, 1, 2]), model)
    model.fit(data, LABELS, epochs=2, verbose=0)
    gated = keras.Model(model.inputs, model.get_layer("gated_head").input)
    before = gated.predict(data, verbose=0)
    value = model.get_layer("picture_value")
    value.set_weights([weights + 1.0 for weights in value.get_weights()])
    after = gated.predict(data, verbose=0)
    np.testing.assert_array_equal(after[:3], before[:3])
    assert np.abs(after[3:] - before[3:]).max(axis=1).min() > 1e-3


def training_loss(model, data, labels, sample_weight=None) -> float:
    return number(
        model.compute_loss(data, labels, model(data, training=True), sample_weight, training=True)
    )


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_row_without_an_input_has_no_part_in_the_loss_of_its_head(several, weighted):
    other = mg.NumericTarget("size", mean=[0.0], scale=[1.0])
    target = {"kind": TARGET, "size": other} if several else TARGET
    model = build(("words", "age"), Joint(auxiliary_weight=0.5), target, blank=("words",))
    data = of_model(make_data(words=[0, 3]), model)
    sizes = np.linspace(-1, 1, ROWS, dtype="float32")[:, None]
    labels = {"kind": LABELS, "size": sizes} if several else LABELS
    weights = np.linspace(0.5, 2, ROWS).astype("float32") if weighted else None
    given = {"kind": weights, "size": weights} if several and weighted else weights
    # The bias alone gives the words' head predictions of its own, by which the rows differ.
    units = 4 if several else 3
    model.get_layer("words_head").bias.assign(np.arange(units, dtype="float32"))

    def loss_of(logits, rows):
        shares = weights[rows] if weighted else None
        kind = TARGET.loss(LABELS[rows], ops.softmax(logits[rows, :3]), sample_weight=shares)
        return number(kind) + (
            number(other.loss(sizes[rows], logits[rows, 3:], sample_weight=shares))
            if several
            else 0
        )

    rows, there = np.arange(ROWS), np.setdiff1d(np.arange(ROWS), [0, 3])
    words = np.tile(np.arange(units, dtype="float32"), (ROWS, 1))
    total = np.where(np.isin(rows, there)[:, None], words, 0.0).astype("float32")
    expected = (
        loss_of(total, rows)
        + 0.5 * loss_of(words, there)
        + 0.5 * loss_of(np.zeros_like(words), rows)
    )
    assert training_loss(model, data, labels, given) == pytest.approx(expected, rel=1e-5)


def test_a_batch_in_which_nobody_has_an_input_trains_without_its_head():
    model = build(("words", "age"), blank=("words",))
    data = of_model(make_data(words=list(range(ROWS))), model)
    assert training_loss(model, data, LABELS) == pytest.approx(np.log(3) * 1.3, rel=1e-5)
    model.fit(data, LABELS, epochs=2, verbose=0)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_rows_without_one_of_two_inputs_are_no_pairs():
    model = build(
        ("words", "age"), Match(contrastive_weight=0.5, positive=-1), blank=("words", "age")
    )
    data = of_model(make_data(words=[0, 3], age=[3, 4]), model)
    predictions = model(data, training=True)
    (term,) = take_over(model)
    there = np.setdiff1d(np.arange(ROWS), [0, 3, 4])
    first, second = (
        ops.convert_to_tensor(ops.convert_to_numpy(one)[there]) for one in (term.first, term.second)
    )
    alone = PairTerm(first, second, -1, 0.1, 0.5)
    expected = contrastive_loss(
        alone, ops.convert_to_tensor((LABELS[there] == 2).astype("float32"))
    )
    plain = number(model.compute_loss(data, LABELS, predictions, training=True))
    hand_over(model.get_layer("relation"), (term,))
    total = number(model.compute_loss(data, LABELS, predictions, training=True))
    assert total == pytest.approx(plain + 0.5 * number(expected), rel=1e-5)
    assert number(expected) > 0.1


def test_heads_are_weighed_with_rows_that_lack_an_input():
    class Rows(keras.utils.PyDataset):
        num_batches = 2

        def __getitem__(self, index):
            return tuple(data.values()), LABELS

    model = build(("words", "caption"), blank=("words", "caption"))
    data = of_model(make_data(words=[0, 3], caption=[4]), model)
    model.fit(tuple(data.values()), LABELS, epochs=3, verbose=0)
    assert set(calibrate_heads(model, Rows())) == {"words_head", "caption_head", "joint_head"}
    assert np.isfinite(model.predict(data, verbose=0)).all()


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("mask", ["float32", "int32", "bool"])
def test_the_layer_takes_masks_of_any_dtype_in_any_precision(dtype, mask):
    layer = FillAbsent(dtype=dtype)
    tensor = np.array([[1.0, 2.0], [np.nan, np.inf], [3.0, 4.0]], "float32")
    filled = layer(
        [ops.convert_to_tensor(tensor), ops.convert_to_tensor(np.array([[1], [0], [1]], mask))]
    )
    assert keras.backend.standardize_dtype(filled.dtype) == layer.compute_dtype
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(filled, "float32")), [[1, 2], [0, 0], [3, 4]]
    )
    again = FillAbsent.from_config(layer.get_config())
    assert again.dtype_policy.name == dtype


def test_the_name_of_a_mask_must_be_free():
    inputs = {
        "age": SimpleNamespace(spec=SPECS["age"], missing="blank"),
        "age_present": SimpleNamespace(spec=SPECS["age"], missing="error"),
    }
    with pytest.raises(ValueError, match="age_present"):
        build_fusion_classifier(inputs, TARGET)
