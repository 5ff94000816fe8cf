"""Rows that cannot be loaded: raised, skipped or blank, listed, and left out the next time."""

from __future__ import annotations

import pickle
import threading
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.batch import pending as batch
from multimodal_gen.batch.failures import FailureLog
from multimodal_gen.loaders.base import ArraySpec, Loader

BAD = (3, 4, 11)


class NumberLoader(Loader):
    """Numbers; "bad" ones are broken, and so are those that are said to be."""

    spec = ArraySpec((2,), "float32", "vector")

    def __init__(self, column: str) -> None:
        self.column = column

    def read(self, cell):
        if cell == "bad":
            raise OSError("no such number")
        return np.full(2, float(cell) + 1, "float32")


class SlowLoader(NumberLoader):
    """As `NumberLoader`, but "stuck" cells hang until they are let go."""

    let_go = threading.Event()

    def read(self, cell):
        if cell == "stuck":
            self.let_go.wait(100)
            return np.full(2, 77, "float32")
        return super().read(cell)


@pytest.fixture
def table():
    cells = ["bad" if row in BAD else str(row) for row in range(16)]
    return pd.DataFrame(
        {"a": cells, "b": [str(row) for row in range(16)], "y": np.arange(16) % 2},
        [f"r{row}" for row in range(16)],
    )


def make(table, **arguments):
    inputs = {"a": NumberLoader("a"), "b": NumberLoader("b")}
    target = mg.ClassLabel.from_values("y", [0, 1])
    return mg.MultimodalSequence(
        table, inputs, target, **{"batch_size": 4, "max_error_rate": 0.5, **arguments}
    )


def test_by_default_a_bad_cell_stops_with_its_place(table):
    with pytest.raises(mg.LoadError, match=r"index 'r3', column 'a'.*no such number"):
        make(table)[0]


def test_skip_leaves_bad_rows_out_and_keeps_the_order_of_the_others(table):
    sequence = make(table, on_error="skip")
    batches = list(sequence)
    assert [len(weights) for _, _, weights in batches] == [3, 3, 3, 4]
    rows = np.concatenate([inputs[1][:, 0] for inputs, _, _ in batches]) - 1
    assert rows.tolist() == [row for row in range(16) if row not in BAD]
    assert all((weights == 1).all() for _, _, weights in batches)


def test_blank_keeps_shapes_and_gives_bad_rows_no_weight(table):
    batches = list(make(table, on_error="blank"))
    a, b = (np.concatenate([inputs[place][:, 0] for inputs, _, _ in batches]) for place in (0, 1))
    weights = np.concatenate([weights for _, _, weights in batches])
    assert a.tolist() == [0 if row in BAD else row + 1 for row in range(16)]
    assert b.tolist() == [row + 1 for row in range(16)]
    assert weights.tolist() == [0 if row in BAD else 1 for row in range(16)]


@pytest.mark.parametrize("policy", ["skip", "blank"])
def test_failures_list_each_bad_cell_once_with_the_epoch_it_was_met_in(table, policy):
    sequence = make(table, on_error=policy, shuffle=True)
    for epoch in (2, 3):
        sequence.epoch = epoch
        list(sequence)
    failures = sequence.failures
    assert list(failures.columns) == ["index", "column", "path", "error", "epoch"]
    assert failures["index"].tolist() == ["r3", "r4", "r11"]
    assert set(failures["column"]) == {"a"} and set(failures["epoch"]) == {2}
    assert failures["error"].str.contains("no such number").all()


def test_a_batch_without_a_good_row_is_one_blank_row_of_no_weight(table):
    ((a, b), labels, weights) = make(table.iloc[3:5], on_error="skip", max_error_rate=1.0)[0]
    assert a.tolist() == [[0, 0]] and weights.tolist() == [0] and len(b) == len(labels) == 1


def test_a_bad_label_and_a_missing_cell_count_as_bad_too(table):
    table = table.astype({"y": object})
    table.loc["r0", "y"], table.loc["r1", "b"] = 7, None
    sequence = make(table, on_error="skip")
    list(sequence)
    assert sequence.failures["index"].tolist() == ["r0", "r1", "r3", "r4", "r11"]
    assert sequence.failures["column"].tolist()[:2] == ["y", "b"]


def test_more_bad_rows_than_allowed_stop_the_run_and_the_error_says_how_to_go_on(table):
    sequence = make(table, on_error="skip", max_error_rate=0.15)
    with pytest.raises(
        mg.TableError, match=r"3 rows cannot be loaded.*0.15 of the 16 rows.*leave_out.*index 'r3'"
    ):
        list(sequence)


