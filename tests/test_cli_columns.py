"""The command line without named inputs: it takes each column for what it holds, and says so."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.cli.data import make_loaders, named_inputs
from multimodal_gen.cli.inference import gaps_as, with_inputs
from multimodal_gen.cli.parts import Parts
from multimodal_gen.cli.settings import DataSettings, RunSettings
from tests.cli_settings import settings as by_default

ROWS = 120


class Told:
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def make_shop(folder: Path) -> pd.DataFrame:
    """Two pictures a row, a text, a brand, a price and a date with gaps, and what is no input."""
    rng, rows = np.random.default_rng(0), range(ROWS)
    for row in rows:
        shade = 200 * (row % 2)
        picture = Image.new("RGB", (8, 8), (shade, row, 255 - shade))
        picture.save(folder / f"{row}.png")
        picture.rotate(90).save(folder / f"{row}-back.png")
    kinds = np.array(["bag", "mug"])[np.arange(ROWS) % 2]
    return pd.DataFrame(
        {
            "photo": [f"{row}.png" for row in rows],
            "back side": [f"{row}-back.png" for row in rows],
            "title": [
                f"a fine {'red' if row % 3 else 'blue'} thing no {row}" for row in range(ROWS)
            ],
            "brand": [
                None if row % 3 == 0 else f"b{int(rng.zipf(1.5)) % 9}" for row in range(ROWS)
            ],
            "price": [None if row % 9 == 0 else f"{rng.random() * 90:.2f}" for row in range(ROWS)],
            "listed": [f"{1 + row % 28:02}/{1 + row % 12:02}/2024" for row in range(ROWS)],
            "sku": [f"S-{row:04}" for row in range(ROWS)],
            "code": np.where(kinds == "bag", 17, 4),
            "currency": "EUR",
            "category": kinds,
        }
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    make_shop(tmp_path).to_csv(path, index=False)
    return path


def settings(table: Path, **more: object) -> DataSettings:
    return by_default(**{"table": str(table), "label": ("category",), "augment": "none", **more})


def test_each_column_is_taken_for_what_it_holds_and_the_options_for_it_are_printed(
    shop: Path,
) -> None:
    table, told = mg.read_table(shop), Told()
    found = with_inputs(settings(shop), table[:80], table, told)
    assert (found.image, found.caption) == (("photo", "back side"), ("title",))
    assert (found.number, found.category, found.date) == (("price",), ("brand",), ("listed",))
    assert found.gaps == ("price", "brand")
    for line in (
        r"photo      image: 80 paths of pictures, such as '0.png'",
        r"brand      category: \d different values in 53 rows, most often 'b1' .*; 27 missing",
        r"price      number: .*; 9 missing",
        r"listed     date: .*, day first",
        r"sku        id: ",
        r"code       gives the label away: number; ",
        r"currency   constant: 'EUR' in all 80 rows",
        r"category   label: ",
        r"name the inputs: --image photo --image 'back side' --caption title --number price "
        r"--category brand --date listed --number-missing flag$",
    ):
        pd.testing.assert_series_equal(
            pd.Series(told.text).str.contains(line, regex=True), pd.Series([True]), obj=line
        )


def test_missing_cells_of_inputs_that_were_found_are_told_as_the_options_for_them(
    shop: Path,
) -> None:
    table = mg.read_table(shop)
    table.loc[5, "title"] = None
    told = Told()
    found = with_inputs(settings(shop), table[:80], table, told)
    assert told.lines[-1].endswith(" --missing blank --number-missing flag")
    own = gaps_as(asdict(found))
    assert own == {"missing": "blank", "number_missing": "flag"}
    # Whoever names them so has such loaders.
    named = named_inputs(replace(found, gaps=None, **own), table[:80])
    assert (named["caption"].missing, named["number"].missing) == ("blank", "flag")
    # What an option says counts, and so does that named inputs have no such thing.
    given = replace(found, missing="blank", number_missing="mean")
    assert gaps_as(asdict(given)) == {"missing": "blank", "number_missing": "mean"}
    assert gaps_as(asdict(replace(found, gaps=None))) == {
        "missing": "error",
        "number_missing": "error",
    }


def test_named_inputs_win_and_nothing_is_said(shop: Path) -> None:
    told, given = Told(), settings(shop, caption=("title",))
    table = mg.read_table(shop)
    assert with_inputs(given, table, table, told) is given
    assert told.lines == []


def test_what_is_found_in_the_sample_are_the_inputs_that_options_would_name(
    sample_data: Path,
) -> None:
    table = mg.read_table(sample_data / "catalog.csv")
    parts = Parts(*mg.split_table(table, (0.7, 0.1, 0.2), stratify="label"))
    plain = settings(sample_data / "catalog.csv", label=("label",), augment="default")
    found = with_inputs(plain, parts.train, table, Told())
    named = settings(
        plain.table, label=("label",), augment="default", image=("image",), caption=("caption",)
    )
    assert make_loaders(found, parts, Told())[0] == make_loaders(named, parts, Told())[0]


def test_options_name_categories_and_dates_too(shop: Path) -> None:
    table = mg.read_table(shop)
    parts = Parts(table[:80], table[80:100], table[100:])
    named = settings(
        shop,
        category=("brand",),
        date=("listed",),
        number=("price",),
        number_missing="flag",
        date_format="month first",
    )
    # The 13th month is none, so such rows are for the reading of all cells to find.
    (listed,) = [
        loader for name, loader in make_loaders(named, parts, Told())[0].items() if name == "listed"
    ]
    with pytest.raises(mg.LoadError, match="There is no such date: month must be in"):
        listed.read("31/12/2023")
    inputs, _ = make_loaders(
        settings(
            shop, category=("brand",), date=("listed",), number=("price",), number_missing="flag"
        ),
        parts,
        Told(),
    )
    assert list(inputs) == ["number", "brand", "listed"]
    assert (inputs["number"].missing, inputs["listed"].missing) == ("flag", "flag")
    assert [loader.spec.kind for loader in inputs.values()] == ["vector", "category", "vector"]


def test_bad_cells_are_left_out_of_what_is_learned_and_reported_when_read(shop: Path) -> None:
    table = mg.read_table(shop)
    table.loc[7, "price"] = "soon"
    table.loc[8, "listed"] = "later"
    found = with_inputs(settings(shop), table, table, Told())
    inputs, _ = make_loaders(found, Parts(table, table, table), Told())
    for name, cell in (("number", "soon"), ("listed", "later")):
        with pytest.raises(mg.LoadError, match=f"Received: '{cell}'"):
            inputs[name].read(cell)
    assert set(named_inputs(found, table)) == set(inputs)


def test_pictures_that_are_not_found_stop_the_run_and_say_which_folder(shop: Path) -> None:
    table = mg.read_table(shop)
    wrong = settings(shop, directory=str(shop.parent / "elsewhere"))
    with pytest.raises(
        mg.TableError,
        match="pictures of 'photo' are not found: .*0 of 20 files looked for are there.*--directory"
        ".*name the inputs: --caption title .*Received: --directory .*elsewhere",
    ):
        with_inputs(wrong, table, table, Told())
    alone = pd.DataFrame({"currency": ["EUR"] * 30, "category": ["bag", "mug"] * 15})
    with pytest.raises(mg.TableError, match="No column of the table can be an input.*2 columns"):
        with_inputs(settings(shop), alone, alone, Told())


def test_the_columns_of_split_and_group_are_no_inputs(shop: Path) -> None:
    table = mg.read_table(shop).assign(half=["fit", "final", "final"] * (ROWS // 3))
    table["owner"] = [f"owner {row // 12}" for row in range(ROWS)]
    told = Told()
    assert "owner" in with_inputs(settings(shop), table, table, told).category
    own = settings(shop, split="half", split_names=("fit", "final"), group="owner")
    found = with_inputs(own, table, table, told)
    assert (found.category, found.group) == (("brand",), "owner")


def test_several_found_inputs_are_needed_for_a_fusion(shop: Path) -> None:
    table = mg.read_table(shop)[["title", "category"]]
    run = {"folder": "x", "fusion": "late", "positive": None, "epochs": 1, "ablate": False}
    given = RunSettings(**vars(settings(shop)), **run)
    with pytest.raises(ValueError, match="--fusion late joins several inputs.*--caption alone"):
        with_inputs(given, table, table, Told())


def test_train_needs_nothing_but_the_label_and_predicts_from_raw_cells(
    shop: Path, tmp_path: Path
) -> None:
    # Without pictures, whose branches take a minute to compile.
    table = mg.read_table(shop).drop(columns=["photo", "back side"])
    table.to_csv(shop, index=False)
    start = ("train", shop, "--label", "category", "--runs", tmp_path / "runs")
    code, printed, _ = call(*start, "--epochs", 1)
    assert code == 0
    assert "No option names an input, so each column is taken for what it holds:" in printed
    metrics = json.loads((tmp_path / "runs" / "shop" / "metrics.json").read_text())
    assert metrics["details"]["settings"]["gaps"] == ["price", "brand"]
    assert set(metrics) == {"all", "details"}
    new = make_shop(tmp_path).assign(brand="never seen", price=None, listed="2025-01-31")
    new.drop(columns="category").to_parquet(tmp_path / "new.parquet")
    out = tmp_path / "out.csv"
    code, _, _ = call("predict", tmp_path / "runs" / "shop", tmp_path / "new.parquet", "--out", out)
    assert code == 0
    predicted = pd.read_csv(out)
    assert len(predicted) == ROWS
    assert predicted["label"].isin(["bag", "mug"]).all()
    assert predicted["brand"].eq("never seen").all()


def test_preview_cache_and_audit_find_the_inputs_too(shop: Path, tmp_path: Path) -> None:
    columns = ("--label", "category", "--image-size", "8x8")
    code, printed, _ = call("preview", shop, *columns, "--out", tmp_path / "seen.png")
    assert (code, "brand      category" in printed) == (0, True)
    code, printed, _ = call("cache", shop, *columns, "--cache", tmp_path / "cache")
    assert code == 0
    assert f"{3 * ROWS} cells were read, 0 are bad" in printed
    code, printed, _ = call("audit", shop, *columns, "--out", tmp_path / "audit")
    assert "listed     date" in printed
    problems = pd.read_csv(tmp_path / "audit" / "problems.csv")
    assert not problems["kind"].isin(["missing", "unreadable", "bad cell"]).any()


def test_a_picture_column_named_as_captions_is_told_with_the_options_to_give(shop: Path) -> None:
    given = ("--image", "title", "--caption", "photo", "--label", "category")
    for command in ("train", "audit"):
        code, _, error = call(command, shop, *given)
        assert code == 2
        said = " ".join(error.split())
        assert "name them with --image photo --caption title" in said
        assert "Received: --image title --caption photo" in said
