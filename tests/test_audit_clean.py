"""The clean table that an audit writes: every cell of a kept row as it was, or a refusal before
anything is read.
"""

from __future__ import annotations

import csv
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from test_cli import assert_refused, call

import multimodal_gen as mg
from multimodal_gen.inspection.audit.writing import CleanTable

EVERY = np.ones(40, bool)
ODD = EVERY.copy()
ODD[::2] = False


def written(
    source: Path, path: Path, kept: np.ndarray = EVERY, added: pd.Series | None = None
) -> pd.DataFrame:
    CleanTable(source, mg.read_table(source), path).write(kept, added)
    return mg.read_table(path)


def test_ids_prices_and_codes_of_a_csv_stay_as_they_are_written(tmp_path: Path) -> None:
    rows = [["id", "caption", "code", "price", "serial"]]
    rows += [
        [f"{i:05d}", f'thing "{i}", new', f"{i % 2:02d}", f"{i}.50", f"90071992547409{i:05d}"]
        for i in range(40)
    ]
    rows[8][4] = rows[9][2] = ""
    with (tmp_path / "shop.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    for suffix, separator in ((".csv", ","), (".tsv", "\t")):
        written(tmp_path / "shop.csv", tmp_path / f"clean{suffix}", ODD)
        with (tmp_path / f"clean{suffix}").open(newline="") as file:
            assert list(csv.reader(file, delimiter=separator)) == [rows[0], *rows[2::2]]
    clean = written(tmp_path / "shop.csv", tmp_path / "clean.parquet", ODD)
    assert clean["price"].tolist() == [row[3] for row in rows[2::2]]


def test_lines_of_a_jsonl_are_copied_to_the_last_zero(tmp_path: Path) -> None:
    lines = [
        f'{{"id": {2**62 + i}, "price": {i}.50, "tags": ["a", {i}], "label": "{i % 2}"}}'
        for i in range(40)
    ]
    (tmp_path / "shop.jsonl").write_text("\ufeff" + "\r\n\n".join(lines), "utf-8")
    written(tmp_path / "shop.jsonl", tmp_path / "clean.jsonl", ODD)
    assert (tmp_path / "clean.jsonl").read_text("utf-8").splitlines() == lines[1::2]
    group = pd.Series(range(40), name="copies of it")
    clean = written(tmp_path / "shop.jsonl", tmp_path / "clean.jsonl", ODD, group)
    assert clean["copies of it"].tolist() == list(range(1, 40, 2))
    assert (
        (tmp_path / "clean.jsonl")
        .read_text("utf-8")
        .startswith(lines[1][:-1] + ', "copies of it": 1}\n')
    )


def test_rows_of_a_parquet_keep_their_types_and_its_notes(tmp_path: Path) -> None:
    pictures = [{"bytes": bytes([i, 0, 255]), "path": f"{i}.png"} for i in range(40)]
    columns = {
        "image": pictures,
        "label": pa.array([i % 2 for i in range(40)], pa.int8()),
        "sold": [datetime.date(2024, 1, 1) if i % 3 else None for i in range(40)],
        "price": pa.array([i / 2 for i in range(40)], pa.float32()),
    }
    source = pa.table(columns).replace_schema_metadata({"huggingface": "notes of a hub"})
    pq.write_table(source, tmp_path / "hub.parquet", row_group_size=7)
    written(
        tmp_path / "hub.parquet",
        tmp_path / "clean.parquet",
        ODD,
        pd.Series(range(40), name="group"),
    )
    found = pq.read_table(tmp_path / "clean.parquet")
    assert found.drop_columns("group").equals(source.filter(pa.array(ODD)))
    assert found.schema.metadata == source.schema.metadata
    assert found["group"].to_pylist() == list(range(1, 40, 2))


def test_an_index_that_pandas_kept_in_a_parquet_stays_what_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"label": ["a", "b"] * 20}, index=pd.Index([f"x{i}" for i in range(40)], name="id")
    )
    table.to_parquet(tmp_path / "shop.parquet")
    CleanTable(
        tmp_path / "shop.parquet",
        mg.read_table(tmp_path / "shop.parquet"),
        tmp_path / "out.parquet",
    ).write(ODD)
    assert pd.read_parquet(tmp_path / "out.parquet").equals(table[ODD])
    table.reset_index().to_parquet(tmp_path / "shop.parquet")
    CleanTable(
        tmp_path / "shop.parquet",
        mg.read_table(tmp_path / "shop.parquet"),
        tmp_path / "out.parquet",
    ).write(ODD)
    assert pd.read_parquet(tmp_path / "out.parquet")["id"].tolist() == table.index[ODD].tolist()


