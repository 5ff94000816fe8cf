"""Cells of nothing but blanks, which look empty, are read as empty ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".tsv", "\t")])
def test_a_cell_of_blanks_is_missing_as_an_empty_one(
    tmp_path: Path, suffix: str, mark: str
) -> None:
    file = tmp_path / f"table{suffix}"
    rows = [
        ["caption", "n"],
        ["   ", "1"],
        ["", "2"],
        ['" \n "', " "],
        [" a ", "4"],
        ["\u3000", ""],
    ]
    file.write_text("\n".join(map(mark.join, rows)), "utf-8")
    table = mg.read_table(file)
    assert table["caption"].isna().tolist() == [True, True, True, False, True]
    assert table["n"].isna().tolist() == [False, False, True, False, True]
    assert table["caption"][3] == " a "
    texts = mg.read_table(file, na_values=())
    assert texts["caption"].tolist()[:2] == ["   ", ""]


def test_an_audit_drops_a_caption_of_blanks_as_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("caption,n\na red shoe,1\n   ,2\n,3\na blue shoe,4\n")
    table = mg.read_table(file)
    loader = mg.TextLoader.from_texts("caption", table.dropna())
    report = mg.audit(table, {"caption": loader}, progress=lambda _: None)
    assert report.problems["kind"].tolist() == ["missing"] * 2
    assert report.clean(table).index.tolist() == [0, 3]


def test_where_empty_texts_are_told_from_missing_ones_blanks_are_empty_texts() -> None:
    table = pd.DataFrame({"caption": ["a red shoe", "", "  ", "a blue shoe"]})
    loader = mg.TextLoader.from_texts("caption", table)
    assert np.array_equal(loader.read(""), loader.read("  "))
    report = mg.audit(table, {"caption": loader}, progress=lambda _: None)
    assert report.problems["kind"].tolist()[:2] == ["empty caption"] * 2
