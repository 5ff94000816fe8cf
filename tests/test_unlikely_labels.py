"""An audit with out-of-fold predictions names the labels that are likely wrong, the worst first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from test_audit import SILENT, found, shop
from test_audit_page import Page
from test_cli import assert_refused, call

import multimodal_gen as mg
from benchmarks import label_rules

WORDS = {
    "mug": ["handle", "coffee", "rim", "sip", "glaze", "brew"],
    "lamp": ["bulb", "shade", "switch", "glow", "watt", "cord"],
    "vase": ["flower", "stem", "neck", "water", "bloom", "bud"],
}


def captions(rows: int, seed: int = 0) -> pd.DataFrame:
    """Rows whose caption tells the class, with labels of their own in the index."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(WORDS), rows)
    texts = [
        f"{' '.join(rng.choice(WORDS[label], 4))} number {row}" for row, label in enumerate(labels)
    ]
    index = [f"row-{row}" for row in range(rows)]
    return pd.DataFrame({"caption": texts, "label": labels}, index=index)


def flipped(table: pd.DataFrame, count: int, seed: int = 1) -> tuple[pd.DataFrame, set[str]]:
    """The table with another class in some rows, and the index of these."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(table), count, replace=False)
    names = sorted(set(table["label"]))
    labels = table["label"].tolist()
    for row in rows:
        labels[row] = names[(names.index(labels[row]) + rng.integers(1, len(names))) % len(names)]
    return table.assign(label=labels), set(table.index[rows])


def out_of_fold(table: pd.DataFrame) -> pd.DataFrame:
    """Probabilities of each row by a model of the other rows, as a cross-validation gives them."""
    model = make_pipeline(CountVectorizer(), LogisticRegression(C=10))
    labels = table["label"].astype(str)
    numbers = cross_val_predict(model, table["caption"], labels, method="predict_proba")
    names = sorted(set(labels))
    frame = pd.DataFrame(numbers, table.index, names)
    frame.insert(0, "label", frame[names].idxmax(axis=1))
    return frame


def audited(table: pd.DataFrame, predictions: Any, **more: Any) -> mg.Audit:
    inputs = {"caption": mg.TextLoader.from_texts("caption", table["caption"])}
    target = more.pop("target", None) or mg.ClassLabel.from_values("label", table["label"])
    return mg.audit(table, inputs, target, predictions=predictions, **SILENT, **more)


def test_planted_wrong_labels_are_found_and_ranked_and_no_others() -> None:
    table, wrong = flipped(captions(240), 12)
    report = audited(table, out_of_fold(table))
    named = found(report, "unlikely label")
    assert len(wrong & set(named)) >= 11 and len(set(named) - wrong) <= 1
    ranking = report.ranked_labels
    assert len(set(ranking.index[:12]) & wrong) >= 11
    assert len(ranking) == 240 and ranking["probability"].is_monotonic_increasing
    assert ranking.index[ranking["unlikely"]].tolist() == [
        table.index[one.position] for one in report.view.findings
    ]
    first = ranking.iloc[0]
    message = report.problems.set_index("index").loc[ranking.index[0], "message"]
    assert message.startswith(f"number 1 of {len(named)}: {first['label']!r} here")
    assert f"{first['likelier']!r} is {first['likelier_probability']:.1%} likely" in message
    # The classes before the flip are what the ranking suggests.
    truth = captions(240)["label"]
    assert (ranking["likelier"].iloc[:10] == truth[ranking.index[:10]]).mean() > 0.8
    assert any(
        note.startswith(f"label: by the predictions, {len(named)} of 240 labels are unlikely")
        for note in report.notes
    )
    # Whether a label is wrong is for people to say.
    assert len(report.clean(table)) == len(table)


def test_good_labels_are_not_named_and_without_predictions_nothing_is_ranked() -> None:
    table = captions(240)
    report = audited(table, out_of_fold(table))
    assert report.counts.get("unlikely label", 0) == 0
    assert "label: by the predictions, none of 240 labels is unlikely" in report.notes
    without = audited(table, None)
    assert without.ranked_labels.empty
    assert without.ranked_labels.columns.equals(report.ranked_labels.columns)


def test_a_binary_target_and_classes_that_are_numbers_are_ranked_alike() -> None:
    table = captions(200)
    table["label"] = np.where(table["label"] == "mug", 7, 12)
    table, wrong = flipped(table, 8)
    predictions = out_of_fold(table)
    assert {"7", "12"} < set(predictions.columns)
    target = mg.ClassLabel("label", [7, 12], label_mode="binary")
    report = audited(table, predictions, target=target)
    assert len(wrong & set(found(report, "unlikely label"))) >= 7
    assert set(report.ranked_labels["label"]) == {7, 12}


def test_a_class_called_label_has_its_probability_in_the_column_that_a_bundle_gives_it() -> None:
    table = captions(200).replace({"label": {"vase": "label"}})
    table, wrong = flipped(table, 8)
    predictions = out_of_fold(table.replace({"label": {"label": "label_probability"}}))
    report = audited(table, predictions)
    assert len(wrong & set(found(report, "unlikely label"))) >= 7


def test_a_weak_model_of_a_frequent_class_does_not_name_every_rare_row() -> None:
    table = captions(300)
    table["label"] = np.where(np.arange(300) % 20 == 0, "vase", "mug")
    # The captions say nothing here: each class is as likely as it is frequent.
    shares = pd.DataFrame({"mug": 0.95, "vase": 0.05}, table.index)
    assert audited(table, shares).counts.get("unlikely label", 0) == 0


def test_predictions_may_cover_some_rows_in_any_order_and_rows_without_numbers_are_skipped() -> (
    None
):
    table, wrong = flipped(captions(240), 12)
    predictions = out_of_fold(table)
    some = predictions.drop(index=sorted(wrong)[:6])[::-1].copy()
    blank = sorted(wrong)[6]
    some.loc[blank, list(WORDS)] = np.nan
    report = audited(table, some)
    named = set(found(report, "unlikely label"))
    assert not named & set(sorted(wrong)[:7]) and len(named & wrong) >= 4
    assert len(report.ranked_labels) == 233
    assert any("of 233 labels" in note and "of 240 in all" in note for note in report.notes)
    # The same with the rows of one part, the other being for testing.
    parts = {"train": table.iloc[:200], "test": table.iloc[200:]}
    train = predictions.loc[parts["train"].index]
    inputs = {"caption": mg.TextLoader.from_texts("caption", table["caption"])}
    target = mg.ClassLabel.from_values("label", table["label"])
    named = set(
        found(mg.audit(parts, inputs, target, predictions=train, **SILENT), "unlikely label")
    )
    assert named and named <= set(parts["train"].index)


def test_the_kind_can_be_ignored_and_leaves_the_ranking() -> None:
    table, _ = flipped(captions(240), 12)
    report = audited(table, out_of_fold(table), ignore=["unlikely label"])
    assert "unlikely label" not in report.counts and report.ranked_labels["unlikely"].any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda p: p.drop(columns="vase"), mg.TableError, r"column .* each class.*without 'vase'"),
        (lambda p: p.rename(index={"row-3": "nowhere"}), mg.TableError, "index 'nowhere'"),
        (
            lambda p: pd.concat([p, p.iloc[[5]]]),
            mg.TableError,
            "each once. Received: index 'row-5'",
        ),
        (lambda p: p.iloc[:0], mg.TableError, "each once. Received: index 'no rows'"),
        (
            lambda p: p.assign(mug=-p["mug"]),
            ValueError,
            r"in \[0, 1\].*index 'row-0', column 'mug'",
        ),
        (lambda p: p.assign(lamp="much"), ValueError, "'much' at index 'row-0', column 'lamp'"),
        (lambda p: p.to_numpy(), TypeError, "must be a DataFrame .* predictions=ndarray"),
    ],
)
def test_what_are_no_predictions_for_the_table_is_refused_before_anything_is_read(
    change: Any, error: type[Exception], message: str
) -> None:
    table = captions(60)
    predictions = change(out_of_fold(table))
    cells: list[int] = []
    inputs = {"caption": mg.TextLoader.from_texts("caption", table["caption"])}
    target = mg.ClassLabel.from_values("label", table["label"])
    with pytest.raises(error, match=message):
        mg.audit(table, inputs, target, predictions=predictions, progress=cells.append)
    assert not cells


def test_predictions_need_a_target_with_one_class_per_row() -> None:
    table = captions(60)
    predictions = out_of_fold(table)
    with pytest.raises(ValueError, match="one class per row.*target=None"):
        mg.audit(table, {}, None, predictions=predictions, **SILENT)
    labels = table.assign(label=[[one] for one in table["label"]])
    several = mg.MultiLabel("label", list(WORDS))
    with pytest.raises(ValueError, match="one class per row.*MultiLabel"):
        audited(labels, predictions, target=several)


def test_the_page_shows_unlikely_labels_with_their_pictures_the_worst_first(tmp_path: Path) -> None:
    table = shop(tmp_path, rows=60)
    share = np.full(60, 0.9)
    # Of 45 wrong ones, the last row is the worst.
    share[15:] = np.linspace(0.1, 0.001, 45)
    columns = {"mug": np.where(table["label"] == "mug", share, 1 - share)}
    predictions = pd.DataFrame(columns | {"lamp": 1 - columns["mug"]}, table.index)
    inputs = {
        "image": mg.ImageLoader("image", directory=tmp_path, image_size=(32, 32)),
        "caption": mg.TextLoader.from_texts("caption", table["caption"]),
    }
    target = mg.ClassLabel.from_values("label", table["label"])
    report = mg.audit(table, inputs, target, predictions=predictions, **SILENT)
    assert report.counts["unlikely label"] == 45
    report.write_page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    cards = text.split("id='unlikely-label'")[1].split("<h2")[0]
    assert cards.index("index &#x27;row-59&#x27;") < cards.index("index &#x27;row-58&#x27;")
    # 36 are shown, each with its picture, and the others are counted.
    assert cards.count("<img") == 36 and "and 9 more" in cards
    assert any("number 1 of 45" in one for one in Page(text).texts)


def test_the_command_reads_predictions_by_the_numbers_of_their_rows(tmp_path: Path) -> None:
    table, wrong = flipped(captions(240), 12)
    rows = {int(name.removeprefix("row-")) for name in wrong}
    predictions = out_of_fold(table).reset_index(drop=True)
    table.to_csv(tmp_path / "table.csv", index=False)
    shuffled = predictions.sample(frac=1, random_state=0)
    shuffled.insert(0, "row", shuffled.index)
    shuffled.assign(fold=1).to_csv(tmp_path / "by_number.csv", index=False)
    predictions.to_parquet(tmp_path / "in_order.parquet", index=False)
    problems = []
    for name in ("by_number.csv", "in_order.parquet"):
        out = tmp_path / name.partition(".")[0]
        done = call(
            *("audit", tmp_path / "table.csv", "--caption", "caption", "--out", out),
            *("--predictions", tmp_path / name),
        )
        assert done[0] == 1 and "unlikely label" in done[1]
        problems.append(pd.read_csv(out / "problems.csv"))
    assert problems[0].equals(problems[1])
    named = problems[0][problems[0]["kind"] == "unlikely label"]
    assert len(set(named["index"]) & rows) >= 11 and (named["column"] == "label").all()


def test_classes_that_are_decimal_numbers_are_found_in_the_header_of_a_csv_file(
    tmp_path: Path,
) -> None:
    table = captions(200)
    table["label"] = np.where(table["label"] == "mug", 2.0, 0.5)
    table, wrong = flipped(table, 8)
    table.to_parquet(tmp_path / "table.parquet", index=False)
    predictions = out_of_fold(table).reset_index(drop=True)
    # As a run with a test part writes them: the rows that are not in it, and more columns.
    predictions.insert(0, "truth", table["label"].to_numpy())
    predictions.insert(0, "row", predictions.index)
    predictions = predictions.assign(fold=1).iloc[20:]
    predictions.to_csv(tmp_path / "out_of_fold.csv", index=False)
    assert "2.0," in (tmp_path / "out_of_fold.csv").read_text().splitlines()[0]
    done = call(
        *("audit", tmp_path / "table.parquet", "--caption", "caption", "--out", tmp_path / "out"),
        *("--predictions", tmp_path / "out_of_fold.csv"),
    )
    assert done[0] == 1 and "of 180 labels" in " ".join(done[1].split())
    problems = pd.read_csv(tmp_path / "out" / "problems.csv")
    named = set(problems["index"][problems["kind"] == "unlikely label"])
    planted = {int(name.removeprefix("row-")) for name in wrong} - set(range(20))
    assert len(named & planted) >= len(planted) - 1 and len(named - planted) <= 1


def test_columns_that_no_class_can_be_called_are_left_alone() -> None:
    table = captions(120)
    predictions = out_of_fold(table).assign(more=1)
    predictions.columns = pd.Index([*predictions.columns[:-1], ("a", "b")], tupleize_cols=False)
    assert len(audited(table, predictions).ranked_labels) == 120


def test_the_command_refuses_predictions_of_other_rows_and_names_its_option(tmp_path: Path) -> None:
    table = captions(60)
    table.to_csv(tmp_path / "table.csv", index=False)
    good = out_of_fold(table).reset_index(drop=True)
    file = tmp_path / "predictions.csv"
    command = ("audit", tmp_path / "table.csv", "--caption", "caption", "--out", tmp_path / "out")

    def refused(frame: pd.DataFrame, message: str, *more: str) -> None:
        frame.to_csv(file, index=False)
        assert_refused(call(*command, "--predictions", file, *more), message)

    refused(good[:-1], "59 lines for 60 rows, first column 'label'")
    numbered = good.assign(row=range(60))[["row", *good.columns]]
    refused(numbered.assign(row=numbered["row"] + 1), "from 0 to 59. Received: .*'60' in line 61")
    words = numbered.astype({"row": str}).replace({"row": {"2": "two"}})
    refused(words, "'two' in line 4")
    refused(good.drop(columns="lamp"), "--predictions must have a column .* without 'lamp'")
    refused(good, "needs --target class", "--label", "nothing")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    good.to_csv(tmp_path / "out" / "problems.csv", index=False)
    outcome = call(*command, "--predictions", tmp_path / "out" / "problems.csv")
    assert_refused(outcome, "--out is the file of --predictions")


def test_the_benchmark_finds_what_it_planted_by_a_cross_validation_too(tmp_path: Path) -> None:
    captions(200).to_csv(tmp_path / "data.csv", index=False)
    ways = {"regression": label_rules.by_regression, "probe": label_rules.by_probe}
    found = label_rules.measure(tmp_path, 0, ways)
    for name in ways:
        result = found[name, "audit"]
        assert result.top >= 0.9 and result.right >= 0.8 and result.found >= 0.8, name
