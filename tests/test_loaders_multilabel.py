from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.targets.multi_label import MultiLabel, split_labels

TAGS = MultiLabel("tags", ["blue", "red", "round"])


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (["red"], [0, 1, 0]),
        (("round", "red"), [0, 1, 1]),
        ({"blue", "red", "round"}, [1, 1, 1]),
        (np.array(["red", "blue"]), [1, 1, 0]),
        (["red", "red"], [0, 1, 0]),
        ([], [0, 0, 0]),
    ],
)
def test_a_cell_of_labels_becomes_a_row_of_zeros_and_ones(
    cell: object, expected: list[int]
) -> None:
    array = TAGS.read(cell)
    assert array.tolist() == expected
    assert array.dtype == np.float32


def test_strings_are_split_at_the_separator_and_white_space_does_not_count() -> None:
    tags = MultiLabel("tags", ["blue", "red", "round"], separator="|")
    assert tags.read("red| round").tolist() == [0, 1, 1]
    assert tags.read("").tolist() == [0, 0, 0]
    assert tags.read("red||").tolist() == [0, 1, 0]
    assert tags.read(["red"]).tolist() == [0, 1, 0]
    assert split_labels(" light blue ,red", ",") == ["light blue", "red"]


def test_it_keeps_the_contract_of_a_loader() -> None:
    mg.check_loader(MultiLabel("tags", [1, 2], separator=","), [[1], [2, 1], []])
    mg.check_loader(MultiLabel("tags", ["a", "b"], separator="|"), ["a", "a|b", ""])
    assert TAGS.spec == mg.ArraySpec((3,), "float32", "label")
    assert (TAGS.units, TAGS.activation) == (3, "sigmoid")


def test_classes_are_learned_from_training_rows() -> None:
    assert MultiLabel.from_values("tags", [["b"], [], ["a", "b"]]).class_names == ("a", "b")
    assert MultiLabel.from_values(
        "tags", pd.Series(["b|a", "", "c"]), separator="|"
    ).class_names == ("a", "b", "c")
    assert MultiLabel.from_values("tags", [{3}, np.array([10, 2])]).class_names == (2, 3, 10)
    assert MultiLabel.from_values("tags", [("a", "b"), ("c", "d")]).class_names == (
        "a",
        "b",
        "c",
        "d",
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            ["rde"],
            r"'rde' is not one of the 3 known classes: 'blue', 'red', 'round'. Did you mean 'red'",
        ),
        ("red", r'giving a separator, as in `separator="\|"`. Received: \'red\''),
        (
            None,
            r"labels are missing .*if it has none, .*an empty list: `table\[column\] = \[cell if "
            r"there else",
        ),
        (float("nan"), "labels are missing"),
        (
            ["red", None],
            r"must be a string, an integer or a boolean. Received: None in \['red', None\]",
        ),
        ([0.5], "Received: 0.5 in"),
        ({"red": 1}, "list, tuple, set or array of labels. Received: dict"),
        (np.array([["red"]]), "list, tuple, set or array of labels. Received: ndarray"),
        (7, "Received: int 7"),
    ],
)
def test_what_is_no_list_of_known_labels_is_an_error(cell: object, message: str) -> None:
    with pytest.raises(mg.LoadError, match=message):
        TAGS.read(cell)


