"""The command line beyond one class of one picture and one caption: numbers, labels, several
pictures and captions.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.cli.data import input_names, picture_folder
from multimodal_gen.cli.label_checks import check_classes, check_separator, check_text_labels
from multimodal_gen.cli.option_values import as_score, score_title
from multimodal_gen.cli.results import remove_stale, write_results
from multimodal_gen.cli.target_choice import (
    in_words,
    main_score,
    make_target,
    shown_scores,
)
from multimodal_gen.inspection import plots
from multimodal_gen.inspection.audit.labels import variants_note
from multimodal_gen.models import matching_class
from tests.cli_settings import settings

ROWS = 48


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures a row; colour and thing make the price, the tags and 0/1 columns."""
    folder = tmp_path_factory.mktemp("shop")
    rows = []
    for row in range(ROWS):
        red, mug = row % 2, row // 2 % 2
        for side, shade in (("front", 220), ("back", 120)):
            picture = Image.new("RGB", (12, 12), (shade * red, 0, shade * (1 - red)))
            picture.putpixel((0, 0), (row, row, row))
            picture.save(folder / f"{side}{row}.png")
        tags = ["red"] * red + ["mug"] * mug or ["plain"]
        words = f"a {'mug' if mug else 'lamp'} in {'red' if red else 'blue'}, number {row}"
        price, label = 10 * red + 4.5 * mug + 0.01 * row, f"{red}{mug}"
        rows.append(
            (
                f"front{row}.png",
                f"back{row}.png",
                words,
                f"maker {row % 5}",
                price,
                "|".join(tags),
                red,
                mug,
                label,
            )
        )
    names = ["front", "back", "caption", "maker", "price", "tags", "is red", "is mug", "label"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "shop.csv", index=False)
    return folder / "shop.csv"


def train(shop: Path, runs: Path, *arguments: object) -> tuple[int, str, str]:
    short = ("--image-size", "12x12", "--epochs", 1, "--batch-size", 16, "--runs", runs)
    return call("train", shop, *short, *arguments)


def metrics_of(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text())


@pytest.mark.slow
def test_numbers_are_trained_scored_predicted_resumed_and_looked_at(
    shop: Path, tmp_path: Path
) -> None:
    target = ("--label", "price", "--target", "number")
    options = ("--caption", "caption", *target, "--resume")
    code, printed, errors = train(shop, tmp_path, *options)
    assert (code, errors) == (0, "")
    assert "stratified" not in printed
    assert re.search(r"numbers   price \(mean \d+\.?\d*, deviation \d\.?\d*\)", printed)
    assert re.search(r"trained on +┃ +model kept ┃ +R² ┃ +mean absolute error ┃ +seconds", printed)
    run = tmp_path / "shop"
    assert {"curves.png", "predictions.png", "wrong.png"} == {
        path.name for path in run.glob("*.png")
    }
    metrics = metrics_of(run)
    scores = metrics["details"]["scores"]["caption"]
    assert metrics["caption"] == scores["r2"] and metrics["details"]["score"] == "r2"
    table = mg.read_table(shop)
    written = pd.read_csv(run / "predictions.csv")
    assert list(written.columns) == ["row", "truth", "caption", "price"]
    assert np.mean(np.abs(written["price"] - written["truth"])) == pytest.approx(
        scores["mean_absolute_error"], rel=1e-4
    )
    assert train(shop, tmp_path, *options)[0] == 0, "a finished run is resumed"
    assert metrics_of(run)["details"]["scores"]["caption"]["r2"] == pytest.approx(
        scores["r2"], abs=1e-6
    )
    assert call("predict", run, shop, "--out", tmp_path / "out.csv")[0] == 0
    assert list(pd.read_csv(tmp_path / "out.csv").columns) == ["row", "caption", "price"]
    constant = tmp_path / "constant.csv"
    table.assign(price=3.0).to_csv(constant, index=False)
    found = json.loads(call("evaluate", run, constant, "--json")[1])
    assert found["r2"] is None and found["rows"] == ROWS, (
        "JSON has no word for what is not a number"
    )
    assert re.search(r"R² +│ +none", call("evaluate", run, constant)[1])
    assert (
        call("preview", shop, "--caption", "caption", *target, "--out", tmp_path / "p.png")[0] == 0
    )
    audited = call("audit", shop, "--caption", "caption", *target, "--out", tmp_path / "audit")
    assert audited[0] == 0, audited
    table.loc[3, "price"] = np.nan
    table.to_csv(tmp_path / "gap.csv", index=False)
    code, printed, _ = call(
        "audit", tmp_path / "gap.csv", "--caption", "caption", *target, "--out", tmp_path / "a"
    )
    assert code == 1 and re.search(r"missing +│ +1 ", printed)