def test_rows_far_on_do_not_count_before_they_are_read():
    log = FailureLog(1_000_000, 0.1)
    for position in range(1000):
        log.add(position, mg.LoadError("bad", index=position, column="a"), 0)
    with pytest.raises(mg.TableError, match="1,001 rows"):
        log.add(1000, mg.LoadError("bad", index=1000, column="a"), 0)
    log.count(500_000)
    log.add(1001, mg.LoadError("bad", index=1001, column="a"), 0)


def test_operations_on_batches_see_good_rows_only(table):
    seen = []

    def double(batch, rng):
        seen.append(len(batch.target))
        return mg.augment.Batch(
            {**batch.inputs, "b": batch.inputs["b"] * 2},
            batch.target,
            batch.sample_weight,
            batch.specs,
        )

    batches = list(make(table, on_error="blank", batch_augment=[double]))
    assert sorted(seen) == [3, 3, 3, 4]
    b = np.concatenate([inputs[1][:, 0] for inputs, _, _ in batches])
    assert b.tolist() == [(row + 1) * (1 if row in BAD else 2) for row in range(16)]


def test_operations_on_samples_are_spared_bad_rows(table):
    def refuse_zero(sample, rng):
        assert sample.inputs["a"].any()
        return sample

    table.loc["r0", "a"] = None
    sequence = make(table, on_error="blank", sample_augment=[refuse_zero])
    assert len(list(sequence)) == 4 and len(sequence.failures) == 4


def test_an_operation_that_fails_is_an_error_all_the_same(table):
    def broken(batch, rng):
        raise RuntimeError("oops")

    with pytest.raises(mg.LoaderError, match="oops"):
        make(table, on_error="skip", batch_augment=[broken])[3]


@pytest.mark.parametrize("policy", ["skip", "blank"])
def test_fit_takes_rows_that_are_lost(table, policy):
    sequence = make(table, on_error=policy, shuffle=True)
    model = mg.build_fusion_classifier(sequence.inputs, sequence.target)
    model.compile("adam", loss=sequence.target.loss, metrics=["accuracy"])
    history = model.fit(
        sequence, validation_data=sequence.for_evaluation(), epochs=2, shuffle=False, verbose=0
    )
    assert (
        np.isfinite(history.history["loss"]).all()
        and np.isfinite(history.history["val_loss"]).all()
    )
    assert len(sequence.failures) == 3


