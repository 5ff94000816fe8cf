from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.cell_errors import read_at
from multimodal_gen.rows.cells import cell_text


def test_classes_are_sorted_and_of_their_own_type() -> None:
    assert mg.ClassLabel.from_values("label", pd.Series(["b", "a", "b"])).class_names == ("a", "b")
    numbers = mg.ClassLabel.from_values("digit", np.array([10, 2, 2]))
    assert numbers.class_names == (2, 10)
    assert numbers.read(np.int64(10)) == 1
    assert mg.ClassLabel.from_values("flag", [True, False]).class_names == (False, True)


@pytest.mark.parametrize(
    ("label_mode", "spec", "expected", "units", "activation"),
    [
        ("int", mg.ArraySpec((), "int32", "label"), 1, 2, "softmax"),
        ("categorical", mg.ArraySpec((2,), "float32", "label"), [0, 1], 2, "softmax"),
        ("binary", mg.ArraySpec((1,), "float32", "label"), [1], 1, "sigmoid"),
    ],
)
def test_label_modes(
    label_mode: str, spec: mg.ArraySpec, expected: object, units: int, activation: str
) -> None:
    target = mg.ClassLabel("label", ["no", "yes"], label_mode=label_mode)
    assert target.spec == spec
    assert target.read("yes").tolist() == expected
    assert (target.units, target.activation) == (units, activation)
    mg.check_loader(target, ["no", "yes"])
    assert target.positions(np.stack([target.read("yes"), target.read("no")])).tolist() == [1, 0]


def test_an_unseen_label_lists_the_known_ones_and_the_closest() -> None:
    target = mg.ClassLabel("label", ["glass mug", "wood lamp"])
    with pytest.raises(
        mg.LoadError,
        match=r"'glas mug' is not one of the 2 known classes: 'glass mug', 'wood lamp'. Did",
    ):
        target.read("glas mug")
    for cell in (None, float("nan")):
        with pytest.raises(mg.LoadError, match="missing"):
            target.read(cell)
    with pytest.raises(mg.LoadError, match="not one of"):
        target.read(["glass mug"])


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["a", 1], ("1", "a")),
        ([0, "x", 1.0], ("0", "1", "x")),
        ([True, 1, 0, False], ("0", "1", "False", "True")),
        (["10", "9", "1"], ("1", "9", "10")),
        (["007", "7", "x"], ("007", "7", "x")),
        (np.array([1.0, 0.0, 1.0]), (0, 1)),
        (pd.Series([2, 1, 2], dtype="Int64"), (1, 2)),
        (pd.Series([0.5, 1.0, 1.5] * 4), ("0.5", "1", "1.5")),
        (pd.Series(["b", "a"] * 3, dtype=pd.CategoricalDtype(["c", "b", "a"])), ("a", "b")),
        (pd.Series([Decimal("2"), Decimal("1")] * 2), (1, 2)),
    ],
)
def test_classes_are_told_apart_by_their_text_and_none_is_merged_or_lost(
    values: object, names: tuple
) -> None:
    target = mg.ClassLabel.from_values("label", values)
    assert [(type(name), name) for name in target.class_names] == [
        (type(name), name) for name in names
    ]
    texts = [cell_text(cell) for cell in values]
    assert [str(target.class_names[int(target.read(cell))]) for cell in values] == texts
    # As a csv file gives them, they are the same classes in the same order.
    as_text = mg.ClassLabel.from_values("label", texts)
    assert [int(as_text.read(cell)) for cell in values] == [
        int(target.read(cell)) for cell in values
    ]
    weights = target.class_weight(values)
    assert len(weights) == len(names) and weights[0] == pytest.approx(
        len(texts) / len(names) / texts.count(str(names[0]))
    )


def test_a_label_is_read_by_its_text_whatever_its_type() -> None:
    numbers = mg.ClassLabel("digit", [0, 1])
    assert [int(numbers.read(cell)) for cell in ("1", 1.0, np.int8(1), "0")] == [1, 1, 1, 0]
    with pytest.raises(mg.LoadError, match="the label True is not one of the 2 known classes"):
        numbers.read(True)
    with pytest.raises(mg.LoadError, match="the label '01' is not one of"):
        numbers.read("01")
    assert mg.ClassLabel("flag", [False, True]).read("True") == 1