@pytest.mark.slow
def test_labels_in_a_cell_are_trained_scored_and_filled_into_a_cache(
    shop: Path, tmp_path: Path
) -> None:
    target = ("--label", "tags", "--target", "labels", "--separator", "|")
    cached = ("--image", "front", "--image-size", "12x12", "--cache", tmp_path / "cache")
    code, printed, _ = call("cache", shop, *target, *cached)
    assert code == 0 and f"{ROWS} cells were read, 0 are bad." in printed
    columns = ("--caption", "caption", "--caption", "maker", *target)
    code, printed, errors = train(shop, tmp_path, *columns)
    assert (code, errors) == (0, "")
    assert "labels    3: mug, plain, red" in printed
    assert re.search(r"precision ┃ +macro F1 ┃", printed)
    metrics = metrics_of(tmp_path / "shop")
    assert metrics["both"] == metrics["details"]["scores"]["both"]["mean_average_precision"]
    assert list(mg.load_bundle(tmp_path / "shop").inputs) == ["caption", "maker"]
    assert metrics["details"]["classes"] == ["mug", "plain", "red"]
    thresholds = mg.load_bundle(tmp_path / "shop").target.thresholds.tolist()
    by_label = metrics["details"]["by_class"]["both"]
    assert [by_label[name]["threshold"] for name in ("mug", "plain", "red")] == thresholds
    assert not (tmp_path / "shop" / "confusion.png").exists()
    scores = json.loads(call("evaluate", tmp_path / "shop", shop, "--json")[1])
    assert {"micro_f1", "macro_f1", "mean_average_precision", "subset_accuracy"} < set(scores)
    assert call("audit", shop, *columns, "--out", tmp_path / "a")[0] in (0, 1)


@pytest.mark.slow
def test_two_pictures_a_row_are_inputs_under_their_own_names(shop: Path, tmp_path: Path) -> None:
    columns = ("--image", "front", "--image", "back")
    match = ("--fusion", "match", "--positive", "10")
    code, printed, _ = train(
        shop, tmp_path, *columns, *match, "--augment", "strong", "--name", "two"
    )
    assert code == 0
    assert re.search(
        "Fusion 'match': rows of the class '?10'? belong together, as set by --positive", printed
    )
    for name in ("front", "back"):
        assert re.search(rf"  {name} +image .* from '{name}'", printed), name
    assert list(metrics_of(tmp_path / "two")) == ["both", "details"]
    bundle = mg.load_bundle(tmp_path / "two")
    assert list(bundle.inputs) == ["front", "back"]
    assert str(matching_class(bundle.model, bundle.target)) == "10"
    assert len(bundle.inputs["front"].get_config()["augment"]) == 7
    table = mg.read_table(shop)
    table[["front", "back"]] = table[["back", "front"]].to_numpy()
    table.drop(columns="label").to_csv(shop.parent / "swapped.csv", index=False)
    for name in ("shop", "swapped"):
        out = ("--out", tmp_path / f"{name}.csv")
        assert call("predict", tmp_path / "two", shop.parent / f"{name}.csv", *out)[0] == 0
    kept = ["front", "back", "label"]
    first, second = (
        pd.read_csv(tmp_path / f"{name}.csv").drop(columns=kept) for name in ("shop", "swapped")
    )
    assert np.abs(first - second).to_numpy().max() > 1e-6, "one picture was taken for both"
    code, _, _ = call("audit", shop, *columns, "--out", tmp_path / "audit")
    assert code in (0, 1) and (tmp_path / "audit" / "audit.html").exists()


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"image": ("photo",), "caption": ("title",)}, ["image", "caption"]),
        ({"image": ("front", "back"), "caption": ("title",)}, ["front", "back", "caption"]),
        (
            {"image": ("caption", "side view"), "caption": ("title",)},
            ["image_caption", "side_view", "caption"],
        ),
        (
            {"image": ("正面", "a/b"), "caption": ("both", "all")},
            ["image_1", "a_b", "caption_both", "caption_all"],
        ),
        (
            {"image": ("a b", "a_b", "number"), "number": ("n",)},
            ["a_b", "image_a_b", "image_number"],
        ),
    ],
)
def test_inputs_have_names_that_keras_takes_and_no_two_have_the_same(
    columns: dict, names: list[str]
) -> None:
    assert list(input_names(settings(**columns)).values()) == names


