"""The benchmark of explanations on models that have hardly learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import explain


def test_the_mask_of_a_sample_picture_is_where_another_shape_would_change_it() -> None:
    catalog = explain.script("make_catalog")
    before = dict(catalog._DRAW)
    mask = explain.object_mask(catalog, 3)
    assert before == catalog._DRAW
    assert 0.05 < mask.mean() < 0.6
    # The same scene without an object: it differs under the mask, and hardly elsewhere.
    shape = catalog.row_label(catalog.SEED, 3, catalog.ROWS).split()[1]
    drawn = np.asarray(catalog.draw_picture(catalog.SEED, 3, shape), "float64")
    catalog._DRAW[shape] = lambda *rest: None
    bare = np.asarray(catalog.draw_picture(catalog.SEED, 3, shape), "float64")
    change = np.abs(drawn - bare).sum(axis=-1)
    assert change[mask].mean() > 5 * change[~mask].mean()


@pytest.mark.slow
def test_all_parts_are_measured_and_the_card_is_drawn(real_data: Path, tmp_path: Path) -> None:
    some = ["--parts", "sample", "relations", "curves", "--seeds", "0", "--epochs", "1", "1", "1"]
    card = ["--train", "100", "--rows", "10", "--card", str(tmp_path / "card.png")]
    explain.main(["--data", str(real_data), *some, *card, "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "explain.json").read_text())["figures"]
    assert list(figures) == ["sample", "relations", "curves"]
    assert set(figures["curves"]["0"]) >= {"ours", "gradient alone", "windows blurred"}
    assert all(0 <= area <= 1 for own in figures["curves"]["0"].values() for area in own)
    with Image.open(tmp_path / "card.png") as picture:
        assert picture.width > 400
