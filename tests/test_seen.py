"""Which rows a run knows again as those that it was trained on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.cli import seen
from multimodal_gen.cli.seen import FILE, seen_in, seen_in_words, write_seen


@pytest.fixture
def bundle() -> Any:
    """What a bundle reads; its model is not asked for anything."""
    words = mg.TextLoader.from_texts("words", ["a red mug"], output_mode="ngrams")
    price = mg.NumericLoader(["price"], mean=[0], scale=[1])
    target = mg.ClassLabel("label", ["mug", "lamp"])
    return SimpleNamespace(inputs={"words": words, "price": price}, target=target)


@pytest.fixture
def table() -> pd.DataFrame:
    rows = np.arange(3000)
    label = np.where(rows % 2, "mug", "lamp")
    return pd.DataFrame({"words": "a red thing", "price": rows, "label": label, "other": "x"})


def test_rows_are_known_in_any_order_and_type_and_without_what_the_run_does_not_read(
    bundle: Any, table: pd.DataFrame, tmp_path: Path
) -> None:
    write_seen(tmp_path, bundle, table[:1000], table[1000:1100])
    new = table[900:1200].astype(str).sample(frac=1, random_state=0).drop(columns="other")
    found = seen_in(tmp_path, bundle, new)
    assert found == {"training": 100, "validation": 100, "compared": 300}
    assert seen_in_words(found, bundle, 300) == (
        "note: 100 of 300 rows are training rows and 100 of 300 rows are validation rows of this "
        "run, or equal to one in 'words', 'price' and 'label': the scores are too good"
    )
    # Another label is another row, and of two equal rows one is new.
    other = table[:10].assign(label="mug")
    assert seen_in(tmp_path, bundle, other)["training"] == 5
    assert seen_in(tmp_path, bundle, pd.concat([table[:10]] * 2))["training"] == 10
    assert seen_in_words(seen_in(tmp_path, bundle, table[2000:]), bundle, 1000) is None
    assert seen_in(tmp_path, bundle, table.drop(columns="price")) == {}


def test_of_very_many_rows_the_same_share_is_kept_and_compared(
    bundle: Any, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "_MOST", 300)
    write_seen(tmp_path, bundle, table[:2500], table[2500:])
    # Of 3,000 rows a tenth, give or take 16 as a standard deviation.
    with np.load(tmp_path / FILE) as kept:
        assert 220 < len(kept["training"]) + len(kept["validation"]) < 380
    new = pd.concat([table[:1500], table[:1500].assign(words="a blue thing")])
    found = seen_in(tmp_path, bundle, new)
    # Whatever can be compared is known for certain.
    known = seen_in(tmp_path, bundle, table[:1500])
    assert known["training"] == known["compared"] == found["training"]
    assert found["training"] < found["compared"] < 400
    assert f"{found['training']} of {found['compared']} rows that can be compared are" in str(
        seen_in_words(found, bundle, len(new))
    )


def test_of_many_columns_a_few_are_named() -> None:
    names = [f"n{number}" for number in range(9)]
    some = mg.NumericLoader(names, mean=[0] * 9, scale=[1] * 9)
    bundle: Any = SimpleNamespace(inputs={"number": some}, target=mg.NumericTarget("price"))
    said = seen_in_words({"training": 1, "validation": 0, "compared": 4}, bundle, 4, "runs/a")
    assert said == (
        "note: 1 of 4 rows is a training row of runs/a, or equal to one in 'n0', 'n1', 'n2', 'n3' "
        "and 6 more columns: the scores are too good"
    )