@pytest.mark.filterwarnings("default")
def test_classes_of_one_row_are_classes_wherever_a_random_split_puts_them(tmp_path: Path) -> None:
    names = [f"kind {one}" for one in [*range(15), *[15] * 5]]
    table = pd.DataFrame(
        {"caption": [f"words {row}" for row in range(20)], "label": names, "part": "train"}
    )
    table.to_csv(tmp_path / "rare.csv", index=False)
    arguments = ("--caption", "caption", "--out", tmp_path / "p.png")
    code, printed, errors = call("preview", tmp_path / "rare.csv", *arguments)
    assert (
        code == 0 and "classes   16: " in printed and "14 training, 2 validation, 4 test" in printed
    )
    assert "note: label: 15 of 16 classes have too few rows" in " ".join(printed.split())
    assert errors == ""
    # A split that is given may be wrong, so there a class of test rows alone is not learned.
    table.loc[12:, "part"] = "test"
    table.to_csv(tmp_path / "given.csv", index=False)
    code, printed, _ = call("preview", tmp_path / "given.csv", *arguments, "--split", "part")
    assert code == 0 and "classes   12: " in printed


@pytest.mark.filterwarnings("default")
def test_training_says_that_pictures_stand_in_several_parts(shop: Path, tmp_path: Path) -> None:
    table = mg.read_table(shop)
    table = pd.concat([table.assign(part="train"), table.assign(part="test")])
    table.iloc[3, 0] = "gone.png"
    table.to_csv(shop.parent / "twice.csv", index=False)
    columns = ("--image", "front", "--runs", tmp_path / "runs", "--epochs", 1)
    for more in ((), ("--split", "part"), ("--split", "part", "--group", "front")):
        code, _, errors = call("train", shop.parent / "twice.csv", *columns, *more)
        assert code == 2 and "gone.png" in errors
        note = " ".join(errors.split())
        assert re.search(
            rf"note: \d+ of {ROWS + 1} pictures in 'front' are in several parts.*--group front",
            note,
        ), more
    _, _, errors = call("train", shop.parent / "twice.csv", *columns, "--group", "front")
    assert "in several parts" not in errors


def test_a_target_of_several_columns_is_made_of_their_names(shop: Path) -> None:
    table = mg.read_table(shop)
    labels = make_target(
        settings(caption=("caption",), label=("is red", "is mug"), target="labels"), table
    )
    assert isinstance(labels, mg.MultiLabel) and labels.class_names == ("is red", "is mug")
    assert labels.read((1, 0)).tolist() == [1, 0]
    numbers = make_target(
        settings(caption=("caption",), label=("price", "is red"), target="number"), table
    )
    assert isinstance(numbers, mg.NumericTarget) and numbers.names == ("price", "is red")