def test_blank_rows_do_not_change_what_a_model_learns(table):
    import keras

    def weights(data):
        keras.utils.set_random_seed(0)
        # Without dropout, which draws by the shape of a batch.
        numbers = [keras.Input((2,)), keras.Input((2,))]
        model = keras.Model(
            numbers, keras.layers.Dense(2, "softmax")(keras.layers.Concatenate()(numbers))
        )
        model.compile("sgd", loss=data.target.loss)
        model.fit(data, epochs=3, shuffle=False, verbose=0)
        return model.get_weights()

    blank = weights(make(table, on_error="blank", batch_size=16))
    skip = weights(make(table, on_error="skip", batch_size=16))
    for one, other in zip(blank, skip, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_leave_out_takes_the_list_or_its_file(table, tmp_path):
    sequence = make(table, on_error="skip")
    list(sequence)
    sequence.failures.to_csv(tmp_path / "failures.csv", index=False)
    for known in (sequence.failures, tmp_path / "failures.csv"):
        good = mg.leave_out(table, known)
        assert len(good) == 13 and len(list(make(good))) == 4
    numbered = table.reset_index(drop=True)
    pd.DataFrame({"index": [3, 4]}).to_csv(tmp_path / "numbers.csv", index=False)
    assert mg.leave_out(numbered, tmp_path / "numbers.csv").index.tolist() == [
        0,
        1,
        2,
        *range(5, 16),
    ]


def test_leave_out_refuses_a_list_of_another_table(table):
    with pytest.raises(mg.TableError, match=r"another table: 1 of their 2 labels.*'zz'"):
        mg.leave_out(table, pd.DataFrame({"index": ["r1", "zz"]}))
    with pytest.raises(mg.TableError, match="must be unique"):
        mg.leave_out(pd.concat([table, table]), pd.DataFrame({"index": ["r1"]}))
    with pytest.raises(mg.TableError, match="must have a column 'index'"):
        mg.leave_out(table, pd.DataFrame({"row": ["r1"]}))


def test_leave_out_knows_dates_again(table, tmp_path):
    dated = table.set_axis(pd.date_range("2026-01-01", periods=16), axis=0)
    data = make(dated, on_error="skip")
    list(data)
    data.failures.to_csv(tmp_path / "failures.csv", index=False)
    for failures in (data.failures, tmp_path / "failures.csv"):
        assert mg.leave_out(dated, failures).index.equals(dated.index.delete(list(BAD)))


def test_leave_out_refuses_the_problems_of_an_audit(table):
    problems = pd.DataFrame(
        {"index": ["r1"], "column": ["a"], "kind": ["near duplicate"], "message": ["like r2"]}
    )
    with pytest.raises(mg.TableError, match=r"Use `report.clean\(table\)`"):
        mg.leave_out(table, problems)


def test_arguments_that_mean_nothing_are_refused(table):
    with pytest.raises(ValueError, match="on_error='ignore'"):
        make(table, on_error="ignore")
    with pytest.raises(ValueError, match="max_error_rate=0"):
        make(table, max_error_rate=0)
    with pytest.raises(ValueError, match="read_timeout=-1"):
        make(table, read_timeout=-1)
    with pytest.raises(ValueError, match="would drop rows"):
        mg.MultimodalSequence(table, {"a": NumberLoader("a")}, on_error="skip")
    with pytest.raises(ValueError, match="batches must have the same size"):
        make(table, on_error="skip").shard(0, 2)


def test_predictions_of_a_skipping_sequence_come_with_a_warning(table):
    sequence = make(table, on_error="skip")
    model = mg.build_fusion_classifier(sequence.inputs, sequence.target)
    with pytest.warns(UserWarning, match="rows that cannot be loaded have no predictions"):
        assert len(model.predict(sequence, verbose=0)) == 13


def test_a_bundle_marks_bad_rows_and_predicts_all_others(table):
    data = make(table, on_error="blank")
    model = mg.build_fusion_classifier(data.inputs, data.target)
    bundle = mg.Bundle(model, data.inputs, data.target)
    with pytest.warns(
        UserWarning, match=r"3 of 16 rows cannot be loaded .* the column 'error'.*'r3'"
    ):
        predictions = bundle.predict(table)
    assert predictions.index.equals(table.index)
    bad = predictions["error"].notna()
    assert bad[bad].index.tolist() == ["r3", "r4", "r11"]
    assert predictions.loc[bad, "label"].isna().all() and predictions.loc[~bad].drop(
        columns="error"
    ).notna().all(axis=None)
    assert "column 'a'" in predictions.loc["r3", "error"]
    good = bundle.predict(table[~bad.to_numpy()])
    assert "error" not in good
    pd.testing.assert_frame_equal(
        predictions.loc[~bad, good.columns], good, check_dtype=False, atol=1e-6
    )
    with pytest.raises(mg.LoadError, match="index 'r3'"):
        bundle.predict(table.iloc[3:5])


def test_a_bundle_scores_the_rows_that_can_be_loaded_where_told_so(table):
    data = make(table, on_error="blank")
    model = mg.build_fusion_classifier(data.inputs, data.target)
    bundle = mg.Bundle(model, data.inputs, data.target)
    wrong = table.assign(y=[7 if row == 9 else y for row, y in enumerate(table["y"])])
    with pytest.raises(mg.LoadError, match="'r9', column 'y'"):
        bundle.evaluate(wrong)
    good = wrong.drop(index=["r3", "r4", "r9", "r11"])
    assert bundle.evaluate(wrong, on_error="skip") == pytest.approx(
        bundle.evaluate(good) | {"left_out": 4}
    )
    with pytest.raises(mg.LoadError, match="'r3', column 'a'"):
        bundle.evaluate(wrong.loc[["r3", "r4"]], on_error="skip")
    with pytest.raises(ValueError, match="Received: on_error='blank'"):
        bundle.evaluate(wrong, on_error="blank")
    two = {"one": data.target, "two": mg.NumericTarget("y")}
    model = mg.build_fusion_classifier(data.inputs, two)
    scores = mg.Bundle(model, data.inputs, two).evaluate(table, on_error="skip")
    assert scores["left_out"] == 3 and {"one.accuracy", "left_out"} < set(scores)


def test_pictures_and_captions_that_are_missing_are_blank_and_masked(tmp_path):
    Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "red.png")
    table = pd.DataFrame(
        {
            "image": ["red.png", None, "red.png"] * 2,
            "caption": ["a red one", "none", float("nan")] * 2,
        }
    )
    inputs = {
        "image": mg.ImageLoader("image", directory=tmp_path, image_size=(4, 4), missing="blank"),
        "caption": mg.TextLoader.from_texts(
            "caption", ["a red one", "none"], sequence_length=4, missing="blank"
        ),
    }
    for cache in (None, tmp_path / "cache"):
        sequence = mg.MultimodalSequence(table, inputs, batch_size=6, inputs_as="dict", cache=cache)
        for _ in range(15):
            (batch,) = sequence[0]
            assert (
                list(batch)
                == ["image", "caption", "image_present", "caption_present"]
                == list(sequence.specs)
            )
            assert (
                batch["image_present"].tolist() == [[1], [0], [1]] * 2
                and batch["image_present"].dtype == "float32"
            )
            assert batch["caption_present"].tolist() == [[1], [1], [0]] * 2
            assert not batch["image"][1].any() and (batch["image"][0, 0, 0] == [200, 10, 10]).all()
            assert (batch["image"][0] == batch["image"][5]).all()
            assert (
                not batch["caption"][2].any()
                and batch["caption"][0].any()
                and batch["caption"][1].any()
            )
    assert not len(sequence.failures)
    assert "with image_present where it may be missing" in repr(sequence)