@pytest.mark.parametrize(
    ("cell", "suffixes", "why"),
    [
        (b"\x89PNG", (".csv", ".tsv", ".jsonl"), "bytes|single value"),
        ({"bytes": b"\x89PNG", "path": "1.png"}, (".csv", ".jsonl"), "single value"),
        (["red", "blue"], (".csv", ".tsv"), "single value"),
        ("", (".csv", ".tsv"), "read back as"),
        ("half \ud83d", (".csv", ".parquet"), "read back as|this table"),
        (float("inf"), (".jsonl",), "no infinite number"),
    ],
)
def test_a_cell_that_the_format_cannot_hold_is_refused_beforehand(
    cell: Any, suffixes: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    column = np.empty(3, object)
    column[:] = ["first", cell, "last"] if isinstance(cell, str) else [None, cell, None]
    table = pd.DataFrame({"name": ["a", "b", "c"], "odd": pd.Series(column, dtype=object)})
    for suffix in suffixes:
        with pytest.raises(mg.TableError, match=rf"(?s)cannot hold.*({why})"):
            CleanTable(tmp_path, table, tmp_path / "out" / f"clean{suffix}")
        assert not list((tmp_path / "out").iterdir())


def test_line_breaks_and_separators_inside_cells_come_back(tmp_path: Path) -> None:
    texts = [
        "two\nlines",
        "old\rmac",
        "dos\r\nbreak",
        "a,b\tc",
        'say "so"',
        " blanks ",
        "0.50",
        "NA",
        "=1+1",
    ]
    table = pd.DataFrame({"only": texts})
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        CleanTable(tmp_path, table, tmp_path / f"clean{suffix}").write(np.ones(len(texts), bool))
        assert mg.read_table(tmp_path / f"clean{suffix}")["only"].tolist() == texts, suffix


def test_a_missing_cell_stays_missing_and_numbers_keep_their_text(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "label": [0.0, 1.0, None],
            "id": pd.array([2**62, None, 7], "Int64"),
            "tag": ["a", None, "b"],
        }
    )
    CleanTable(tmp_path, table, tmp_path / "clean.csv").write(np.ones(3, bool))
    assert (
        tmp_path / "clean.csv"
    ).read_text() == "label,id,tag\n0,4611686018427387904,a\n1,,\n,7,b\n"
    CleanTable(tmp_path, table, tmp_path / "clean.jsonl").write(np.ones(3, bool))
    rows = [json.loads(line) for line in (tmp_path / "clean.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [2**62, None, 7] and rows[2]["label"] is None


def test_the_command_refuses_pictures_in_a_csv_before_it_reads_them(tmp_path: Path) -> None:
    cells = []
    for row in range(4):
        Image.new("RGB", (8, 8), (60 * row, 0, 0)).save(tmp_path / "a.png")
        cells.append({"bytes": (tmp_path / "a.png").read_bytes(), "path": "a.png"})
    pq.write_table(pa.table({"image": cells, "label": [0, 1, 0, 1]}), tmp_path / "hub.parquet")
    arguments = (
        "audit",
        tmp_path / "hub.parquet",
        "--image",
        "image",
        "--out",
        tmp_path / "out",
        "--drop",
    )
    assert_refused(
        call(*arguments, tmp_path / "clean.csv"), "cannot hold the cell at index 0, column 'image'"
    )
    assert (
        not (tmp_path / "out" / "problems.csv").exists() and not (tmp_path / "clean.csv").exists()
    )
    call(*arguments, tmp_path / "clean.parquet", "--ignore", "duplicate")
    clean = mg.read_table(tmp_path / "clean.parquet")
    assert mg.ImageLoader("image", image_size=(8, 8)).read(clean["image"][0]).shape == (8, 8, 3)


def test_an_audit_finds_one_missing_label_among_zeros_and_ones(tmp_path: Path) -> None:
    rows = [f"thing number {i},{'' if i == 7 else i % 2}" for i in range(40)]
    (tmp_path / "shop.csv").write_text("caption,label\n" + "\n".join(rows) + "\n")
    code, _, _ = call(
        "audit", tmp_path / "shop.csv", "--caption", "caption", "--out", tmp_path / "out"
    )
    problems = pd.read_csv(tmp_path / "out" / "problems.csv")
    assert code == 1 and problems[["index", "column", "kind"]].values.tolist() == [
        [7, "label", "missing"]
    ]


def test_an_audit_takes_number_columns_of_which_no_row_has_all(tmp_path: Path) -> None:
    rows = [
        f"thing number {i},{'ab'[i % 2]},{i / 10 if i % 2 else ''},{'' if i % 2 else i}"
        for i in range(40)
    ]
    (tmp_path / "shop.csv").write_text("caption,label,width,price\n" + "\n".join(rows) + "\n")
    arguments = (
        "--caption",
        "caption",
        "--number",
        "width",
        "--number",
        "price",
        "--out",
        tmp_path / "out",
    )
    code, printed, errors = call(
        "audit", tmp_path / "shop.csv", *arguments, "--number-missing", "mean"
    )
    assert (code, errors) == (0, "") and "0 problems in 40 rows" in printed
    code, _, _ = call("audit", tmp_path / "shop.csv", *arguments)
    assert code == 1 and set(pd.read_csv(tmp_path / "out" / "problems.csv")["kind"]) == {
        "unreadable"
    }


def test_an_audit_of_a_column_without_a_number_names_the_column(tmp_path: Path) -> None:
    rows = [f"thing number {i},{'ab'[i % 2]},{'red' if i % 3 else 'blue'}" for i in range(40)]
    (tmp_path / "shop.csv").write_text("caption,label,colour\n" + "\n".join(rows) + "\n")
    arguments = ("--caption", "caption", "--number", "colour", "--out", tmp_path / "out")
    assert_refused(call("audit", tmp_path / "shop.csv", *arguments), "'colour' must be numbers")


@pytest.mark.parametrize("label", ["box", "7"])
def test_an_audit_of_one_class_leaves_labels_out_and_says_so(label: str, tmp_path: Path) -> None:
    rows = [f"thing number {i},{label}" for i in range(20)]
    (tmp_path / "shop.csv").write_text("caption,label\n" + "\n".join(rows) + "\n")
    code, printed, errors = call(
        "audit", tmp_path / "shop.csv", "--caption", "caption", "--out", tmp_path / "out"
    )
    assert (code, errors) == (
        0,
        "",
    ) and f"column 'label' holds only '{label}', so labels are not audited" in printed


def test_a_refused_ending_is_answered_with_one_that_can_hold_the_cell(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a"], "odd": [["red", "blue"]]})
    for source, suffix, way in (
        (tmp_path, ".csv", r"\.jsonl or \.parquet"),
        (tmp_path / "t.tsv", ".tsv", r"\.jsonl or \.parquet"),
    ):
        with pytest.raises(mg.TableError, match=f"Use the suffix {way}"):
            CleanTable(source, table, tmp_path / f"x{suffix}")
    with pytest.raises(mg.TableError, match="Use the suffix of the table itself for --drop"):
        CleanTable(tmp_path / "t.jsonl", table, tmp_path / "x.csv")


@pytest.mark.parametrize("far", [True, False])
def test_a_clean_table_elsewhere_says_where_its_paths_start(far: bool, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    for row in range(4):
        Image.new("RGB", (8, 8), (60 * row, 9, 200 - 50 * row)).save(shop / f"{row}.png")
    (shop / "t.csv").write_text(
        "image,label\n" + "".join(f"{row}.png,{'ab'[row % 2]}\n" for row in range(4))
    )
    clean = (tmp_path if far else shop) / "clean.csv"
    arguments = ("--image", "image", "--out", tmp_path / "out", "--drop", clean)
    _, printed, _ = call("audit", shop / "t.csv", *arguments)
    assert "rows to" in printed
    assert (f"relative to {shop}: use --directory {shop}" in printed.replace("\n", " ")) == far