@pytest.mark.parametrize("between", ["|", "; ", ","])
def test_a_separator_that_stands_in_no_cell_is_refused_for_the_one_that_does(between: str) -> None:
    table = pd.DataFrame(
        {
            "tags": [
                between.join(one.split()) for one in ("red box", "blue box", "red", "box", "blue")
            ]
        }
    )
    given = settings(caption=("caption",), label=("tags",), target="labels", separator="#")
    right = between.strip()
    wanted = (
        f"'#' is in no cell of 'tags'; '{right}' is in 2 of them: use --separator '{right}'. "
        "Received: --sep"
    )
    for refuse in (check_classes, check_separator):
        with pytest.raises(mg.TableError, match=re.escape(wanted)):
            refuse(table, given)
    assert check_classes(table, replace(given, separator=between)) == []


def test_a_separator_that_is_not_needed_is_noted() -> None:
    given = settings(caption=("caption",), label=("tags",), target="labels", separator="|")
    (note,) = check_classes(pd.DataFrame({"tags": ["red", "blue", None]}), given)
    assert note == "'|' is in no cell of 'tags', so every row has at most one label"
    (note,) = check_classes(pd.DataFrame({"tags": ["hats, caps", "shoes", "hats, caps"]}), given)
    assert "',' is in 2 of them, which would need --separator ','" in note, (
        "a name may hold a comma"
    )
    lists = pd.DataFrame({"tags": [["red", "blue"], []]})
    assert check_classes(lists, given) == []


@pytest.mark.parametrize(
    ("cells", "more"),
    [
        (["Cat"] * 30 + ["cat "] * 20 + ["dog"] * 30, {}),
        ([["Cat", "dog"]] * 30 + [["cat "]] * 20, {"target": "labels"}),
        (["Cat|dog"] * 30 + ["cat\u200b|dog"] * 20, {"target": "labels", "separator": "|"}),
    ],
)
def test_classes_that_look_like_one_are_noted_with_their_rows(
    cells: list[object], more: dict[str, str]
) -> None:
    table, given = pd.DataFrame({"label": cells}), settings(caption=("caption",), **more)
    (note,) = check_classes(table, given)
    assert note.startswith("label: separate classes look like one: 'Cat' (30 rows) and 'cat")
    assert "(20 rows)" in note and note.endswith("write them alike in the table")
    assert "upper and lower case; if" in note and "table[" not in note
    # The target is made without a word of Python, and audits say it too.
    target = make_target(given, table)
    assert variants_note(table, target) == [note]


@pytest.mark.parametrize("separator", [None, "|", ","])
@pytest.mark.parametrize(
    ("cell", "way_out"),
    [
        ("['a', 'b']", "with --separator '|' (in Python, `table[column].map(ast.literal_eval)"),
        ("{'a'}", "store the table as jsonl or parquet, whose cells can be lists"),
        ("('a', 'b')", "Write the labels with a sign between them"),
        ("['a' 'b']", "Write the labels with a sign between them"),
        ("[{'id': 1, 'name': 'a'}]", "Write the labels with a sign between them"),
        ("[1, 0]", "column of 0 and 1 for each, and name all of them: --label first --label"),
        ("[True, False]", "column of 0 and 1 for each, and name all of them"),
    ],
)
def test_a_printed_list_is_one_error_with_the_whole_way_out(
    cell: str, way_out: str, separator: str | None
) -> None:
    table = pd.DataFrame({"tags": [None, cell]}, index=[7, 8])
    given = settings(caption=("c",), label=("tags",), target="labels", separator=separator)
    for refuse in (check_classes, check_text_labels):
        with pytest.raises(
            mg.LoadError, match="index 8, column 'tags': the cell is a list as programs print it"
        ) as refused:
            refuse(table, given)
        assert way_out in str(refused.value) and "Received: " in str(refused.value)


