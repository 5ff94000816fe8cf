"""The benchmarks run on a handful of tiny pictures, and every contestant delivers the work that is
compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from benchmarks import cores, fit, gpu, scale, tables, throughput
from benchmarks.models import application_model
from benchmarks.report import Bar, Report, bar_chart, publish, write_section
from benchmarks.work import (
    Contestant,
    PillowRows,
    Source,
    Work,
    check_batch,
    make_photos,
    read_work,
)

pytestmark = pytest.mark.filterwarnings(
    # Of other libraries, with the versions of today.
    "ignore::DeprecationWarning:(?!multimodal_gen|benchmarks)",
)

LIBRARIES = {
    "grain": "grain",
    "torch": "torch",
    "limit": "simplejpeg",
    "limit-scaled": "simplejpeg",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), "uint8")).save(folder / f"{number}.jpg")
        rows.append(
            (
                f"{number}.jpg",
                f"a tiny picture, number {number}",
                "large" if number == 5 else "small",
            )
        )
    pd.DataFrame(rows, columns=["image", "caption", "size"]).to_csv(
        folder / "data.csv", index=False
    )
    return folder


def make_work(photos: Path, scratch: Path, rows: int = 10) -> Work:
    return read_work(
        photos,
        rows=rows,
        size="small",
        image_size=(24, 32),
        batch_size=4,
        threads=2,
        scratch=scratch,
    )


@pytest.mark.parametrize("contestant", throughput.CONTESTANTS, ids=lambda one: one.name)
def test_every_contestant_delivers_every_row_as_specified(
    contestant: Contestant, photos: Path, tmp_path: Path
) -> None:
    if "turbo" in contestant.name:
        pytest.importorskip("simplejpeg")
        pytest.importorskip("cv2")
    elif contestant.name.startswith("tf.data"):
        pytest.importorskip("tensorflow")
    elif contestant.name in LIBRARIES:
        pytest.importorskip(LIBRARIES[contestant.name])
    work = make_work(photos, tmp_path)
    if contestant.name == "torch":
        # Its processes take seconds to start; one shows as much as two.
        work = dataclasses.replace(work, threads=1)
    source = contestant.open(work)
    for _ in range(2):
        batches = list(source.epoch())
        assert len(batches) == 3
        for batch, rows in zip(batches, (4, 4, 2), strict=True):
            check_batch(batch, work, contestant, rows)
        if contestant.delivers == "batches" and contestant.name != "ready":
            labels = np.concatenate([np.asarray(labels) for _, labels in batches])
            assert labels.argmax(axis=1).tolist() == list(range(10))


def test_cores_compares_threads_and_processes(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--images", str(photos), "--rows", "12", "--batch-size", "4", "--rounds", "1"]
    cores.main([*common, "--counts", "1", "2", "--ways", "pillow", "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "cores.json").read_text())["figures"]
    speeds = figures["samples_per_second"]
    assert set(speeds) == {"1", "2"}
    assert set(speeds["2"]) == {"pillow, threads", "pillow, processes"}
    assert all(one > 0 for values in speeds.values() for (one,) in values.values())
    assert figures["parent_microseconds"]["pillow, processes"] > 0
    assert "us of the parent" in capsys.readouterr().out


def test_a_card_is_measured_by_what_fit_takes_of_each_loader(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--images", str(photos), "--rows", "12", "--batch-size", "4", "--rounds", "1"]
    peers = ["--peers", "ready", "pillow", "--parts", "fit", "--count", "2", "--model", "small"]
    gpu.main([*common, *peers, "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "gpu-fit.json").read_text())["figures"]
    assert set(figures["samples_per_second"]) == {"ready", "pillow"}
    assert 0 <= figures["share_of_waiting"]["pillow"][0] <= 1
    assert "to ready" in capsys.readouterr().out


def test_a_function_of_keras_applications_reads_both_inputs(photos: Path, tmp_path: Path) -> None:
    work = dataclasses.replace(make_work(photos, tmp_path), image_size=(32, 32))
    model = application_model(work, "MobileNet")
    assert [one.name for one in model.inputs] == ["image", "caption"]
    assert model.output_shape == (None, work.target.units)


def test_pillow_rows_and_ours_are_the_same_work(photos: Path, tmp_path: Path) -> None:
    work = make_work(photos, tmp_path)
    ours = next(one for one in throughput.CONTESTANTS if one.name == "ours-pillow")
    (images, ids), labels = next(iter(ours.open(work).epoch()))
    rows = PillowRows(work)
    for row in range(4):
        (pixels, own_ids), label = rows[row]
        assert np.array_equal(images[row], pixels)
        assert np.array_equal(ids[row], own_ids)
        assert np.array_equal(labels[row], label)


def test_a_contestant_that_delivers_something_else_is_refused(photos: Path, tmp_path: Path) -> None:
    work = make_work(photos, tmp_path)
    sequence = next(one for one in throughput.CONTESTANTS if one.name == "sequence-1")
    (images, ids), labels = next(iter(sequence.open(work).epoch()))
    floats = ((images.astype("float32"), ids), labels)
    with pytest.raises(
        ValueError, match=r"sequence-1 must deliver .*'uint8'.* Received: .*'float32'"
    ):
        check_batch(floats, work, sequence, 4)
    short = dataclasses.replace(
        sequence, open=lambda work: Source(lambda: [((images, ids), labels)])
    )
    with pytest.raises(
        ValueError, match=r"sequence-1 must deliver 3 batches an epoch. Received: 1"
    ):
        throughput.measure(work, [short], 1, "loader")


def test_a_contestant_whose_library_is_missing_is_left_out_with_the_reason(
    photos: Path, tmp_path: Path
) -> None:
    def open_nothing(work: Work) -> Source:
        import no_such_library  # noqa: F401

        raise AssertionError

    absent = Contestant("absent", open_nothing, "")
    speeds, skipped = throughput.measure(make_work(photos, tmp_path), [absent], 1, "loader")
    assert speeds == {}
    assert skipped == {"absent": "no_such_library is not installed"}


def test_throughput_prints_a_table_and_writes_json_and_a_chart(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["ours-pillow", "sequence", "ready"]
    arguments = ["--images", str(photos), "--size", "small", "--rows", "10", "--rounds", "1"]
    arguments += ["--image-size", "24", "32", "--out", str(tmp_path), "--peers", *names]
    throughput.main(arguments)
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert "small photos to 24x32, batches of 32, 2 threads" in printed
    result = json.loads((tmp_path / "throughput-small.json").read_text("utf-8"))
    speeds = result["figures"]["samples_per_second"]
    assert set(speeds) == set(names)
    assert all(len(turns) == 1 and min(turns) > 0 for turns in speeds.values())
    with Image.open(tmp_path / "throughput-small.png") as chart:
        assert chart.width > 500


def test_throughput_through_fit_measures_those_that_fit_takes(photos: Path, tmp_path: Path) -> None:
    names = ("ours-pillow", "tf.data", "image_data_generator")
    contestants = [one for one in throughput.CONTESTANTS if one.name in names]
    speeds, skipped = throughput.measure(make_work(photos, tmp_path), contestants, 1, "fit")
    without = set() if importlib.util.find_spec("tensorflow") else {"tf.data"}
    assert set(speeds) == {"ours-pillow", "tf.data"} - without
    assert set(skipped) == {"image_data_generator"} | without


def test_an_unknown_size_is_refused_with_the_known_ones(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one of \['large', 'small'\].* Received: size='huge'"):
        read_work(
            photos,
            rows=4,
            size="huge",
            image_size=(8, 8),
            batch_size=2,
            threads=1,
            scratch=tmp_path,
        )


def test_photos_are_made_from_sample_data(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", count=2)
    table = pd.read_csv(tmp_path / "photos" / "data.csv")
    assert list(table.columns) == ["image", "caption"]
    for name in table["image"]:
        with Image.open(tmp_path / "photos" / name) as image:
            assert image.size == (500, 375)


@pytest.mark.slow
def test_fit_times_whole_runs_and_later_epochs(photos: Path, tmp_path: Path) -> None:
    from benchmarks.models import small_model

    run = fit.Run("photos", tmp_path, 10, 3, 1, 2, ("ours-cached", "ready"))
    times, skipped = fit.train_in_turns(make_work(photos, tmp_path), small_model, run)
    assert skipped == {}
    assert set(times) == {"ours-cached", "ready"}
    for one in times.values():
        assert len(one.fits) == 1 and len(one.epochs) == 2
        assert sum(one.epochs) < sum(one.fits)
        assert len(one.waits) == 2 and all(
            wait < epoch for wait, epoch in zip(one.waits, one.epochs, strict=True)
        )
    report = fit.make_report(run, {"tensorflow": (times, skipped)})
    shares = report.figures["share_of_data"]
    assert shares["tensorflow ready"] == 0
    assert all(share < 1 for share in shares.values())


def test_a_step_waits_until_its_batch_is_returned() -> None:
    import keras

    from benchmarks.models import EpochClock, WaitClock

    class Slow(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            time.sleep(self.seconds)
            return np.zeros((2, 3), "float32"), np.zeros((2, 1), "float32")

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    waits = []
    for Slow.seconds in (0.0, 0.05):
        data = Slow()
        waiting, clock = WaitClock(data), EpochClock()
        model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[waiting, clock])
        waits.append(waiting.seconds[1])
        assert waits[-1] <= clock.seconds[1]
        assert isinstance(data, Slow) and len(waiting.seconds) == 2
    assert waits[0] + 0.5 < waits[1]


def test_the_share_of_data_is_what_a_ready_batch_saves() -> None:
    times = {"ready": fit.Times([9.0], [2.0], [0.0]), "sequence": fit.Times([20.0], [8.0], [2.0])}
    report = fit.make_report(fit.Run("photos", Path(), 16, 2, 1, 2, ()), {"jax": (times, {})})
    assert report.figures["share_of_data"] == {"jax ready": 0.0, "jax sequence": 0.75}
    assert report.figures["share_of_waiting"] == {"jax ready": 0.0, "jax sequence": 0.25}
    assert list(report.rows[1]) == [
        "sequence",
        "jax",
        "20.0 s",
        "1.00",
        "8.00 s",
        "1.00",
        "2",
        "75%",
        "25.0%",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory from /proc")
@pytest.mark.parametrize("source", ["parquet", "csv", "memory"])
def test_scale_measures_seconds_memory_and_throughput(source: str) -> None:
    figures = scale.measure(2000, 1000, source, 0, batches=2, rounds=3)
    assert {limit.figure for limit in scale.LIMITS} < set(figures)
    assert 0 < figures["construction"] < 5 and 0 < figures["first_batch"] < 2
    # In MB; Linux brings its counts of a process's pages up to date now and then.
    assert figures["peak_growth"] >= figures["settled_growth"] - 1
    speeds, others = figures["throughput"], figures["reference_throughput"]
    falls = sorted(100 * (1 - speed / other) for speed, other in zip(speeds, others, strict=True))
    assert len(falls) == 3 and figures["throughput_fall"] == falls[1]


def test_scale_names_what_is_over_a_limit() -> None:
    within = {limit.figure: 0.0 for limit in scale.LIMITS}
    good = {**within, "table": 1.0, "throughput": [100.0], "throughput_fall_error": 0.5}
    assert scale.make_report({10: good}, "csv", 0, 3).notes[0] == "All within the limits."
    bad = {**good, "first_batch": 2.5}
    assert (
        scale.make_report({10: good, 1000: bad}, "csv", 0, 3).notes[0]
        == "Over a limit: first batch at 1,000 rows."
    )


def test_a_section_of_a_markdown_file_is_added_once_and_then_replaced(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("# Page\n\nText.\n", "utf-8")
    (tmp_path / "charts").mkdir()
    arguments = argparse.Namespace(out=None, markdown=file, charts=tmp_path / "charts")
    for value in ("1", "2"):
        report = Report("speed", "How fast", ["name", "value"], [["ours", value]], ["A note."], {})
        publish(
            report, arguments, bar_chart([Bar("ours", 1, "panel", ours=True)], "How fast", "of one")
        )
    write_section(Report("other", "Other", ["name"], [], [], {}), file, None)
    text = file.read_text("utf-8")
    assert text.startswith("# Page\n\nText.\n\n<!-- begin speed -->\n### How fast\n")
    assert text.count("### How fast") == text.count("### Other") == 1
    assert "| ours | 2 |" in text and "| ours | 1 |" not in text
    assert "![How fast](charts/speed.png)" in text and (tmp_path / "charts" / "speed.png").exists()


def test_a_chart_has_a_bar_for_each_value_and_a_scale_for_each_panel() -> None:
    bars = [
        Bar("a", 10, "cold"),
        Bar("b", 20, "cold", ours=True),
        Bar("c", 5000, "warm", limit=True),
    ]
    figure = bar_chart(bars, "Title", "subtitle")
    cold, warm = figure.axes
    assert [patch.get_width() for patch in cold.patches] == [10, 20]
    assert [patch.get_width() for patch in warm.patches] == [5000]
    assert [text.get_text() for text in cold.texts] == ["10", "a", "20", "b"]


def test_the_benchmark_of_tables_reads_the_same_rows_of_every_format(tmp_path: Path) -> None:
    tables.write_tables(tmp_path, 50)
    read = [mg.read_table(tmp_path / name) for name in tables.FILES]
    assert all(one["image"].tolist() == read[0]["image"].tolist() for one in read)
    assert '"for"' in "".join(read[1]["caption"]) and '5"' in "".join(read[2]["caption"])
    seconds, megabytes, rows = tables.read_once(
        Path(tables.__file__).parent.parent, tmp_path / "rows.jsonl"
    )
    assert seconds > 0 and megabytes >= 0 and rows == 50