def test_the_name_of_a_mask_must_be_free():
    inputs = {name: mg.ImageLoader("image", missing="blank") for name in ("image", "image_present")}
    with pytest.raises(ValueError, match="rename the other"):
        mg.MultimodalSequence(pd.DataFrame({"image": ["x"]}), inputs)


@pytest.fixture
def stuck(table):
    SlowLoader.let_go.clear()
    table["a"] = [str(row) for row in range(16)]
    table.loc["r6", "a"] = "stuck"
    yield table
    SlowLoader.let_go.set()


def slow(table, **arguments):
    target = mg.ClassLabel.from_values("y", [0, 1])
    return mg.MultimodalSequence(
        table, {"a": SlowLoader("a")}, target, batch_size=4, read_timeout=1.5, **arguments
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_a_read_that_hangs_is_an_error_of_its_row(stuck, threads):
    started = time.monotonic()
    with pytest.raises(
        mg.LoadError, match=r"index 'r6', column 'a'.*longer than 1.5 seconds.*'stuck'"
    ):
        list(slow(stuck, threads=threads))
    assert time.monotonic() - started < 50


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_that_hangs_can_be_left_out_and_all_others_come(stuck, threads):
    sequence = slow(stuck, threads=threads, on_error="skip")
    rows = np.concatenate([inputs[0][:, 0] for inputs, _, _ in sequence]) - 1
    assert rows.tolist() == [row for row in range(16) if row != 6]
    assert sequence.failures["index"].tolist() == ["r6"]


def test_who_waits_for_long_is_told_for_what(stuck, monkeypatch):
    monkeypatch.setattr(batch, "LONG", 0.2)
    timer = threading.Timer(1.5, SlowLoader.let_go.set)
    timer.start()
    target = mg.ClassLabel.from_values("y", [0, 1])
    data = mg.MultimodalSequence(stuck, {"a": SlowLoader("a")}, target, batch_size=4, threads=2)
    with pytest.warns(
        UserWarning,
        match=r"No batch after 0.2 seconds; index 'r6', column 'a', 'stuck' is being read",
    ):
        _, labels = data[1]
    timer.join()
    assert len(labels) == 4


def test_what_a_late_thread_reads_goes_nowhere(stuck):
    sequence = slow(stuck, threads=1, on_error="blank")
    (a,), _, weights = sequence[1]
    SlowLoader.let_go.set()
    time.sleep(1)
    assert a[2].tolist() == [0, 0] and weights.tolist() == [1, 1, 0, 1]


def test_threads_end_when_there_is_nothing_to_do(table):
    list(make(table, on_error="skip", threads=3))
    deadline = time.monotonic() + 60
    while any(
        thread.name == "multimodal_gen" and thread.is_alive() for thread in threading.enumerate()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_sequence_with_failures_can_be_pickled(table):
    sequence = make(table, on_error="skip")
    list(sequence)
    assert pickle.loads(pickle.dumps(sequence)).failures.equals(sequence.failures)


def test_failures_survive_json(table):
    sequence = make(table, on_error="skip")
    list(sequence)
    other = FailureLog(16, 0.5)
    other.restore(sequence.assembly.failures.to_json(), table.index)
    assert other.frame().equals(sequence.failures) and len(other) == 3


def test_a_cell_without_a_file_has_the_path_none_beside_one_that_has() -> None:
    log = FailureLog(10, 1.0)
    log.add(1, mg.LoadError("it is empty", index=1, column="caption"), 0)
    log.add(2, mg.LoadError("there is no such file", index=2, column="image", path="a.jpg"), 0)
    assert log.frame()["path"].tolist() == [None, "a.jpg"]
    joined = pd.concat([log.frame(), FailureLog(10, 1.0).frame()])
    assert joined["path"].tolist() == [None, "a.jpg"]