def test_printed_lists_that_are_taken_for_classes_are_noted() -> None:
    table = pd.DataFrame({"tags": ["['a', 'b']", "['b']", None] * 9})
    given = settings(caption=("c",), label=("tags",))
    (note,) = check_classes(table, given)
    assert note.startswith("tags: the cells are printed lists") and "--target labels" in note
    assert check_classes(pd.DataFrame({"tags": ["a", "['b']"] * 9}), given) == []
    assert check_classes(pd.DataFrame({"tags": [None] * 9}), given) == []


def test_the_advice_on_printed_lists_makes_texts_that_can_be_read() -> None:
    import ast

    table = pd.DataFrame({"tags": ["['a', 'b']", "['c']", "[]"]})
    table["tags"] = table["tags"].map(ast.literal_eval).str.join("|")
    given = settings(caption=("c",), label=("tags",), target="labels", separator="|")
    assert check_classes(table, given) == []
    assert make_target(given, table).class_names == ("a", "b", "c")


def test_labels_as_text_need_a_separator_and_empty_texts_do_not_ask_for_one() -> None:
    given = settings(caption=("c",), label=("tags",), target="labels")
    with pytest.raises(mg.LoadError, match=r"index 1, .*--separator ','. Received: 'a, b'"):
        check_classes(pd.DataFrame({"tags": ["", "a, b"]}), given)


@pytest.mark.parametrize(
    ("roles", "told"),
    [
        ({"image": ("a",), "caption": ("a",)}, "second name.* Received: --image a --caption a"),
        ({"caption": ("b", "a"), "number": ("a",)}, "second name.* Received: --caption a --number"),
        ({"caption": ("label",)}, "what is predicted. Received: --caption label --label label"),
        (
            {"number": ("a",), "label": ("price", "a"), "target": "number"},
            "what is predicted. Received: --number a --label a",
        ),
    ],
)
def test_a_column_has_one_purpose(roles: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=f"A column is for one purpose; .*{told}"):
        settings(**roles)
    assert settings(caption=("a",), group="a", split="b").group == "a"


def test_scores_of_several_numbers_stand_under_their_columns_and_are_summed_up_by_their_mean() -> (
    None
):
    scores = {
        "price.mean_absolute_error": 3.0,
        "price.r2": 0.5,
        "is_red.mean_absolute_error": 1.0,
        "is_red.r2": 0.75,
    }
    shown = shown_scores("number", list(scores))
    assert [score_title(name) for name in shown] == [
        "price: R²",
        "is_red: R²",
        "price: mean absolute error",
        "is_red: mean absolute error",
    ]
    assert main_score("number", scores) == 0.625
    assert main_score("number", {"r2": float("nan")}) is None
    assert (as_score(1234.5678), as_score(0.5, 4), as_score(float("nan"))) == (
        "1,234.568",
        "0.5000",
        "none",
    )
    assert as_score(1234, 4) == "1,234", "a count is whole"


def test_a_folder_below_the_working_directory_is_kept_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    for table, directory, kept in [
        (tmp_path / "shop" / "t.csv", None, "shop"),
        (tmp_path / "shop", None, "shop"),
        ("t.csv", tmp_path / "shop", "shop"),
        ("shop/t.csv", None, "shop"),
        ("t.csv", None, "."),
        (tmp_path.parent / "t.csv", None, str(tmp_path.parent)),
        ("t.csv", "https://a.org/b", "https://a.org/b"),
    ]:
        given = settings(
            image=("image",),
            table=str(table),
            directory=None if directory is None else str(directory),
        )
        assert picture_folder(given) == kept


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        (
            mg.NumericTarget("price", mean=10.0, scale=2.5),
            ["in squared standard deviations (1 is 2.5)", "in standard deviations (1 is 2.5)"],
        ),
        (
            mg.NumericTarget(("price", "stock"), mean=[0.0, 0.0], scale=[2.0, 3.0]),
            ["in squared standard deviations", "in standard deviations"],
        ),
        (mg.NumericTarget("price"), ["", ""]),
        (mg.ClassLabel("price", [0, 1, 2, 3]), ["", ""]),
    ],
)
def test_curves_of_numbers_say_their_units(
    target: mg.Target, labels: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = []
    draw = plots.plot_history
    monkeypatch.setattr(
        plots,
        "plot_history",
        lambda history, **given: figures.append(draw(history, **given)) or figures[-1],
    )
    table = pd.DataFrame({"x": np.arange(4.0), "price": np.arange(4.0), "stock": np.arange(4.0)})
    inputs = {"x": mg.NumericLoader("x", mean=0.0, scale=1.0)}
    model = mg.build_fusion_classifier(inputs, target)
    history = {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6], "mean_absolute_error": [1.0, 0.7]}
    bundle, told = mg.Bundle(model, inputs, target), SimpleNamespace(epoch=[0, 1], history=history)
    write_results(tmp_path, bundle, told, table, bundle.predict(table))
    assert [axes.get_ylabel() for axes in figures[0].axes] == labels