def test_labels_are_told_apart_by_their_text() -> None:
    assert MultiLabel("tags", ["1", "2"]).read([1]).tolist() == [1, 0]
    assert MultiLabel("tags", [1, 2], separator="|").read("2|1").tolist() == [1, 1]
    assert MultiLabel.from_values("tags", [["a"], [1]]).class_names == ("1", "a")
    assert MultiLabel.from_values("tags", [[True, 1], [0]]).class_names == ("0", "1", "True")
    assert MultiLabel.from_values("tags", ["10|9", "1"], separator="|").class_names == (
        "1",
        "9",
        "10",
    )
    with pytest.raises(mg.LoadError, match="label True is not one of the 2 known classes"):
        MultiLabel("tags", [0, 1]).read([True])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: MultiLabel("tags", []),
            r"one or more different classes. Received: class_names=\(\)",
        ),
        (lambda: MultiLabel("tags", ["a", "a"]), "one or more different classes"),
        (
            lambda: MultiLabel("tags", [b"a"]),
            "a string, a number or a boolean.*Received: b'a' of type bytes in 'tags'",
        ),
        (lambda: MultiLabel("tags", ["1", 1]), "one or more different classes"),
        (
            lambda: MultiLabel("tags"),
            "must name the classes of a single column; `MultiLabel.from_values` learns them",
        ),
        (
            lambda: MultiLabel(["a", "b"], separator="|"),
            r"for one column.*separator='\|', column=\['a', 'b'\]",
        ),
        (
            lambda: MultiLabel(["a", "b"], ["x"]),
            r"each is one class. Received: 1 names for 2 columns",
        ),
        (lambda: MultiLabel(["a", "a"]), "Each column must be named only once"),
        (
            lambda: MultiLabel("tags", ["a", "b|c"], separator="|"),
            r"must not contain it.*separator='\|', class 'b\|c'",
        ),
        (lambda: MultiLabel("tags", ["", "b"], separator="|"), "must not be empty or blank.*''"),
        (
            lambda: MultiLabel("tags", [" a"], separator=","),
            "begin or end with white space.*class ' a'",
        ),
        (lambda: MultiLabel("tags", ["['a']"], separator=","), "look like a printed list"),
        (lambda: MultiLabel("tags", ["a"], separator=""), "not empty. Received: separator=''"),
        (
            lambda: MultiLabel.from_values("tags", [["a"]], separator=3),
            "not empty. Received: separator=3",
        ),
        (
            lambda: MultiLabel.from_values("tags", [[], []]),
            "Received: 2 rows without any in 'tags'",
        ),
        (
            lambda: MultiLabel.from_values("tags", ["a|b"]),
            "index 0, column 'tags': .*giving a separator",
        ),
        (
            lambda: MultiLabel.from_values("tags", pd.Series([["a"], None], index=[7, 8])),
            "index 8, column 'tags': the labels are missing .*an empty list",
        ),
        (
            lambda: MultiLabel.from_values("tags", [None, float("nan")]),
            "is 'tags' the right column.*Received: all of 2 values are missing in 'tags'",
        ),
        (lambda: MultiLabel.from_values("tags", []), "Received: no values in 'tags'"),
        (
            lambda: MultiLabel.from_values("tags", ["['new', 'sale']"], separator=","),
            "index 0, column 'tags': .*`ast.literal_eval`, or store the table as jsonl or parquet",
        ),
    ],
)
def test_classes_that_make_no_sense_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "rows",
    [
        [[0, 1, 1], [1, 0, 0]],
        [[True, False], [False, True]],
        np.eye(3, dtype="float32"),
        list(np.eye(3, dtype=bool)),
        mg.table_from_arrays(tags=np.eye(2)),
    ],
)
def test_rows_of_zeros_and_ones_are_refused_with_the_way_to_lists_of_names(rows: object) -> None:
    message = (
        r"`table\[names\] = np.stack\(table\['tags'\]\)`, and use `MultiLabel\(names\)`.*at index "
        r"0 of 'tags'"
    )
    with pytest.raises(ValueError, match=message):
        MultiLabel.from_values("tags", rows)


