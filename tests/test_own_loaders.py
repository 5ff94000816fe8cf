"""A loader and a target of your own, made of the base classes alone, have every feature that
bundled ones have.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.cli.results import write_results

LEVELS = ("low", "mid", "high")


@dataclass(frozen=True)
class ByteCounts(mg.Loader):
    """How often each byte stands in a file of text: of 64 groups of bytes, in per cent."""

    column: str
    directory: str | None = None
    missing: str = "error"

    @property
    def spec(self) -> mg.ArraySpec:
        return mg.ArraySpec((64,), "float32", "vector")

    def read(self, cell: str) -> np.ndarray:
        content = np.frombuffer(Path(self.directory or "", cell).read_bytes(), "uint8")
        return (np.bincount(content // 4, minlength=64) / len(content)).astype("float32")


@dataclass(frozen=True)
class Grid(mg.Loader):
    """A picture of two channels that a file of text spells in digits."""

    column: str
    directory: str | None = None

    @property
    def spec(self) -> mg.ArraySpec:
        return mg.ArraySpec((8, 8, 2), "float32", "image")

    def read(self, cell: str) -> np.ndarray:
        digits = np.frombuffer(Path(self.directory or "", cell).read_bytes()[:128], "uint8")
        return np.resize(digits, (8, 8, 2)).astype("float32")


@dataclass(frozen=True)
class Letters(mg.Loader):
    """The letters of a text as ids, with the padding before them."""

    column: str
    length: int = 40
    reads_text = True
    pads_left = True
    kept_by_row = True

    @property
    def spec(self) -> mg.ArraySpec:
        return mg.ArraySpec((self.length,), "int32", "tokens", 128)

    def read(self, cell: str) -> np.ndarray:
        ids = [ord(one) for one in cell if ord(one) < 128][: self.length]
        return np.array([0] * (self.length - len(ids)) + ids, "int32")

    def file_of(self, cell: str) -> None:
        return None

    def describe(self, array: np.ndarray, cell: str | None = None) -> dict[str, str]:
        return {"": "".join(chr(one) for one in array if one)}

    def text_coverage(self, texts: list[str]) -> str:
        return f"{np.mean([len(one) > self.length for one in texts]):.0%} of the texts are cut off"


@dataclass(frozen=True)
class Level(mg.Target):
    """A level in an order, in any case of letters: a 1 for each level that a row is above."""

    column: str
    class_names: tuple[str, ...] = LEVELS

    activation = "sigmoid"
    cached = False
    kept_by_row = True

    @property
    def units(self) -> int:
        return len(self.class_names) - 1

    @property
    def spec(self) -> mg.ArraySpec:
        return mg.ArraySpec((self.units,), "float32", "label")

    def read(self, cell: str) -> np.ndarray:
        above = self.class_names.index(cell.lower())
        return (np.arange(self.units) < above).astype("float32")

    def class_positions(self, truth: np.ndarray) -> np.ndarray:
        return np.asarray(truth).sum(axis=1).astype("int64")

    @property
    def loss(self):
        import keras

        return keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        said = self.class_positions(outputs > 0.5)
        return {"off_by": float(np.abs(said - self.class_positions(truth)).mean())}

    def decode_outputs(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        outputs = np.asarray(outputs)
        edges = np.concatenate(
            [np.ones((len(outputs), 1)), outputs, np.zeros((len(outputs), 1))], 1
        )
        shares = edges[:, :-1] - edges[:, 1:]
        names = np.array(self.class_names, object)
        return {
            "level": names[self.class_positions(outputs > 0.5)],
            **dict(zip(names, shares.T, strict=True)),
        }


@dataclass(frozen=True)
class Reversed(mg.Target):
    """The ids of a loader the other way about: a target that says something of each token."""

    loader: Letters
    activation = "softmax"

    @property
    def column(self) -> str:
        return self.loader.column

    @property
    def spec(self) -> mg.ArraySpec:
        return mg.ArraySpec(self.loader.spec.shape, "int32", "label")

    units = 128

    def read(self, cell: str) -> np.ndarray:
        ids = self.loader.read(cell)
        ids[ids > 0] = ids[ids > 0][::-1]
        return ids

    def file_of(self, cell: str) -> None:
        return None

    def check_inputs(self, inputs) -> None:
        if self.loader not in inputs.values():
            raise ValueError(f"Reversed needs its loader. Received: inputs {list(inputs)}")

    @property
    def loss(self):
        import keras

        class OfRows(keras.losses.Loss):
            def call(self, y_true, y_pred):
                of_tokens = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
                return keras.ops.mean(of_tokens, axis=-1)

        return OfRows(reduction="mean_with_sample_weight")

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        return {"right": float((outputs.argmax(-1) == truth).mean())}

    def decode_outputs(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return {"text": np.array(["".join(map(chr, one)) for one in outputs.argmax(-1)], object)}


@dataclass(frozen=True)
class Edges(mg.Target):
    """Where a picture changes from left to right."""

    loader: mg.Loader
    activation = None

    @property
    def column(self) -> str:
        return self.loader.column

    @property
    def spec(self) -> mg.ArraySpec:
        return mg.ArraySpec(self.loader.spec.shape, "uint8", "image")

    @property
    def units(self) -> int:
        return int(np.prod(self.spec.shape))

    def read(self, cell) -> np.ndarray:
        return self.loader.read(cell)

    def varies(self, training: bool) -> bool:
        return True

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        array = self.loader.augment(array, rng)
        return np.abs(np.diff(array.astype("int64"), axis=1, append=array[:, -1:])).astype("uint8")

    @property
    def loss(self):
        import keras

        return keras.losses.MeanSquaredError()

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        return {"squared": float(((truth - outputs.reshape(truth.shape)) ** 2).mean())}

    def decode_outputs(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return {"edges": np.array([*map(str, outputs)], object)}


CUSTOM = {one.__name__: one for one in (ByteCounts, Grid, Letters, Level)}


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """24 rows: 16 of "low" in two spellings, 4 of "mid" and 4 of "high", each with a file of its
    own.
    """
    folder = tmp_path / "files"
    folder.mkdir()
    levels = ["low", "Low", "mid"] * 8
    levels[2::6] = ["high"] * 4
    for row, level in enumerate(levels):
        (folder / f"{row}.txt").write_text(level.lower() * 40 + str(row) * 10)
    names = [f"{row}.txt" for row in range(len(levels))]
    notes = [f"a {one.lower()} note on row {row}, it says" for row, one in enumerate(levels)]
    index = [f"row {row}" for row in range(len(levels))]
    return pd.DataFrame({"file": names, "note": notes, "level": levels}, index=index)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, mg.Loader]:
    folder = str(tmp_path / "files")
    return {
        "bytes": ByteCounts("file", folder),
        "grid": Grid("file", folder),
        "note": Letters("note"),
    }


def counts(table: pd.DataFrame) -> Counter:
    return Counter(table["level"].str.lower())


def texts(figure) -> list[str]:
    return [one.get_text() for one in figure.texts]


def bundle_of(inputs: dict[str, mg.Loader], table: pd.DataFrame) -> mg.Bundle:
    one = {"bytes": inputs["bytes"]}
    model = mg.build_fusion_classifier(one, Level("level"))
    return mg.Bundle(model, one, Level("level"))


def test_they_keep_the_contract(inputs, table) -> None:
    for loader in inputs.values():
        mg.check_loader(loader, table[loader.column].head())
    for target in (Level("level"), Reversed(inputs["note"])):
        mg.check_target(target, table[target.column].head())


def test_classes_have_weights_by_their_number_of_rows(inputs, table) -> None:
    data = mg.MultimodalSequence(
        table, inputs, Level("level"), class_weight="balanced", batch_size=24
    )
    rows = counts(table)
    expected = [24 / (3 * rows[one.lower()]) for one in table["level"]]
    np.testing.assert_allclose(data[0][2], expected, rtol=1e-6)
    given = {"low": 1, "mid": 2, "high": 3}
    data = mg.MultimodalSequence(table, inputs, Level("level"), class_weight=given, batch_size=24)
    assert data[0][2].tolist() == [given[one.lower()] for one in table["level"]]


def test_a_class_without_a_row_or_a_row_without_a_class_has_no_weight(inputs, table) -> None:
    def weighted(rows: pd.DataFrame) -> mg.MultimodalSequence:
        return mg.MultimodalSequence(rows, inputs, Level("level"), class_weight="balanced")

    with pytest.raises(
        ValueError, match=r"A class without rows.*Received: no rows of \['high'\] in 'level'"
    ):
        weighted(table[table["level"] != "high"])
    wrong = table.assign(level=table["level"].where(table.index != "row 3", "huge"))
    with pytest.raises(
        mg.LoadError, match=r"index 'row 3', column 'level': the cell holds none of the classes"
    ):
        weighted(wrong)
    with pytest.raises(
        ValueError, match="needs a target with one class per row.*Received: Reversed"
    ):
        mg.MultimodalSequence(table, inputs, Reversed(inputs["note"]), class_weight="balanced")


def test_a_balanced_sampler_goes_by_classes_and_not_by_how_they_are_spelled(inputs, table) -> None:
    data = mg.MultimodalSequence(table, inputs, Level("level"), sampler="balanced", batch_size=24)
    drawn = Level("level").class_positions(data[0][1])
    assert np.bincount(drawn).tolist() == [8, 8, 8]
    state = data.state()
    data.set_state(state)
    with pytest.raises(ValueError, match="needs a single target with one class per row"):
        mg.MultimodalSequence(table, inputs, Reversed(inputs["note"]), sampler="balanced")


def test_a_saved_bundle_predicts_scores_and_finds_its_files_in_another_folder(
    inputs, table, tmp_path
) -> None:
    bundle = bundle_of(inputs, table)
    before = bundle.predict(table)
    assert list(before) == ["level", *LEVELS] and set(before["level"]) <= set(LEVELS)
    assert set(bundle.evaluate(table)) == {"off_by"}
    bundle.save(tmp_path / "bundle")
    os.rename(tmp_path / "files", tmp_path / "moved")
    loaded = mg.load_bundle(
        tmp_path / "bundle", directory=tmp_path / "moved", custom_objects=CUSTOM
    )
    pd.testing.assert_frame_equal(loaded.predict(table), before, rtol=1e-5)
    assert loaded.inputs["bytes"].directory == str(tmp_path / "moved")


def test_a_loader_around_another_one_moves_with_it(tmp_path) -> None:
    moved = Edges(Grid("file", "old")).moved(tmp_path)
    assert moved == Edges(Grid("file", str(tmp_path)))
    note = Letters("note")
    assert note.moved(tmp_path) is note


def test_batches_are_drawn_with_pictures_words_and_classes(inputs, table) -> None:
    data = mg.MultimodalSequence(table, inputs, Level("level"), batch_size=4)
    figure = mg.show_batch(data, rows=1, columns=4)
    said = " ".join(texts(figure))
    assert "low" in said and "mid" not in said.split("note")[0]
    assert "a low note on row 0" in said
    assert "file: 64 numbers from 0 to" in said
    assert len([one for one in figure.axes if one.images]) == 4
    picture = inputs["grid"].draw(inputs["grid"].read("0.txt"))
    assert picture.shape == (8, 8, 3) and picture.dtype == np.uint8 and picture.min() == 0


def test_predictions_are_judged_and_the_worst_drawn_first(inputs, table, tmp_path) -> None:
    data = mg.MultimodalSequence(table, inputs, Level("level")).for_evaluation(table)
    predictions = pd.DataFrame(
        {"level": "low", "low": 0.6, "mid": 0.3, "high": 0.1}, index=table.index
    )
    predictions.loc["row 2", "low"] = 0.9
    right = counts(table)["low"]
    figure = mg.plot_predictions(data, predictions, only_wrong=True, rows=1, columns=2)
    said = texts(figure)
    assert said[0].startswith(f"{right} of 24 rows right") and "✗ said low (90%)" in said[1]
    assert said[2] == "is high"
    with pytest.raises(ValueError, match=r"the columns \['level', 'low', 'mid', 'high'\]"):
        mg.plot_predictions(data, predictions.drop(columns="level"))


@dataclass(frozen=True)
class Length(mg.Target):
    """The length of a text, judged by the share that a prediction is off."""

    column: str
    units = 1
    activation = None
    spec = mg.ArraySpec((1,), "float32", "vector")

    def read(self, cell: str) -> np.ndarray:
        return np.array([len(cell)], "float32")

    @property
    def loss(self):
        import keras

        return keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        return {"squared": float(np.mean((truth - outputs) ** 2))}

    def decode_outputs(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return {"length": np.asarray(outputs)[:, 0]}

    def judge(self, cells: list[str], predictions: pd.DataFrame) -> mg.loaders.Judgement:
        truth, said = np.array([*map(len, cells)]), predictions["length"].to_numpy()
        off = np.abs(said - truth) / truth
        words = [
            [f"said {one}, is {other}", f"off by {by:.0%}"]
            for one, other, by in zip(said, truth, off, strict=True)
        ]
        return mg.loaders.Judgement(None, off, f"off by {off.mean():.0%}", words.__getitem__)


def test_numbers_of_ones_own_are_judged_by_a_rule_of_ones_own(inputs) -> None:
    table = pd.DataFrame({"note": ["ab", "abcd", "abcdefgh"]})
    mg.check_target(Length("note"), table["note"])
    data = mg.MultimodalSequence(table, {"note": inputs["note"]}, Length("note"))
    figure = mg.plot_predictions(
        data, pd.DataFrame({"length": [2, 8, 6]}), only_wrong=True, rows=1, columns=2
    )
    said = texts(figure)
    assert said[0].startswith("off by 42%; 2 of 3 rows, the largest error first")
    assert said[1:4] == ["said 8, is 4", "off by 100%", "abcd"]
    note = inputs["note"]
    data = mg.MultimodalSequence(table, {"note": note}, Reversed(note))
    with pytest.raises(ValueError, match="must have a target that judges predictions.*Reversed"):
        mg.plot_predictions(data, table)


def test_a_run_leaves_the_same_pictures(inputs, table, tmp_path) -> None:
    history = SimpleNamespace(epoch=[0], history={"loss": [1.0], "val_loss": [1.0]}, best_epoch=0)
    bundle = bundle_of(inputs, table)
    write_results(tmp_path / "run", bundle, history, table, bundle.predict(table))
    assert {"wrong.png", "predictions.png", "confusion.png", "predictions.csv"} <= set(
        os.listdir(tmp_path / "run")
    )


@pytest.mark.parametrize(("units", "right"), [(2, True), (3, False)])
def test_outputs_of_another_number_are_refused_before_training(units, right, inputs, table) -> None:
    import keras

    one = {"bytes": inputs["bytes"]}
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(units, "sigmoid")])
    model.compile("sgd", loss="binary_crossentropy")
    data = mg.MultimodalSequence(table, one, Level("level"), inputs_as="array")
    if right:
        model.fit(data, verbose=0)
        mg.Bundle(model, one, Level("level"))
        return
    with pytest.raises(
        ValueError,
        match=r"must have 2 outputs per row, the `units` of the Level on 'level'.*\(3,\)",
    ):
        model.fit(data, verbose=0)
    with pytest.raises(ValueError, match="must have 2 outputs per row"):
        mg.Bundle(model, one, Level("level"))


def test_outputs_that_are_no_probabilities_are_refused(inputs, table) -> None:
    import keras

    one = {"bytes": inputs["bytes"]}
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(2, bias_initializer="ones")])
    bundle = mg.Bundle(model, one, Level("level"), inputs_as="array")
    model.layers[-1].bias.assign([5.0, -5.0])
    with pytest.raises(ValueError, match="A Level needs probabilities"):
        bundle.predict(table)


def test_an_audit_reads_labels_pictures_and_texts(inputs, table, tmp_path) -> None:
    shutil.copy(tmp_path / "files" / "0.txt", tmp_path / "files" / "7.txt")
    (tmp_path / "files" / "5.txt").unlink()
    table.loc["row 1", "level"] = "huge"
    table.loc["row 4", "note"] = "n/a"
    table.loc["row 6", "note"] = "m" * 400
    parts = {"train": table.iloc[:20], "test": table.iloc[20:].assign(level="high")}
    parts["train"] = parts["train"].assign(level=parts["train"]["level"].replace("high", "mid"))
    report = mg.audit(parts, inputs, Level("level"), progress=lambda cells: None)
    found = {
        (kind, index)
        for kind, index in zip(report.problems["kind"], report.problems["index"], strict=True)
    }
    assert {
        ("unseen label", "row 1"),
        ("unseen label", "row 20"),
        ("empty caption", "row 4"),
        ("long caption", "row 6"),
        ("unreadable", "row 5"),
        ("duplicate", "row 7"),
    } <= found, report.problems
    notes = "\n".join(report.notes)
    assert "level: 3 classes of" in notes
    assert "note: 4% of the texts are cut off" in notes
    assert "captions contain the name of their own class" in notes
    report.write_page(tmp_path / "page.html")
    assert "data:image/jpeg" in (tmp_path / "page.html").read_text()


def test_arrays_are_kept_on_disk_until_their_file_changes(inputs, table, tmp_path) -> None:
    def batch() -> np.ndarray:
        data = mg.MultimodalSequence(
            table, {"bytes": inputs["bytes"]}, cache=tmp_path / "cache", batch_size=24
        )
        return data[0][0][0]

    first = batch()
    assert any(one.startswith("ByteCounts-") for one in os.listdir(tmp_path / "cache"))
    np.testing.assert_array_equal(batch(), first)
    (tmp_path / "files" / "0.txt").write_text("quite another text")
    assert (batch() != first).any(axis=1).tolist() == [True] + [False] * 23


def test_texts_of_like_length_stand_side_by_side_and_their_target_is_cut_with_them(
    inputs, table
) -> None:
    table = table.assign(note=["ab" if row % 2 else "abcdefghijklmnop" for row in range(24)])
    note = inputs["note"]
    data = mg.MultimodalSequence(
        table, {"note": note}, Reversed(note), bucket_by_length="note", shuffle=True, batch_size=4
    )
    shapes = {
        (batch[0][0].shape[1], batch[1].shape[1]) for batch in (data[one] for one in range(6))
    }
    assert shapes == {(8, 8), (16, 16)}
    ids, back = data[0][0][0], data[0][1]
    assert [row[row > 0].tolist() for row in ids] == [row[row > 0][::-1].tolist() for row in back]
    assert (ids[:, -1] > 0).all()
    with pytest.raises(ValueError, match="Reversed needs its loader"):
        mg.MultimodalSequence(table, {"note": Letters("note", 12)}, Reversed(note))


def test_a_target_made_of_a_picture_is_moved_as_the_picture_of_another_column(
    picture_table, tmp_path
) -> None:
    flip = mg.augment.RandomFlip("horizontal")
    photo = mg.ImageLoader("image", directory=tmp_path, image_size=(8, 8), augment=[flip])
    table = picture_table.assign(mask=picture_table["image"])
    target = Edges(photo.replace(column="mask"))
    data = mg.MultimodalSequence(table, {"image": photo}, target, batch_size=10, shuffle=True)
    still = Edges(photo.replace(augment=()))
    for epoch in range(2):
        data.epoch = epoch
        images, edges = data[0][0][0], data[0][1]
        for image, edge in zip(images, edges, strict=True):
            np.testing.assert_array_equal(still.augment(image, None), edge)


def blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image // 2


def test_a_mask_of_a_picture_that_a_callable_varies_can_be_audited(picture_table, tmp_path) -> None:
    flip = mg.augment.RandomFlip("horizontal")
    photo = mg.ImageLoader("image", directory=tmp_path, image_size=(8, 8), augment=[flip, blurred])
    mask = mg.ImageLoader("image", directory=tmp_path, augment=[flip], vary_with=photo)
    report = mg.audit(picture_table, {"mask": mask}, progress=lambda cells: None)
    assert "unreadable" not in report.counts


def test_a_class_that_says_two_inputs_belong_together_must_be_among_those_of_the_target() -> None:
    from multimodal_gen.models.matching import position_of

    pair = Level("level", ("apart", "together"))
    with pytest.raises(
        ValueError, match="the target has no `class_names`. Received: positive='near'"
    ):
        position_of("near", mg.InputTarget(mg.ArrayLoader("pair", shape=(1, 1), dtype="uint8")))
    with pytest.raises(
        ValueError, match=r"they are \['apart', 'together'\]. Received: positive='near'"
    ):
        position_of("near", pair)


class Scan(mg.Loader):
    """Reads a file of its folder, and leaves it to `Loader` to find which."""

    spec = mg.ArraySpec((1,), "float32", "vector")

    def __init__(self, column: str, directory: str | None = None) -> None:
        self.column, self.directory = column, directory

    def read(self, cell: Any) -> np.ndarray:
        path = cell if self.directory is None else os.path.join(self.directory, cell)
        with open(path, "rb") as file:
            return np.array([len(file.read())], "float32")


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("cell", ["gone.scan", "sub/gone"])
def test_the_path_of_a_missing_file_is_named_for_a_loader_of_ones_own(
    inside: bool, cell: str, tmp_path: Path
) -> None:
    (tmp_path / "a.scan").write_bytes(b"ab")
    prefix = "" if inside else f"{tmp_path}/"
    table = pd.DataFrame({"scan": [f"{prefix}a.scan", f"{prefix}{cell}"]})
    loader = Scan("scan", str(tmp_path) if inside else None)
    data = mg.MultimodalSequence(
        table, {"scan": loader}, batch_size=2, on_error="blank", max_error_rate=1.0
    )
    data[0]
    assert data.failures["path"].tolist() == [str(tmp_path / cell)]
    with pytest.raises(mg.LoadError) as refused:
        mg.MultimodalSequence(table, {"scan": loader}, batch_size=2)[0]
    assert refused.value.path == str(tmp_path / cell) and refused.value.index == 1


def test_a_text_that_names_no_file_is_no_path() -> None:
    table = pd.DataFrame({"scan": ["a red mug. No file"]})
    with pytest.raises(mg.LoadError) as refused:
        mg.MultimodalSequence(table, {"scan": Scan("scan")}, batch_size=1)[0]
    # The error of the loader names the cell already.
    assert refused.value.path is None and str(refused.value).count("'a red mug. No file'") == 1
