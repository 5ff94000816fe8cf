"""Cross-validation: which rows are in which fold, what is predicted, and what is kept of a stopped
run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.bundle.folds.ensemble import ensemble_of
from multimodal_gen.bundle.folds.together import kept_together
from multimodal_gen.rows.folds import fold_of_rows, validation_rows
from multimodal_gen.rows.splitting import RareClassWarning

WORDS = {
    "cat": ("purr", "meow", "claws"),
    "dog": ("bark", "leash", "fetch"),
    "owl": ("hoot", "wing"),
}


def make_table(rows: int = 60) -> pd.DataFrame:
    """Captions that tell the class, in an index of texts that is not sorted."""
    rng = np.random.default_rng(0)
    names = [list(WORDS)[row % 3] for row in range(rows)]
    captions = [
        f"{rng.choice(WORDS[name])} {rng.choice(WORDS[name])} number {row}"
        for row, name in enumerate(names)
    ]
    table = pd.DataFrame(
        {
            "caption": captions,
            "weight": rng.normal(size=rows) + [list(WORDS).index(name) for name in names],
            "owner": [f"owner {row // 2}" for row in range(rows)],
            "label": names,
        },
        index=[f"row {row}" for row in range(rows)],
    )
    return table.sample(frac=1, random_state=1)


def learn(train: pd.DataFrame) -> dict[str, mg.Loader]:
    """Inputs that learn from the training rows: a vocabulary, and a mean."""
    return {
        "caption": mg.TextLoader.from_texts("caption", train, output_mode="ngrams"),
        "weight": mg.NumericLoader.from_values("weight", train),
    }


def probe(inputs: Mapping[str, mg.Loader], target: Any, train: Any, validation: Any) -> keras.Model:
    """The model of a fold, in a fraction of a second."""
    return mg.fit_linear_probe(inputs, target, train, validation, verbose=0)


def network(inputs: Mapping[str, mg.Loader], target: Any, train: Any, _: Any) -> keras.Model:
    """A model whose first weights and dropout are random."""
    x = keras.Input((1,), name="weight")
    y = keras.layers.Dropout(0.5)(keras.layers.Dense(4, "relu")(x))
    model = keras.Model([x], keras.layers.Dense(3, "softmax")(y))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(train, epochs=1, shuffle=False, verbose=0)
    return model


def run(table: pd.DataFrame, inputs: Any = learn, **more: Any) -> mg.CrossValidation:
    target = mg.ClassLabel.from_values("label", table)
    return mg.cross_validate(
        table, inputs, target, **{"folds": 3, "fit": probe, "verbose": 0, **more}
    )


NUMBER = {"weight": mg.NumericLoader("weight", mean=[1.0], scale=[1.0])}


def test_every_row_is_in_one_fold_and_classes_are_in_share() -> None:
    classes = np.repeat(np.arange(4), (50, 25, 13, 7))
    fold = fold_of_rows(np.arange(95), classes, 5, 0)
    assert sorted(np.bincount(fold)) == [19] * 5
    for one, rows in enumerate((50, 25, 13, 7)):
        counts = np.bincount(fold[classes == one], minlength=5)
        assert counts.min() >= rows // 5 and counts.max() <= -(-rows // 5)
    assert (fold == fold_of_rows(np.arange(95), classes, 5, 0)).all()
    assert (fold != fold_of_rows(np.arange(95), classes, 5, 1)).any()


def test_groups_stay_in_one_fold_and_on_one_side_of_validation() -> None:
    rng = np.random.default_rng(0)
    groups, classes = rng.integers(0, 60, 300), rng.integers(0, 3, 300)
    fold = fold_of_rows(groups, classes, 4, 0)
    assert (pd.Series(fold).groupby(groups).nunique() == 1).all()
    assert (np.abs(np.bincount(fold) - 75) <= 8).all()
    others = np.flatnonzero(fold != 2)
    chosen = validation_rows(groups, classes, others, 0)
    assert not set(groups[others[chosen]]) & set(groups[others[~chosen]])
    assert 0.08 < chosen.mean() < 0.17


def test_the_odd_rows_of_classes_do_not_all_go_to_the_first_fold() -> None:
    firsts = [fold_of_rows(np.arange(4), np.arange(4), 3, seed) for seed in range(40)]
    most = [int(np.bincount(one).argmax()) for one in firsts]
    assert set(most) == {0, 1, 2}


def test_each_row_is_predicted_by_another_fold_in_the_order_and_index_of_the_table() -> None:
    table = make_table()
    result = run(table)
    frame = result.out_of_fold
    assert frame.index.equals(table.index)
    assert list(frame.columns) == ["fold", "label", "cat", "dog", "owl"]
    assert (frame["label"] == table["label"]).mean() > 0.8
    for number, bundle in enumerate(result.bundles, 1):
        rows = (frame["fold"] == number).to_numpy()
        own = bundle.predict(table[rows])
        assert list(own.index) == list(table.index[rows])
        np.testing.assert_allclose(own["cat"], frame.loc[rows, "cat"], atol=1e-6)
        # Words that only stand in the rows of the fold are not in its vocabulary.
        numbers = set(range(60)) & {int(one.split()[-1]) for one in table["caption"][~rows]}
        learned = bundle.inputs["weight"].mean[0]
        assert learned != pytest.approx(float(table["weight"].mean()), abs=1e-9)
        assert len(numbers) == 40


def test_scores_are_those_of_each_fold_and_the_summary_is_their_mean_and_spread() -> None:
    table = make_table()
    result = run(table, NUMBER)
    right = result.out_of_fold["label"] == table["label"]
    by_fold = right.groupby(result.out_of_fold["fold"]).mean()
    np.testing.assert_allclose(result.scores["accuracy"], by_fold)
    assert result.overall["accuracy"] == pytest.approx(right.mean())
    one = result.summary.loc["accuracy"]
    assert one["mean"] == pytest.approx(by_fold.mean())
    assert one["spread"] == pytest.approx(by_fold.std(ddof=1))
    assert one["standard_error"] == pytest.approx(by_fold.std(ddof=1) / 3**0.5)
    low, high = result.intervals.loc[(2, "accuracy"), ["low", "high"]]
    assert low <= by_fold[2] <= high and list(result.intervals.index.unique("fold")) == [1, 2, 3]
    assert one["low"] == result.judged.overall["low"]["accuracy"] <= one["overall"] <= one["high"]
    assert list(result.rows) == [20, 20, 20]
    assert "overall" in str(result) and repr(result) == "CrossValidation(3 folds, 60 rows)"


def test_the_ensemble_is_the_mean_of_the_folds_and_is_saved_like_any_bundle(tmp_path: Path) -> None:
    table = make_table()
    result = run(table)
    assert list(result.ensemble.inputs) == [
        *(f"caption_{number}" for number in (1, 2, 3)),
        *(f"weight_{number}" for number in (1, 2, 3)),
    ]
    result.ensemble.save(tmp_path)
    found = mg.load_bundle(tmp_path).predict(table)[["cat", "dog", "owl"]]
    each = [one.predict(table)[["cat", "dog", "owl"]].to_numpy() for one in result.bundles]
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)


def test_numbers_are_averaged_too_and_an_input_that_learned_nothing_is_read_once() -> None:
    table = make_table(40)
    target = mg.NumericTarget.from_values("weight", table)
    number = {"length": mg.NumericLoader("length", mean=[0.0], scale=[1.0])}
    table["length"] = 2 * table["weight"] + 1
    result = mg.cross_validate(table, number, target, folds=2, fit=probe, verbose=0)
    assert list(result.ensemble.inputs) == ["length"]
    each = [one.predict(table).to_numpy() for one in result.bundles]
    found = result.ensemble.predict(table).to_numpy()
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)
    assert result.overall["r2"] > 0.9


def test_masks_of_missing_cells_and_inputs_by_name_reach_the_model_of_each_fold() -> None:
    table = make_table(30)
    table.loc[table.index[::5], "caption"] = None

    def inputs(train: pd.DataFrame) -> dict[str, mg.Loader]:
        texts = train.dropna(subset="caption")
        return {
            "caption": mg.TextLoader.from_texts(
                "caption", texts, output_mode="ngrams", missing="blank"
            )
        }

    result = run(table, inputs, folds=2)
    each = [one.predict(table)["cat"].to_numpy() for one in result.bundles]
    np.testing.assert_allclose(
        result.ensemble.predict(table)["cat"], np.mean(each, axis=0), atol=1e-6
    )
    named = keras.Input((1,), name="weight")
    model = keras.Model({"weight": named}, keras.layers.Dense(3, "softmax")(named))
    target = mg.ClassLabel.from_values("label", table)
    both = ensemble_of([mg.Bundle(model, NUMBER, target), mg.Bundle(model, NUMBER, target)])
    np.testing.assert_allclose(
        both.predict(table)["cat"],
        mg.Bundle(model, NUMBER, target).predict(table)["cat"],
        atol=1e-6,
    )


def test_copies_and_groups_stay_together_also_in_a_chain() -> None:
    table = make_table(40)
    cells = table["caption"].to_numpy(object)
    # Copies in everything but case, of rows of different owners; and owners have two rows each.
    cells[5], cells[20] = cells[9].upper(), cells[0] + "!"
    table["caption"] = cells
    inputs = {"caption": mg.TextLoader.from_texts("caption", table, output_mode="ngrams")}
    fold = run(table, inputs, group="owner", folds=4).out_of_fold["fold"]
    assert fold.iloc[5] == fold.iloc[9] and fold.iloc[20] == fold.iloc[0]
    assert (fold.groupby(table["owner"]).nunique() == 1).all()
    apart = [
        run(table, inputs, copies=False, folds=4, seed=seed).out_of_fold["fold"]
        for seed in range(3)
    ]
    assert any(one.iloc[5] != one.iloc[9] for one in apart)


def test_copies_of_a_picture_stay_together_under_other_names(
    tmp_path: Path, sample_data: Path
) -> None:
    names = mg.read_table(sample_data / "catalog.csv")["image"].tolist()[:22]
    pictures = [Image.open(sample_data / name).convert("RGB") for name in names]
    # One in another format, and one of another size.
    pictures[20], pictures[21] = pictures[3], pictures[4].resize((90, 90))
    for row, picture in enumerate(pictures):
        picture.save(tmp_path / f"{row}.{'jpg' if row == 20 else 'png'}", quality=95)
    table = pd.DataFrame({"image": sorted(path.name for path in tmp_path.iterdir())})
    table["label"] = ["a", "b"] * 11
    inputs = {"image": mg.ImageLoader("image", directory=tmp_path, image_size=(4, 4))}
    together = kept_together(table, inputs, None, copies=True)
    number = dict(zip(table["image"], together, strict=True))
    assert number["3.png"] == number["20.jpg"] and number["4.png"] == number["21.png"]
    assert len(set(together)) > 10
    apart = kept_together(table, inputs, None, copies=False)
    assert len(set(apart)) == 22


class StopError(Exception):
    """A run is stopped."""


def stopping(fit: Callable[..., keras.Model], after: int) -> Callable[..., keras.Model]:
    left = [after]

    def fits(inputs: Any, target: Any, train: Any, validation: Any) -> keras.Model:
        left[0] -= 1
        if left[0] < 0:
            raise StopError
        return fit(inputs, target, train, validation)

    return fits


def test_a_stopped_run_continues_with_the_next_fold_and_ends_with_the_same_predictions(
    tmp_path: Path,
) -> None:
    table = make_table()
    whole = run(table, NUMBER, fit=network)
    fits = stopping(network, 2)
    with pytest.raises(StopError):
        run(table, NUMBER, fit=fits, folder=tmp_path)
    assert (tmp_path / "fold-2" / "outputs.npy").exists()
    # The last fold was killed while it was written.
    (tmp_path / "fold-3").mkdir()
    (tmp_path / "fold-3" / "model.keras").write_bytes(b"half")
    # The function has the same code, and would be stopped again by another fold than the third.
    continued = run(table, NUMBER, fit=stopping(network, 1), folder=tmp_path)
    pd.testing.assert_frame_equal(continued.out_of_fold, whole.out_of_fold)
    pd.testing.assert_frame_equal(continued.scores, whole.scores)
    pd.testing.assert_frame_equal(continued.ensemble.predict(table), whole.ensemble.predict(table))
    # All are finished, so nothing is trained.
    done = run(table, NUMBER, fit=stopping(network, 0), folder=tmp_path)
    pd.testing.assert_frame_equal(done.out_of_fold, whole.out_of_fold)


def other_code(inputs: Any, target: Any, train: Any, validation: Any) -> keras.Model:
    """Another way to train."""
    return mg.fit_linear_probe(inputs, target, validation, train, verbose=0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, "seed differs"),
        ({"folds": 2}, "folds differs"),
        ({"fit": other_code}, "fit differs"),
        ({"batch_size": 8, "copies": False}, "copies, batch_size differ"),
        ({"inputs": {"weight": NUMBER["weight"].replace(mean=[2.0])}}, "inputs differs"),
    ],
)
def test_folds_of_other_settings_are_not_mixed(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    table = make_table(30)
    run(table, NUMBER, fit=probe, folder=tmp_path)
    with pytest.raises(ValueError, match=rf"{said}\. Name another folder.*Received: folder="):
        run(table, **{"inputs": NUMBER, "folder": tmp_path, **changed})


def test_folds_of_another_table_are_not_mixed_and_other_columns_do_not_matter(
    tmp_path: Path,
) -> None:
    table = make_table(30)
    first = run(table, NUMBER, folder=tmp_path)
    again = run(table.assign(note="new"), NUMBER, folder=tmp_path)
    pd.testing.assert_frame_equal(again.out_of_fold, first.out_of_fold)
    changed = table.copy()
    changed.iloc[3, changed.columns.get_loc("label")] = "owl"
    with pytest.raises(ValueError, match="column 'label' differs"):
        run(changed, NUMBER, folder=tmp_path)
    with pytest.raises(ValueError, match="the index differs"):
        run(table.rename(index=lambda name: f"{name}!"), NUMBER, folder=tmp_path)


def test_a_bad_cell_is_known_before_the_first_fold() -> None:
    table = make_table(30)
    table["weight"] = table["weight"].astype(object)
    table.iloc[28, 1], table.iloc[3, 1] = "heavy", "light"
    with pytest.raises(mg.LoadError, match=r"1 more of the 30 rows cannot be loaded.*clean\(table"):
        run(table, NUMBER, fit=stopping(probe, 0))
    table = make_table(30)
    table.iloc[7, 3] = None
    target = mg.ClassLabel("label", ["cat", "dog", "owl"])
    with pytest.raises(mg.LoadError, match="column 'label'"):
        mg.cross_validate(table, NUMBER, target, fit=stopping(probe, 0))


def test_a_class_whose_rows_are_in_one_fold_is_named() -> None:
    table = make_table(30)
    table.iloc[4, 3] = "newt"
    with pytest.warns(RareClassWarning, match=r"All rows of 1 class are in one fold.*'newt'"):
        result = run(table, NUMBER)
    assert (result.out_of_fold["label"].iloc[4]) != "newt"


def test_the_generators_of_python_and_numpy_are_left_alone() -> None:
    import random

    table = make_table(30)
    random.seed(3)
    expected = random.random()
    random.seed(3)
    run(table, NUMBER, fit=network)
    assert random.random() == expected


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"folds": 1}, ValueError, "`folds` must be at least 2. Received: folds=1"),
        ({"folds": 2.5}, ValueError, "`folds` must be a positive integer"),
        ({"group": ["owner"]}, TypeError, "`group` must be the name of one column"),
        ({"group": "owners"}, mg.TableError, "owners"),
        ({"folds": 31, "group": "owner"}, mg.TableError, "fewer groups than parts"),
        ({"fit": lambda *given: None}, TypeError, "`fit` must return a Keras model"),
        ({"seed": -1}, ValueError, "`seed` must be an integer"),
    ],
)
def test_arguments_that_cannot_be_are_refused(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        run(make_table(60), NUMBER, **arguments)


def test_several_targets_and_a_repeated_index_are_refused() -> None:
    table = make_table(30)
    target = mg.ClassLabel.from_values("label", table)
    with pytest.raises(TypeError, match="`target` must be one target"):
        mg.cross_validate(table, NUMBER, {"label": target})  # type: ignore[arg-type]
    with pytest.raises(mg.TableError, match="The index must be unique"):
        run(pd.concat([table, table]), NUMBER)


def test_the_default_fits_a_network_and_a_probe_and_says_so_by_fold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = make_table(45)
    target = mg.ClassLabel.from_values("label", table)
    result = mg.cross_validate(table, NUMBER, target, folds=2)
    printed = capsys.readouterr().out
    assert "Fold 1 of 2: accuracy" in printed and "Fold 2 of 2" in printed
    assert "standard_error" in printed
    assert result.overall["accuracy"] > 0.4