@pytest.mark.parametrize(
    ("cells", "separator", "way_out"),
    [
        (["0 1 1", "1 0 0"], " ", r"[cell.split(' ') for cell in table['tags']]"),
        (["1|1|0", "0 | 0 | 1"], "|", r"[cell.split('|') for cell in table['tags']]"),
        (["011", "100"], None, r"[list(cell) for cell in table['tags']]"),
    ],
)
def test_texts_of_zeros_and_ones_are_refused_with_a_way_out_that_works(
    cells: list[str], separator: str | None, way_out: str
) -> None:
    table, names = pd.DataFrame({"tags": cells}), ["a", "b", "c"]
    with pytest.raises(ValueError, match="these rows hold 0 or 1 for each class") as caught:
        MultiLabel.from_values("tags", table, separator=separator)
    assert f"table[names] = {way_out}`" in str(caught.value)
    table[names] = eval(way_out, {"table": table})
    target = MultiLabel.from_values(names, table)
    truth = [target.read(row) for row in table[names].itertuples(index=False, name=None)]
    assert np.stack(truth).tolist() == [[int(one) for one in cell if one in "01"] for cell in cells]


def test_a_cell_of_zeros_and_ones_for_each_known_class_is_named_as_such() -> None:
    with pytest.raises(
        mg.LoadError,
        match=r"0 or 1 for each class, .*`MultiLabel\(names\)`. Received: \[0, 1, 1\]",
    ):
        TAGS.read([0, 1, 1])


@pytest.mark.parametrize(
    "cells",
    [
        [[0, 1], [1, 0]],
        np.array([[False, True], [True, False]]),
        [["0", "1"], ["1", "0"]],
        [["FALSE", "true"], ["True", "0"]],
        np.array([[0.0, 1.0], [1.0, 0.0]]),
        [["0.0", " 1"], [True, np.int8(0)]],
    ],
)
def test_a_column_of_zeros_and_ones_for_each_class_is_read(cells: Any) -> None:
    table = pd.DataFrame(cells, columns=["rude", "toxic"]).assign(n=1.0)
    target = MultiLabel.from_values(["rude", "toxic"], table)
    assert target.class_names == ("rude", "toxic")
    mg.check_loader(target, list(table[["rude", "toxic"]].itertuples(index=False, name=None)))
    data = mg.MultimodalSequence(table, {"n": mg.NumericLoader("n", mean=[0], scale=[1])}, target)
    assert data[0][1].tolist() == [[0, 1], [1, 0]]
    assert MultiLabel.from_values(["rude", "toxic"], cells) == target
    named = MultiLabel(["rude", "toxic"], ["R", "T"])
    assert named.class_names == ("R", "T") and named.from_config(named.get_config()) == named


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            [[0, 1], [1, 2]],
            "index 6, column 'toxic': each class column must hold 0 or 1 .*Received: 2",
        ),
        ([[0, 1], ["yes", 1]], "index 6, column 'rude'.*Received: 'yes'"),
        ([[0, 1], [None, 1]], "index 6, column 'rude'.*Received: a missing cell"),
        (
            [[0, 0], [0, 0]],
            r"At least one row must have a label. Received: 2 rows without any in \['rude', "
            r"'toxic'\]",
        ),
    ],
)
def test_columns_of_something_else_than_zeros_and_ones_are_refused_with_the_row(
    cells: Any, message: str
) -> None:
    table = pd.DataFrame(cells, columns=["rude", "toxic"], index=[5, 6], dtype=object)
    with pytest.raises(ValueError, match=message):
        MultiLabel.from_values(["rude", "toxic"], table)
    with pytest.raises(
        ValueError, match="a column for each name. Received: column=.'rude', 'toxic'., 1 column"
    ):
        MultiLabel.from_values(["rude", "toxic"], np.zeros((3, 1)))


def test_a_bad_cell_of_several_columns_is_named_by_its_own() -> None:
    with pytest.raises(mg.LoadError, match="must hold 0 or 1 .*Received: 0.5 in 'toxic'"):
        MultiLabel(["rude", "toxic"]).read((1, 0.5))


@pytest.mark.parametrize("rows", [[[0], [1]], [[0, 1], [0]], [[0, 1, 2], [1, 0, 2]], [{0, 1}, {1}]])
def test_zero_and_one_may_be_classes_among_others_or_in_lists_of_unequal_lengths(
    rows: list[Any],
) -> None:
    assert MultiLabel.from_values("tags", rows).class_names == tuple(sorted(set().union(*rows)))