@pytest.mark.parametrize(
    ("learned", "read", "positions"),
    [
        # A csv file as text, and as pandas reads it; and the other way.
        (["1.0", "2.0"], [1.0, 2.0, 1, np.float32(2), "1", "2.0"], [0, 1, 0, 1, 0, 1]),
        ([1.0, 2.0], ["1.0", "2.0", "1", "2.00"], [0, 1, 0, 1]),
        ([1.0, 2.5] * 2, ["1.0", "2.5", 1, 2.5], [0, 1, 0, 1]),
        (["0.50", "1.50", "0.50", "1.50"], [0.5, 1.5, Decimal("1.5")], [0, 1, 1]),
        (["-1.0", "0.0"], [-1, 0.0, -0.0, "-1"], [0, 1, 1, 0]),
    ],
)
def test_a_class_is_found_whichever_way_the_table_was_read(
    learned: list[object], read: list[object], positions: list[int]
) -> None:
    target = mg.ClassLabel.from_values("label", learned)
    assert [int(target.read(cell)) for cell in read] == positions
    assert target.classes_of(read).tolist() == positions
    assert target.class_weight(read)[0] == pytest.approx(len(read) / 2 / positions.count(0))


def test_a_class_of_exactly_the_text_of_a_cell_comes_before_one_of_the_same_number() -> None:
    target = mg.ClassLabel("label", ["1", "1.0"])
    assert target.classes_of(["1.0", "1", 1.0, 1]).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("labels", "said", "code"),
    [
        (
            ["Cat"] * 3 + ["cat "] * 2 + ["cat", "dog"],
            "'Cat' (3 rows), 'cat ' (2 rows) and 'cat' (1 row): they differ only in blanks and "
            "upper and lower case",
            ".str.split().str.join(' ').str.lower()",
        ),
        (
            ["caf\u00e9", "cafe\u0301", "cafe\u0301", "tea"],
            r"'cafe\u0301' (2 rows) and 'caf\xe9' (1 row): they differ only in the Unicode form "
            "of a letter",
            ".str.normalize('NFC')",
        ),
        (
            ["red mug", "red\u00a0mug", "red  mug", "red\u200b mug", "lamp"],
            r"'red\xa0mug' (1 row), 'red  mug' (1 row) and 'red\u200b mug' (1 row): they differ "
            "only in invisible characters and blanks",
            r".str.replace('[\xad\u200b\u200e\u200f\u2060\ufeff]', '', regex=True).str.split()"
            ".str.join(' ')",
        ),
        (
            ["1", "1.0", "2"],
            "'1' (1 row) and '1.0' (1 row): they differ only in the way a whole number is written",
            r".str.replace(r'^(-?\d+)\.0+$', r'\1', regex=True)",
        ),
    ],
)
def test_classes_that_look_like_one_stay_separate_and_are_named_with_their_rows(
    labels: list[str], said: str, code: str
) -> None:
    with pytest.warns(mg.LabelWarning) as warned:
        target = mg.ClassLabel.from_values("label", labels)
    message = str(warned[0].message)
    code = f"table['label'] = table['label'].astype('string'){code}"
    assert said in message and f"`{code}`" in message
    assert "name the classes: `ClassLabel('label', names)`" in message
    assert warned[0].filename == __file__ and len(warned) == 1
    assert set(target.class_names) == set(labels)
    # What is advised makes them one class, and named classes are not warned of.
    table = pd.DataFrame({"label": labels})
    exec(code, {"table": table})
    assert len(mg.ClassLabel.from_values("label", table).class_names) == 2
    mg.ClassLabel("label", sorted(set(labels)))
    # So it is with the labels of a row.
    with pytest.warns(mg.LabelWarning, match="name the classes: `MultiLabel"):
        tags = mg.MultiLabel.from_values("tags", [[one.strip()] for one in labels] + [[labels[0]]])
    assert len(tags.class_names) > 2


@pytest.mark.parametrize(
    ("cells", "separator", "mended"),
    [
        ([["Cat", "dog"], ["cat"], []], None, [["cat", "dog"], ["cat"], []]),
        (["Cat|dog", "cat", ["dog"], None], "|", ["cat|dog", "cat", ["dog"], None]),
    ],
)
def test_advice_on_labels_that_look_alike_keeps_lists_and_separators(
    cells: list[Any], separator: str | None, mended: list[Any]
) -> None:
    table = pd.DataFrame({"tags": pd.Series(cells, dtype=object)})
    with pytest.warns(mg.LabelWarning) as warned:
        mg.MultiLabel.from_values("tags", table, separator=separator)
    exec(str(warned[0].message).split("`")[1], {"table": table, "pd": pd})
    assert table["tags"].tolist() == mended


