"""`multimodal-gen audit --deep`: models of other rows find what no single cell shows."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from multimodal_gen.cli.app import app

HUES = ["red", "rust", "olive", "moss", "lime", "pine"]
HUES += ["teal", "sea", "blue", "plum", "pink", "wine"]
COLOURS = {"red": (200, 30, 30), "green": (30, 160, 40), "blue": (30, 50, 200)}


def audit(folder: Path, *options: str) -> tuple[Any, pd.DataFrame]:
    out = ["--out", str(folder / "out"), "--label", "label", "--deep"]
    done = CliRunner().invoke(app, ["audit", str(folder / "shop.csv"), *options, *out])
    file = folder / "out" / "problems.csv"
    return done, pd.read_csv(file) if file.exists() else pd.DataFrame()


def write(folder: Path, rows: int) -> pd.DataFrame:
    """Captions that name a colour, which is the label, and a size that is not."""
    names = np.array(list(COLOURS), object)[np.arange(rows) % 3]
    rng = np.random.default_rng(0)
    sizes = rng.choice(["small", "large", "wide", "tall"], rows)
    things = rng.choice(["cup", "bowl", "lamp", "vase", "box"], rows)
    table = pd.DataFrame({"label": names})
    table["caption"] = [
        f"{size} {name} {thing} number {row}"
        for row, (size, name, thing) in enumerate(zip(sizes, names, things, strict=True))
    ]
    table.to_csv(folder / "shop.csv", index=False)
    return table


def test_wrong_labels_are_found_without_a_file_of_predictions(tmp_path: Path) -> None:
    table = write(tmp_path, 150)
    table.loc[[10, 77], "label"] = "blue", "red"
    # Rows that cannot be used are left out of the models, and reported as ever.
    table.loc[5, "caption"], table.loc[6, "label"] = None, None
    table.to_csv(tmp_path / "shop.csv", index=False)
    done, problems = audit(tmp_path, "--caption", "caption")
    assert done.exit_code == 1, done.output
    assert "--deep trains 5 models on 148 rows" in done.output
    found = problems[problems["kind"] == "unlikely label"]
    assert set(found["index"]) == {10, 77}
    assert {5, 6} <= set(problems.loc[problems["kind"] == "missing", "index"])
    assert "unlikely label" in (tmp_path / "out" / "audit.html").read_text()


def test_what_has_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 40)
    done, _ = audit(tmp_path, "--caption", "caption")
    assert done.exit_code == 2 and "--deep needs at least 100 rows" in done.output
    both, _ = audit(tmp_path, "--caption", "caption", "--predictions", "some.csv")
    assert both.exit_code == 2 and "leave one of the two out" in both.output


@pytest.mark.slow
def test_exchanged_captions_are_found_with_their_pictures(tmp_path: Path) -> None:
    # Of twelve colours a caption says far more of its picture than of three.
    table, rng = write(tmp_path, 180), np.random.default_rng(0)
    for row in range(len(table)):
        hue = colorsys.hsv_to_rgb(row % 12 / 12, 0.9, 0.4 if row % 2 else 1.0)
        pixels = np.clip(rng.normal(np.multiply(hue, 255), 12, (12, 12, 3)), 0, 255)
        Image.fromarray(pixels.astype("uint8")).save(tmp_path / f"{row}.png")
    table["image"] = [f"{row}.png" for row in range(len(table))]
    table["caption"] = [f"a {HUES[row % 12]} thing" for row in range(len(table))]
    # One row in eighteen, each with the caption of another colour.
    exchanged = np.arange(20, 180, 17)
    table.loc[exchanged, "caption"] = np.roll(table.loc[exchanged, "caption"].to_numpy(), 1)
    table.to_csv(tmp_path / "shop.csv", index=False)
    options = ["--caption", "caption", "--image", "image", "--image-size", "12x12"]
    done, problems = audit(tmp_path, *options)
    assert done.exit_code == 1, done.output
    for what in ("labels", "pairs"):
        assert re.search(rf"{what}: the other 4 folds take about \d+ (s|min)\n", done.output)
    named = set(problems.loc[problems["kind"] == "unlike pair", "index"])
    right = named & set(exchanged.tolist())
    assert len(right) >= 0.7 * len(exchanged), (sorted(named), done.output)
    assert len(right) >= 0.5 * len(named)
