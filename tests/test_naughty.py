"""Strings that break naive code, as captions, labels, names of files and of columns: trained on,
kept, predicted.
"""

import os
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app

STRINGS = [
    *(
        "undefined",
        "NULL",
        "None",
        "nan",
        "NaN",
        "-0",
        "1E+02",
        "1,000.00",
        "0x0",
        "Infinity",
        "true",
        "\\",
        "--help",
    ),
    *(
        "'; DROP TABLE x; --",
        "<script>alert(1)</script>",
        "$(touch x)",
        "`id`",
        "%s%s%n",
        "{0}",
        "../../etc/passwd",
    ),
    *(
        "tab\there",
        "line\nbreak",
        "carriage\rreturn",
        ' leading and "quotes" ',
        "a,b;c|d",
        "null\0byte",
        "\x1b[31mred",
    ),
    *(
        "Ω≈ç√∫",
        "社會科學院",
        "﷽",
        "👩‍👩‍👧‍👦 🇺🇸",
        "Z̮̞̠͙ͥ",
        "\u202eback",
        "\u200b",
        "\ufeffbom",
        "ⁿuⅿbers",
        "café",
        "café",
        "x" * 3000,
    ),
    *(
        "label",
        "row",
        "image",
        "caption",
        "class_name",
        "config",
        "https://example.com/a.png",
        "file:///etc/passwd",
    ),
]


@pytest.fixture(params=["few", "all"])
def strings(request: pytest.FixtureRequest) -> list[str]:
    """Strings that differ, none of them empty."""
    if request.param == "few":
        return list(dict.fromkeys(STRINGS))
    text = (request.getfixturevalue("real_data") / "naughty_strings.txt").read_text("utf-8")
    return list(dict.fromkeys(line for line in text.split("\n") if line.strip()))


def file_name(text: str) -> str | None:
    """A name that the file system takes, with the string in it; None where it takes none."""
    name = text.replace("/", "∕")
    return None if "\0" in text or len(os.fsencode(name)) > 200 else f"{name}.png"


@pytest.fixture
def table(strings: list[str], tmp_path: Path) -> pd.DataFrame:
    """A row for each string, which is its caption, its class, and the name of its picture where
    there can be one.
    """
    rows = []
    for row, text in enumerate(strings):
        name = file_name(text) or f"{row}.png"
        Image.new("RGB", (8, 8), (row % 256, row // 256, 7)).save(tmp_path / name, "PNG")
        rows.append((name, text, text))
    return pd.DataFrame(
        rows,
        columns=["../<b>image\"'", "caption\n\t\0", "-- Ω label"],
        index=[f"#{one}" for one in strings],
    )


@pytest.mark.slow
def test_naughty_strings_go_through_training_saving_and_prediction_whole(
    table: pd.DataFrame, strings: list[str], tmp_path: Path
) -> None:
    image, caption, label = table.columns
    inputs = {
        "image": mg.ImageLoader(image, directory=tmp_path, image_size=(8, 8)),
        "caption": mg.TextLoader.from_texts(caption, table[caption]),
        "words": mg.TextLoader.from_texts(caption, table[caption], output_mode="ngrams"),
    }
    with (
        pytest.warns(mg.LabelWarning, match="like a column of ids"),
        pytest.warns(mg.LabelWarning, match="look like one: .*they differ only in"),
    ):
        target = mg.ClassLabel.from_values(label, table[label].tolist())
    assert sorted(target.class_names) == sorted(strings)
    data = mg.MultimodalSequence(
        table, inputs, target, batch_size=64, shuffle=True, cache=str(tmp_path / "cache")
    )
    keras.utils.set_random_seed(0)
    model = mg.build_fusion_classifier(inputs, target)
    model.compile("adam", loss=target.loss)
    model.fit(data, epochs=1, shuffle=False, verbose=0)

    bundle = mg.Bundle(model, inputs, target)
    bundle.save(tmp_path / "bundle")
    again = mg.load_bundle(tmp_path / "bundle")
    assert again.target == target and again.inputs == inputs
    before, after = bundle.predict(table), again.predict(table)
    assert list(after.index) == list(table.index)
    assert set(after.iloc[:, 0]) <= set(strings)
    pd.testing.assert_frame_equal(before, after)
    assert len(after.columns) == 1 + len(strings)
    assert np.isfinite(after.iloc[:, 1:].to_numpy("float64")).all()
    assert set(again.evaluate(table)) == set(bundle.evaluate(table))
    for row, text in enumerate(strings):
        assert (
            again.inputs["image"].read(table[image].iloc[row])[0, 0] == (row % 256, row // 256, 7)
        ).all(), text


def test_each_naughty_file_that_is_missing_is_one_error_with_its_name(
    strings: list[str], tmp_path: Path
) -> None:
    loader = mg.ImageLoader("x", directory=tmp_path)
    for text in strings:
        with pytest.raises(mg.LoadError) as caught:
            loader.read(f"{text}.png")
        assert caught.value.path is not None and caught.value.path.endswith(f"{text}.png")


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result.stdout


# Each row is there six times, in all parts.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::multimodal_gen.rows.leakage.LeakageWarning")
@pytest.mark.parametrize("strings", ["few"], indirect=True)
def test_naughty_strings_go_through_the_command_line_whole(
    table: pd.DataFrame, strings: list[str], tmp_path: Path
) -> None:
    # Names that an argument of a program can have.
    table.columns = ["../<b>image\"'", "caption\n\t", "-- Ω label"]
    image, caption, label = table.columns
    table = pd.concat([table] * 6, ignore_index=True)
    table["split"] = np.repeat(["train", "train", "train", "train", "dev", "test"], len(strings))
    path = tmp_path / "shop.parquet"
    table.to_parquet(path)
    table.to_json(tmp_path / "shop.jsonl", orient="records", lines=True)
    pd.testing.assert_frame_equal(mg.read_table(tmp_path / "shop.jsonl"), mg.read_table(path))
    columns = (f"--image={image}", f"--caption={caption}", f"--label={label}")
    call(
        "train",
        path,
        *columns,
        "--split=split",
        "--image-size=8x8",
        "--epochs=1",
        f"--runs={tmp_path / 'runs'}",
    )
    run = tmp_path / "runs" / "shop"
    assert sorted(mg.load_bundle(run).target.class_names) == sorted(strings)
    call("predict", run, path, "--out", tmp_path / "out.parquet")
    written = pd.read_parquet(tmp_path / "out.parquet")
    assert len(written) == len(table)
    test_rows = pd.read_csv(
        run / "predictions.csv", dtype=str, keep_default_na=False, lineterminator="\n"
    )
    assert len(test_rows) == len(strings)