def test_many_groups_of_variants_are_counted_and_words_that_differ_are_not_among_them() -> None:
    names = [name for one in "abcdef" for name in (one, one.upper())]
    with pytest.warns(mg.LabelWarning, match=r"'C' \(1 row\); and 3 more such groups: they"):
        mg.ClassLabel.from_values("label", names)
    different = ["Masse", "Maße", "1.1", "1.10", "007", "7", "\u0645\u06cc\u200c", "\u0645\u06cc"]
    assert len(mg.ClassLabel.from_values("label", different).class_names) == 8


@pytest.mark.parametrize(
    ("names", "cell"),
    [
        # Versions, codes, two classes of one number, and truth values.
        (["1.1", "1.2"], "1.10"),
        (["00012", "7"], 12),
        ([12, 7], "00012"),
        (["1.10", "1.100"], 1.1),
        (["True", "False"], 1),
        ([1, 0], True),
        ([1, 0], "True"),
        ([10**18, 10**18 + 1], float(10**18 + 1000)),
    ],
)
def test_no_other_class_is_taken_for_a_cell_than_its_own(names: list[object], cell: object) -> None:
    target = mg.ClassLabel("label", names)
    with pytest.raises(mg.LoadError, match="is not one of the 2 known classes"):
        target.read(cell)
    assert target.classes_of([cell]).tolist() == [-1]


@pytest.mark.parametrize("cell", ["", "   ", "\t"])
def test_a_blank_text_is_a_missing_label_and_not_a_class(cell: str) -> None:
    values = pd.Series(["a", "b", cell], index=[7, 8, 9])
    with pytest.raises(ValueError, match=r"a blank text is a missing label.*at index 9 of 'label'"):
        mg.ClassLabel.from_values("label", values)
    with pytest.raises(ValueError, match="a blank cell is a missing label"):
        mg.ClassLabel("label", ["a", cell])
    with pytest.raises(mg.LoadError, match="the cell is missing"):
        mg.ClassLabel("label", ["a", "b"]).read(cell)
    # In a list of labels, in a column to split by, and in one to balance by, it is the same.
    with pytest.raises(mg.LoadError, match="index 1, column 'tags': a label must not be blank"):
        mg.MultiLabel.from_values("tags", [["a"], ["b", cell]])
    table = pd.DataFrame({"label": values, "x": range(3)})
    for split in ({"stratify": "label"}, {"group": "label"}):
        with pytest.raises(
            mg.TableError, match=r"1 of 3 cells .* missing or blank.*str.strip\(\).*index 9 first"
        ):
            mg.split_table(table, (0.5, 0.5), **split)
    with pytest.raises(mg.TableError, match="Received: a missing value at index 9"):
        mg.BalancedSampler("label").weights(table)


@pytest.mark.parametrize(
    "prices",
    [
        [f"{1.37 * row + 2.5:.2f}" for row in range(60)],
        [1.37 * row + 2.5 for row in range(60)],
        [f"${row},{row % 900 + 100}.50" for row in range(30)],
        [f"{row},99" for row in range(25)] * 9,
        pd.Series([0.5, 1.25, 7.0]),
        [f"{row}.61 EUR" for row in range(60)],
        [f"USD {row},50" for row in range(60)],
    ],
)
def test_prices_as_classes_are_an_error_that_says_what_they_are(prices: object) -> None:
    message = (
        r"different numbers .*rows: numbers to predict, not classes.*NumericTarget.*`--target "
        r"number`.*Received: "
    )
    with pytest.raises(ValueError, match=message):
        mg.ClassLabel.from_values("price", prices)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            [f"sku-{one}" for one in range(60)] + ["sku-0"],
            "'label' holds 60 different classes in 61 rows, like a column of ids: too few rows of "
            r"each.*Use a column with repeated classes.*`ClassLabel\('label', names\)`",
        ),
        (range(10**18, 10**18 + 25), "holds 25 different classes in 25 rows, like a column of ids"),
        (
            ["['a', 'b']", "[]", "['a']"] * 9,
            r"In 'label' the cells are printed lists.*`table\['label'\].map\(ast.literal_eval\)`, "
            "and use a MultiLabel",
        ),
        (["[1, 0]", "[0, 1]"] * 9, "each list as a whole is one class"),
    ],
)
def test_ids_and_printed_lists_as_classes_are_a_warning_unless_they_are_named(
    cells: Sequence[object], message: str
) -> None:
    with pytest.warns(mg.LabelWarning, match=message):
        target = mg.ClassLabel.from_values("label", cells)
    assert mg.ClassLabel("label", target.class_names).class_names == target.class_names