def test_a_run_removes_what_an_earlier_one_left_and_nothing_else(tmp_path: Path) -> None:
    files = ("confusion.png", "failures.csv", "curves.png", "notes.txt", "state/both/mine.txt")
    files += ("report.html", "model_card.md")
    states = ("state/both/state-00000002.npz", "state/image/state-00000001.npz")

    def left(target: mg.Target, **settings: bool) -> set[str]:
        for name in (*files, *states):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("old")
        remove_stale(tmp_path, target, **settings)
        return {
            path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
        }

    number, label = mg.NumericTarget("price"), mg.ClassLabel("label", ["a", "b"])
    assert left(label, lost=True, resumable=True) == {*files, *states}
    assert left(number, lost=True, resumable=True) == {*files, *states} - {"confusion.png"}
    assert left(label, lost=False, resumable=True) == {*files, *states} - {"failures.csv"}
    of_one = {"curves.png"}
    assert left(label, lost=True, resumable=True, folds=True) == {*files, *states} - of_one
    assert left(label, lost=True, resumable=False) == set(files)
    # The folder of which nothing is left is gone, and the one with a file of somebody's stays.
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["both"]


@pytest.mark.parametrize(
    "ids",
    [
        [4006381333931000000 + 7 * row for row in range(225)],
        [str(4006381333931000000 + 7 * row) for row in range(225)],
        [9007199254740993 + row for row in range(40)],
    ],
)
def test_ids_of_digits_are_refused_as_classes_like_ids_with_letters(ids: list[object]) -> None:
    # As floats, many of them are equal.
    wanted = rf"'id' holds {len(ids)} different classes in {len(ids)} rows, like a column of ids.*"
    with pytest.raises(mg.TableError, match=wanted + "use --target number. Received: --label id"):
        check_classes(pd.DataFrame({"id": ids}), settings(label=("id",)))


def test_labels_that_hold_a_separator_are_quoted_and_noted() -> None:
    given = settings(caption=("caption",), label=("tags",), target="labels", separator="|")
    rows = pd.DataFrame({"tags": ["hats, neu|bags", "hats", "hats, neu", None]})
    (note,) = check_classes(rows, given)
    assert note == (
        "tags: 2 cells contain ',', which is part of a label, as in 'hats, neu'; only --separator "
        "'|' separates labels"
    )
    said = in_words(make_target(given, rows))
    assert said.endswith("3: bags, hats, 'hats, neu'")
    semicolons = pd.DataFrame({"tags": ["a,b;c", "a", "b;c"]})
    assert "2 cells contain ';', which is part of a label, as in 'b;c'" in "".join(
        check_classes(semicolons, replace(given, separator=","))
    )
    classes = mg.ClassLabel("label", ["a; b", "c"])
    assert in_words(classes).endswith("2: 'a; b', c")
    assert check_classes(pd.DataFrame({"tags": ["a|b", "a"]}), given) == []