@pytest.mark.parametrize("separator", [None, ","])
@pytest.mark.parametrize(
    "cell",
    [
        "['new', 'sale']",
        '["it\'s"]',
        " ['new' 'sale']",
        "[np.str_('new'), np.str_('sale')]",
        "('new',)",
        "{'new', 'sale'}",
        "[1, 2]",
        "[np.int64(1), np.int64(2)]",
        "[1. 0.]",
        "[True, False]",
        "[]",
    ],
)
def test_the_print_of_a_list_is_refused_with_or_without_a_separator(
    cell: str, separator: str | None
) -> None:
    with pytest.raises(
        mg.LoadError,
        match=r"the print of a list.*ast.literal_eval\)?`, or store the table as jsonl or par",
    ):
        MultiLabel("tags", ["new"], separator=separator).read(cell)


def test_the_line_for_arrays_that_were_printed_without_commas_keeps_labels_apart() -> None:
    # As cells of lists are when they went from parquet to csv; Python would join 'new' 'on sale'.
    cells = ["['new' 'on sale']", "['old']", "['new'\n \"kid's\"]", "[]"]
    table = pd.DataFrame({"tags": cells * 6})
    with pytest.raises(mg.LoadError, match="the print of a list") as error:
        MultiLabel.from_values("tags", table)
    (line,) = re.findall("`(table.*?)`", str(error.value))
    found = eval(line, {"table": table, "column": "tags", "ast": ast})
    assert found[:4].tolist() == [["new", "on sale"], ["old"], ["new", "kid's"], []]
    with pytest.warns(mg.LabelWarning, match="printed lists") as said:
        mg.ClassLabel.from_values("tags", table)
    (line,) = re.findall("`(table.*?)`", str(said[0].message))
    assert eval(line, {"table": table, "ast": ast})[:1].tolist() == [["new", "on sale"]]


@pytest.mark.parametrize("separator", [None, ",", "|"])
@pytest.mark.parametrize(
    ("cell", "way_out"),
    [
        (
            "[{'id': 18, 'name': 'Drama'}, {'id': 35, 'name': 'Comedy'}]",
            r"one\['name'\] for one in ast.literal_eval",
        ),
        ('[{"id": 18, "name": "Drama"}]', "of mappings take one value each"),
        ("{'Drama': 1, 'Comedy': 0}", "of mappings take one value each"),
        ("[Drama, Comedy]", r"cell.strip\('\[\]\{\}\(\)'\) if .*` and .*`separator=','`"),
        ("{Drama, Comedy}", "cell.strip"),
        ("[[Drama], [Comedy]]", "cell.strip"),
        ("frozenset({'Drama', 'Comedy'})", "ast.literal_eval"),
        ("array(['Drama'], dtype=object)", "ast.literal_eval"),
        ("set()", "ast.literal_eval"),
    ],
)
def test_lists_as_programs_print_them_are_refused_with_their_own_way_out(
    cell: str, way_out: str, separator: str | None
) -> None:
    with pytest.raises(
        mg.LoadError, match=f"index 0, column 'genres': .*the print of a list.*{way_out}"
    ):
        MultiLabel.from_values("genres", [cell], separator=separator)


def test_a_column_of_single_labels_in_brackets_is_one_of_printed_lists() -> None:
    with pytest.raises(
        mg.LoadError,
        match=r"index 3, column 'genres': .*the print of a list.*Received: '\[Drama\]'",
    ):
        MultiLabel.from_values(
            "genres", pd.Series(["[Drama]", "", "[Comedy]"], index=[3, 4, 5]), separator=","
        )


def test_labels_may_stand_in_brackets() -> None:
    assert MultiLabel.from_values(
        "tags", ["[new]|(old)", "(1)|[sale]", "red (dark, warm)"], separator="|"
    ).class_names == (
        "(1)",
        "(old)",
        "[new]",
        "[sale]",
        "red (dark, warm)",
    )
    assert split_labels("(red, blue)|{x}", "|") == ["(red, blue)", "{x}"]
    assert split_labels("[new],[sale]", ",") == ["[new]", "[sale]"]