def test_numbers_that_are_classes_may_be_named_as_such() -> None:
    assert mg.ClassLabel("stars", [0.5, 1.0, 1.5]).read("1.5") == 2
    assert mg.ClassLabel.from_values("id", [*range(300)] * 2).class_names[:2] == (0, 1)
    assert len(mg.ClassLabel.from_values("version", ["1.2.3", "1.2.4"]).class_names) == 2
    # Whole numbers as a program writes them whose column had a gap.
    assert mg.ClassLabel.from_values("kind", [f"{one}.0" for one in [*range(30)] * 2]).class_names[
        9:11
    ] == ("9.0", "10.0")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mg.ClassLabel("label", ["a"]), "two or more different classes"),
        (
            lambda: mg.ClassLabel("label", ["a", "a"]),
            "two or more different classes.*for column 'label'",
        ),
        (
            lambda: mg.ClassLabel.from_values("label", ["box"] * 5),
            "Column 'label' holds only 'box';.*Received: 5 rows",
        ),
        (
            lambda: mg.ClassLabel.from_values("kind", pd.DataFrame({"kind": [3] * 4})),
            "Column 'kind' holds only 3;.*Received: 4 rows",
        ),
        (
            lambda: mg.ClassLabel("label", ["a", "b"], label_mode="one_hot"),
            "`label_mode` must be .*one_hot",
        ),
        (
            lambda: mg.ClassLabel("label", ["a", "b", "c"], label_mode="binary"),
            "exactly two classes",
        ),
        (
            lambda: mg.ClassLabel("label", ["1", 1]),
            r"different classes. Received: class_names=\('1', 1\)",
        ),
        (
            lambda: mg.ClassLabel("label", ["a", None]),
            "a string, a number or a boolean.*Received: None of type NoneType",
        ),
        (
            lambda: mg.ClassLabel.from_values("day", pd.to_datetime(["2020", "2021"])),
            "Received: Timestamp",
        ),
        (
            lambda: mg.ClassLabel.from_values("label", pd.Series(["a", None], index=[7, 8])),
            r"dropna\(subset=\['label'\]\)`. Received: a missing value at index 8 of 'label'",
        ),
        (
            lambda: mg.ClassLabel.from_values("label", pd.Series([None, None])),
            "is 'label' the right column.*Received: all of 2 values are missing in 'label'",
        ),
        (lambda: mg.ClassLabel.from_values("label", []), "Received: no values in 'label'"),
        (
            lambda: mg.ClassLabel.from_values("tags", [["a"], ["b"]]),
            r"use MultiLabel. Received: \['a'\] at index 0 of",
        ),
        (
            lambda: mg.ClassLabel.from_values("y", np.array([[0], [1]])),
            r"`table\['y'\] = np.stack\(table\['y'\]\).ravel\(\)`.*Received: array\(\[0\]\) at "
            r"index 0 of 'y'",
        ),
        (
            lambda: mg.ClassLabel.from_values("y", mg.table_from_arrays(y=np.eye(3))),
            r"one-hot cells with `.argmax\(axis=1\)`.*Received: array\(\[1., 0., 0.\]\) at index 0 "
            r"of 'y'",
        ),
        (
            lambda: mg.ClassLabel.from_values("y", pd.Series(["a", ["b"]], index=[7, 8])),
            r"\['b'\] at index 8 of 'y'",
        ),
    ],
)
def test_classes_that_make_no_sense_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary"])
def test_rows_of_weight_zero_do_not_count_in_the_loss(label_mode: str) -> None:
    target = mg.ClassLabel("label", ["no", "yes"], label_mode=label_mode)
    truth = np.stack([target.read(cell) for cell in ("yes", "no", "yes")])
    outputs = np.array([[0.3], [0.2], [0.9]], "float32")
    if label_mode != "binary":
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    whole = target.loss(truth[:2], outputs[:2])
    padded = target.loss(truth, outputs, sample_weight=np.array([1, 1, 0], "float32"))
    assert float(keras.ops.convert_to_numpy(whole)) == pytest.approx(
        -(np.log(0.3) + np.log(0.8)) / 2, rel=1e-5
    )
    assert float(keras.ops.convert_to_numpy(padded)) == pytest.approx(
        float(keras.ops.convert_to_numpy(whole)), rel=1e-6
    )