def test_an_empty_cell_is_a_row_without_labels_where_labels_stand_in_texts() -> None:
    cells = pd.Series(["red|round", None, float("nan"), "blue"], dtype=object)
    target = MultiLabel.from_values("tags", cells, separator="|")
    assert target == MultiLabel("tags", ["blue", "red", "round"], separator="|")
    assert [int(target.read(cell).sum()) for cell in cells] == [2, 0, 0, 1]
    # The way out for lists keeps what there is.
    table, column = pd.DataFrame({"tags": [["red"], None, np.array(["blue"])]}), "tags"
    table[column] = [
        cell if there else []
        for cell, there in zip(table[column], table[column].notna(), strict=True)
    ]
    assert [TAGS.read(cell).tolist() for cell in table["tags"]] == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("separator", [None, "|", ", "])
@pytest.mark.parametrize("names", [["a", "b c", "9"], [True, False], [1, 2, 10]])
def test_predictions_are_cells_that_the_target_reads_again(
    names: list[Any], separator: str | None, tmp_path: Path
) -> None:
    target = MultiLabel("tags", names, separator=separator)
    outputs = np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3], [0.1, 0.7, 0.1], [0.9, 0.6, 0.7]])[
        :, : len(names)
    ]
    frame = pd.DataFrame(target.decode_outputs(outputs))
    assert np.array_equal([target.read(cell) for cell in frame["labels"]], outputs > 0.5)
    if separator is not None:
        # Through a csv file too, where a row without labels is an empty cell.
        frame.to_csv(tmp_path / "predictions.csv")
        again = mg.read_table(tmp_path / "predictions.csv")
        assert np.array_equal([target.read(cell) for cell in again["labels"]], outputs > 0.5)


def test_an_unknown_label_in_a_table_is_reported_with_its_row() -> None:
    table = pd.DataFrame({"n": [1.0, 2.0], "tags": [["red"], ["green"]]}, index=["first", "second"])
    data = mg.MultimodalSequence(table, {"n": mg.NumericLoader("n", mean=[0], scale=[1])}, TAGS)
    with pytest.raises(
        mg.LoadError, match="index 'second', column 'tags': the label 'green' is not one of"
    ):
        data[0]


def test_the_loss_is_the_mean_over_classes_and_rows_of_weight_zero_do_not_count() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 1]], "float32")
    outputs = np.array([[0.9, 0.2], [0.6, 0.5], [0.9, 0.1]], "float32")
    loss = MultiLabel("tags", ["a", "b"]).loss(
        truth, outputs, sample_weight=np.array([1, 1, 0], "float32")
    )
    expected = -np.log([0.9, 0.8, 0.6, 0.5]).mean()
    assert float(keras.ops.convert_to_numpy(loss)) == pytest.approx(expected, rel=1e-5)


def test_metrics_are_binary_accuracy_and_the_area_under_the_curve_of_each_class() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (60, 3)).astype("float32")
    outputs = np.clip(0.3 * truth + rng.random((60, 3)), 0, 1).astype("float32")
    values = {}
    for metric in TAGS.metrics:
        metric.update_state(truth, outputs)
        values[metric.name] = float(keras.ops.convert_to_numpy(metric.result()))
    assert values["binary_accuracy"] == pytest.approx(((outputs > 0.5) == truth).mean(), abs=1e-6)
    # Keras sums over 200 thresholds.
    assert values["auc"] == pytest.approx(roc_auc_score(truth, outputs, average="macro"), abs=0.01)
    assert TAGS.metrics[0] is not TAGS.metrics[0]