def test_outputs_become_a_label_and_a_probability_for_each_class() -> None:
    binary = mg.ClassLabel("label", ["no", "yes"], label_mode="binary")
    columns = binary.decode_outputs(np.array([[0.9], [0.25]], "float32"))
    assert columns["label"].tolist() == ["yes", "no"]
    assert columns["no"] == pytest.approx([0.1, 0.75])
    awkward = mg.ClassLabel("label", ["a", "label"])
    columns = awkward.decode_outputs(np.array([[0.1, 0.9]], "float32"))
    assert list(columns) == ["label", "a", "label_probability"]
    assert columns["label"].tolist() == ["label"]


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    target = mg.ClassLabel("label", list("abc"))
    truth = rng.integers(0, 3, 50).astype("int32")
    outputs = rng.dirichlet(np.ones(3), 50).astype("float32")
    scores = target.score(truth, outputs)
    guesses = outputs.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guesses))
    assert scores["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(truth, guesses)
    )
    assert scores["log_loss"] == pytest.approx(
        -np.mean(np.log(outputs[np.arange(50), truth])), rel=1e-5
    )
    only_a = target.score(np.zeros(4, "int32"), np.tile([[0.8, 0.1, 0.1]], (4, 1)))
    assert only_a["balanced_accuracy"] == 1.0


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary"])
def test_the_metric_is_the_accuracy_under_that_name(label_mode: str) -> None:
    target = mg.ClassLabel("label", ["no", "yes"], label_mode=label_mode)
    truth = np.stack([target.read(cell) for cell in ("yes", "no", "yes", "yes")])
    outputs = np.array([[0.3], [0.2], [0.9], [0.8]], "float32")
    (metric,) = target.metrics
    metric.update_state(
        truth, outputs if label_mode == "binary" else np.concatenate([1 - outputs, outputs], axis=1)
    )
    assert metric.name == "accuracy"
    assert float(keras.ops.convert_to_numpy(metric.result())) == pytest.approx(0.75)
    assert target.metrics[0] is not metric


def test_class_weights_are_those_that_scikit_learn_calls_balanced() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    values = pd.Series(list("abbbcccccc"))
    target = mg.ClassLabel("label", ["c", "a", "b"])
    weights = target.class_weight(values)
    assert weights == {
        0: pytest.approx(10 / 18),
        1: pytest.approx(10 / 3),
        2: pytest.approx(10 / 9),
    }
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=values)
    assert [weights[1], weights[2], weights[0]] == pytest.approx(expected.tolist())
    assert mg.ClassLabel("digit", [3, 5]).class_weight(np.array([3, 5, 5, 5])) == {
        0: 2.0,
        1: pytest.approx(2 / 3),
    }


def test_class_weights_go_into_the_loss_of_fit() -> None:
    target = mg.ClassLabel("label", ["a", "b"])
    labels = ["a", "b", "b", "b"]
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(2, "softmax", kernel_initializer="zeros")]
    )
    model.compile(keras.optimizers.SGD(1.0), loss=target.loss, run_eagerly=True)
    truth = np.array([target.read(label) for label in labels])
    model.fit(np.zeros((4, 1)), truth, class_weight=target.class_weight(labels), verbose=0)
    # Both classes pull alike, so the bias stays in the middle.
    np.testing.assert_allclose(model.layers[-1].get_weights()[1], 0.0, atol=1e-6)
    model.fit(np.zeros((4, 1)), truth, verbose=0)
    assert np.ptp(model.layers[-1].get_weights()[1]) > 0.1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "a"], r"A class without rows.*Received: no rows of \['b'\] in 'label'"),
        (["a", "b", None], "Received: a missing value at index 2 of 'label'"),
        ([None, None], "all of 2 values are missing in 'label'"),
        (["a", "b", "c"], "the label 'c' is not one of the 2 known classes"),
        ([["a"], ["b"]], r"use MultiLabel. Received: \['a'\] at index 0 of 'label'"),
    ],
)
def test_class_weights_need_known_labels_and_rows_of_every_class(
    values: list[object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mg.ClassLabel("label", ["a", "b"]).class_weight(values)


def test_a_missing_label_is_no_input_that_might_be_blank() -> None:
    label = mg.ClassLabel("label", ["a", "b"])
    table = pd.DataFrame({"label": ["a", None], "x": [1.0, 2.0]})
    number = mg.NumericLoader("x", mean=0.0, scale=1.0)
    for read in (
        lambda: label.read(None),
        lambda: read_at(label, None, 1),
        lambda: mg.MultimodalSequence(table, {"x": number}, label, batch_size=2)[0],
    ):
        with pytest.raises(
            mg.LoadError, match=r"nothing to learn or score.*`--on-error skip`"
        ) as caught:
            read()
        assert "blank" not in str(caught.value)
    with pytest.raises(mg.LoadError, match="--missing blank"):
        read_at(mg.TextLoader.from_texts("text", ["a b"]), None, 1)