def test_outputs_become_a_list_of_labels_and_a_probability_for_each_class() -> None:
    columns = MultiLabel("tags", ["a", 7, "labels"]).decode_outputs(
        np.array([[0.9, 0.5, 0.6], [0.1, 0.2, 0.3]])
    )
    assert list(columns) == ["labels", "a", 7, "labels_probability"]
    assert columns["labels"].tolist() == [["a", "labels"], []]
    assert columns["a"] == pytest.approx([0.9, 0.1])
    assert columns["labels_probability"] == pytest.approx([0.6, 0.3])


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (50, 3)).astype("float32")
    outputs = np.clip(0.4 * truth + 0.7 * rng.random((50, 3)), 0, 1).astype("float32")
    guesses = outputs > 0.5
    scores = TAGS.score(truth, outputs)
    assert scores["micro_f1"] == pytest.approx(metrics.f1_score(truth, guesses, average="micro"))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, guesses, average="macro"))
    assert scores["mean_average_precision"] == pytest.approx(
        metrics.average_precision_score(truth, outputs)
    )
    assert scores["subset_accuracy"] == pytest.approx((truth == guesses).all(axis=1).mean())


def test_classes_that_no_row_has_do_not_spoil_the_scores() -> None:
    truth = np.array([[1, 0, 0], [0, 0, 0]], "float32")
    right = TAGS.score(truth, np.array([[0.8, 0.1, 0.1], [0.2, 0.1, 0.1]]))
    assert right == {
        "micro_f1": 1.0,
        "macro_f1": 1.0,
        "mean_average_precision": 1.0,
        "subset_accuracy": 1.0,
    }
    said = TAGS.score(truth, np.array([[0.8, 0.1, 0.1], [0.2, 0.9, 0.1]]))
    assert (said["macro_f1"], said["mean_average_precision"], said["subset_accuracy"]) == (
        0.5,
        1.0,
        0.5,
    )
    empty = TAGS.score(0 * truth, np.full((2, 3), 0.1))
    assert (empty["micro_f1"], empty["macro_f1"], empty["subset_accuracy"]) == (1.0, 1.0, 1.0)
    assert np.isnan(empty["mean_average_precision"])


def test_a_label_is_found_whichever_way_the_table_was_read() -> None:
    target = MultiLabel.from_values("stars", ["1.0|2.0", "3.0"], separator="|")
    assert target.read([1, 3]).tolist() == target.read("1|3.0").tolist() == [1, 0, 1]
    assert MultiLabel("stars", [1, 2, 3]).read(["1.0", "3"]).tolist() == [1, 0, 1]


@pytest.mark.parametrize("between", ["|", "; ", ",", "\n", " + "])
def test_a_separator_that_stands_in_no_cell_is_refused_for_the_one_that_does(between: str) -> None:
    things = [(colour, thing) for colour in ("red", "blue") for thing in ("mug", "hat")]
    cells = [between.join(pair) for pair in things] * 5
    given = ";" if between == "|" else "|"
    message = (
        rf"is in no cell of 'tags'; .* is in 20 of them: use `separator=.*"
        rf"name the labels, as in `MultiLabel\('tags', names, separator='\{given}'\)`. Received: "
    )
    with pytest.raises(ValueError, match=message):
        MultiLabel.from_values("tags", cells, separator=given)
    assert MultiLabel.from_values("tags", cells, separator=between.strip(" ")).units == 4


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["red", "blue", None],
            r"no cell of 'tags', so every row has at most one label.*ClassLabel",
        ),
        (["hats, caps", "shoes"] * 9, r"no cell of 'tags'; ',' is in 9 of them, so every row"),
    ],
)
def test_one_label_per_row_is_possible_with_a_separator_and_noted(
    cells: list[str | None], message: str
) -> None:
    with pytest.warns(mg.LabelWarning, match=message) as warned:
        target = MultiLabel.from_values("tags", cells, separator="|")
    assert warned[0].filename == __file__
    assert MultiLabel("tags", target.class_names, separator="|") == target
    # Lists need no separator, which then is for predictions.
    assert MultiLabel.from_values("tags", [["red"], ["blue"]], separator="|").units == 2
