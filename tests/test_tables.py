"""How files are read: the rows of the file are the rows of the table, and a cell is what stands
there.
"""

from __future__ import annotations

import csv
import io
import json
import random
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import multimodal_gen as mg
from multimodal_gen.rows.formats import quoting
from multimodal_gen.rows.table import check_columns

LONG = 1234567890123456789


def read(path: Path, text: str | bytes, **arguments: object) -> pd.DataFrame:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return mg.read_table(path, **arguments)


def cells(table: pd.DataFrame) -> dict[str, list]:
    return table.astype(object).where(table.notna(), None).to_dict("list")


# csv and tsv


def test_every_cell_of_a_csv_file_is_the_text_that_stands_there(tmp_path: Path) -> None:
    table = read(
        tmp_path / "t.csv", f"id,label,price,big\n00012,0,0.50,{LONG}\n7,x,,\n1e3,True, 3,1.0\n"
    )
    assert cells(table) == {
        "id": ["00012", "7", "1e3"],
        "label": ["0", "x", "True"],
        "price": ["0.50", None, " 3"],
        "big": [str(LONG), None, "1.0"],
    }
    assert table.index.equals(pd.RangeIndex(3))


def test_a_label_is_the_same_whatever_else_its_column_holds(tmp_path: Path) -> None:
    # So many rows and columns that pandas would guess the types of columns piece by piece.
    rows = [f"{row % 2 if row < 20_000 else 'x'}," + "0," * 60 + "0" for row in range(20_001)]
    table = read(
        tmp_path / "t.csv",
        "label," + ",".join(f"m{one}" for one in range(61)) + "\n" + "\n".join(rows),
    )
    assert mg.ClassLabel.from_values("label", table).class_names == ("0", "1", "x")
    alone = read(tmp_path / "t.csv", "label,n\n0,1\n1,1\n")
    assert mg.ClassLabel.from_values("label", alone).class_names == ("0", "1")


@pytest.mark.filterwarnings("ignore:Rows are drawn by .* and weighted by it too")
def test_numbers_are_read_from_texts_by_whatever_wants_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{row},{row / 4},{row % 3},{row % 2}\n" for row in range(12))
    table = read(tmp_path / "t.csv", "n,price,weight,label\n" + rows)
    plain = pd.read_csv(tmp_path / "t.csv")
    data = []
    for one in (table, plain):
        inputs = {
            "n": mg.NumericLoader.from_values(["n", "price"], one),
            "id": mg.ArrayLoader.from_values("n", one),
        }
        target = mg.NumericTarget.from_values("price", one)
        sequence = mg.MultimodalSequence(
            one,
            inputs,
            target,
            batch_size=12,
            sample_weight="weight",
            sampler=mg.WeightedSampler("weight"),
        )
        data.append(sequence)
    (mine, own, weights), (theirs, others, expected) = data[0][0], data[1][0]
    assert len(weights) == 12 and set(weights.tolist()) <= {1.0, 2.0}
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_array_equal(own, others)
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda table: mg.NumericLoader.from_values("n", table),
            r"is 1234 where .* and 1.234 where .*'1,234' at index 1, column 'n'",
        ),
        (
            lambda table: mg.WeightedSampler("n").weights(table),
            r"Weights must be numbers.*'1,234' at index 1, column 'n'",
        ),
        (
            lambda table: mg.MultimodalSequence(
                table,
                {"a": mg.ArrayLoader("m", shape=())},
                mg.NumericTarget("m"),
                sample_weight="n",
            )[0],
            r"index 1, column 'n': a sample weight must be .* Received: '1,234'",
        ),
    ],
)
def test_a_text_that_is_not_a_number_is_named_where_a_number_is_wanted(
    tmp_path: Path, make, message: str
) -> None:
    table = read(tmp_path / "t.csv", 'm,n\n1,2\n1,"1,234"\n')
    with pytest.raises(ValueError, match=message):
        make(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n1,x, y\n",
            r"Line 3 has 3 cells, but there are 2 columns: '1,x, y'.*must be in double quotes",
        ),
        ("a,b\n1,2,\n3,4,\n", r"Line 2 has 3 cells.*It ends with a comma"),
        (
            "a,b\n" + "1,2\n" * 50_000 + "1\n",
            r"Line 50002 has 1 cell, .*Every row needs a cell for each column",
        ),
        ("a,b\n1,2\n   \n", r"Line 3 has 1 cell, .*Delete it"),
        ('a,b\n1,"x\ny"\n1,2,3\n', "Line 4 has 3 cells"),
        (
            'a,b,c\n1,"x,1\n2,y",1,2\n',
            r"Line 2 has 4 cells.*It ends in line 3, because a quoted cell contains line breaks",
        ),
        ("a,b,a\n1,2,3\n", "Columns 1, 3 are all called 'a'.*in line 1"),
        ("\n\na,,\n1,2,3\n", "Columns 2, 3 have no name.*in line 3"),
        ('a,b\n1,"x\n2,y\n', "A quote opens a cell in line 2 and is never closed"),
        ('a,b\n1,2\n1,"x"y\n', "A cell in line 3 begins with a quote but does not end with one"),
        (
            'a,b\n1,"x\n2,z"y\n',
            "A cell in line 2 .* the next quote, in line 3, is not followed by a comma",
        ),
        ('"a"b,c\n1,2\n', "A cell in line 1 begins with a quote but does not end with one"),
        ('\ufeff"a"b,c\n1,2\n', "A cell in line 1 begins with a quote but does not end with one"),
        (
            "a,b\n1,2\n1,caf\xe9\n".encode("cp1252"),
            r"Line 3 is not UTF-8 text: b'1,caf\\xe9\\n'.*encoding=\"cp1252\"`, by which it says "
            "'1,caf\xe9'",
        ),
        ("caf\xe9,b\n1,2\n".encode("cp1252"), "Line 1 is not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
        ("\n \n", "no rows"),
        ("\n\n", "The file is empty"),
    ],
)
def test_what_would_move_or_swallow_cells_is_an_error_that_names_the_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(mg.TableError, match=rf"(?s){message}.*Received: path=.*t.csv"):
        read(tmp_path / "t.csv", text)


def test_a_lone_quote_in_a_tsv_file_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    text = "id\tcaption\n" + "".join(
        f"{row}\t{chr(34) if row in (10, 30) else ''}nice\n" for row in range(40)
    )
    with pytest.raises(
        mg.TableError,
        match=r"cell in line 12 begins with a quote.*in line 32.*sep='\\t', quoting=3",
    ):
        read(tmp_path / "t.tsv", text)
    table = pd.read_csv(
        tmp_path / "t.tsv", sep="\t", quoting=3, dtype=str, keep_default_na=False, na_values=[""]
    )
    assert len(table) == 40 and table["caption"][10] == '"nice'


def test_rows_that_two_stray_quotes_enclose_are_a_warning(tmp_path: Path) -> None:
    lines = [f"{row}\t{'ab'[row % 2]}\tnice cup" for row in range(20)]
    lines[4], lines[9] = '4\t"a\tnice cup', '9\tb"\tnice cup'
    with pytest.warns(
        UserWarning, match=r"each of its lines looks like a row.*at index 4, column 'label'.*quote"
    ):
        assert len(read(tmp_path / "t.tsv", "id\tlabel\tcaption\n" + "\n".join(lines))) == 15
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path / "t.csv", 'id,caption\n1,"a cup, shiny,\nred"\n2,"one\ntwo\n\nthree"\n')
        for ending in ("csv", "tsv"):
            assert (
                read(tmp_path / f"one.{ending}", 'caption\n"two\nlines"\n"one\ntwo\nthree"\n')[
                    "caption"
                ][0]
                == "two\nlines"
            )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".tsv", "\t")])
def test_quotes_breaks_and_marks_are_read_as_rfc_4180_has_them(
    tmp_path: Path, suffix: str, mark: str, end: str
) -> None:
    rows = [
        ["a", "b"],
        ['5" nail', '"a ""b"" c"'],
        ['"two\nlines"', f'"with{mark}mark"'],
        ['""', "x"],
        ['in 5"', "é 😀"],
        ["", ""],
    ]
    text = "\ufeff" + end + end.join(mark.join(row) for row in rows) + end + end
    assert cells(read(tmp_path / f"t{suffix}", text)) == {
        "a": ['5" nail', "two\nlines", None, 'in 5"', None],
        "b": ['a "b" c', f"with{mark}mark", "x", "é 😀", None],
    }


def test_blank_lines_are_rows_where_there_is_one_column_and_none_elsewhere(tmp_path: Path) -> None:
    assert cells(read(tmp_path / "t.csv", "caption\n1\n\n2\n\n")) == {
        "caption": ["1", None, "2", None]
    }
    assert cells(read(tmp_path / "t.csv", "\ncaption,n\n1,2\n\n3,4\n\n")) == {
        "caption": ["1", "3"],
        "n": ["2", "4"],
    }
    assert read(tmp_path / "t.tsv", "caption\na\n\n").index.tolist() == [0, 1]


def test_a_single_column_may_be_without_a_name_as_pandas_writes_its_index(tmp_path: Path) -> None:
    pd.DataFrame({"a": ["x", "y"]}).to_csv(tmp_path / "t.csv")
    assert cells(mg.read_table(tmp_path / "t.csv")) == {"": ["0", "1"], "a": ["x", "y"]}


def test_cells_may_be_longer_than_a_block_and_blocks_may_end_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = 'x"",\n' * 700_000
    table = read(tmp_path / "t.csv", f'a,b\n1,"{long}"\n2,y\n')
    assert table["a"].tolist() == ["1", "2"]
    assert table["b"].tolist() == [long.replace('""', '"'), "y"]
    for size in (1, 2, 3):
        monkeypatch.setattr(quoting, "_BLOCK", size)
        assert cells(read(tmp_path / "t.csv", '\ufeff"a",b\n"1""","x"\n2,5"\n')) == {
            "a": ['1"', "2"],
            "b": ["x", '5"'],
        }
        with pytest.raises(mg.TableError, match="line 3 begins with a quote"):
            read(tmp_path / "t.csv", 'a,b\n"1""","x"\n2,"5"5\n')


def test_random_files_are_read_as_a_strict_parser_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(0)
    choice = ["x", "", "00", '"q"', '"q""r"', '""', '5"', '"l\nm"', '"l,m"', '"l\tm"', " ", '"w"x']
    outcomes = []
    warnings.simplefilter("ignore")
    for _ in range(400):
        monkeypatch.setattr(quoting, "_BLOCK", rng.choice([1, 2, 5, 1 << 20]))
        suffix, mark = rng.choice([(".csv", ","), (".tsv", "\t")])
        columns, end = rng.choice([1, 2, 3]), rng.choice(["\n", "\r\n", "\r"])
        rows = [[f'"c{one}"' if rng.random() < 0.5 else f"c{one}" for one in range(columns)]]
        for _ in range(rng.randrange(1, 5)):
            odd = rng.random() < 0.2
            rows.append(
                rng.choices(
                    choice if odd else choice[:-1], k=columns + (odd and rng.random() < 0.4)
                )
            )
        text = end.join(mark.join(row) for row in rows) + end * rng.randrange(3)
        try:
            known = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))
            known = [row or [""] for row in known if row or columns == 1]
            expected = (
                known if {len(row) for row in known} == {columns} and len(known) > 1 else None
            )
        except csv.Error:
            expected = None
        try:
            table = read(tmp_path / f"t{suffix}", text)
            found = [list(table.columns), *table.fillna("").to_numpy(object).tolist()]
        except mg.TableError:
            found = None
        assert found == expected, text
        outcomes.append(found is None)
    assert 40 < sum(outcomes) < 360


# jsonl


def test_values_of_jsonl_stay_what_they_are(tmp_path: Path) -> None:
    lines = [
        {"id": LONG, "n": 1, "price": 0.5, "label": "1", "tags": ["a"], "on": True},
        {"id": None, "n": 2, "price": 1, "label": 1, "tags": [], "late": "x"},
        {"id": LONG + 1, "n": 3, "price": None, "label": "x", "tags": None, "on": False},
    ]
    table = read(tmp_path / "t.jsonl", "\ufeff" + "\n\n".join(map(json.dumps, lines)) + "\n")
    assert cells(table) == {
        "id": [LONG, None, LONG + 1],
        "n": [1, 2, 3],
        "price": [0.5, 1.0, None],
        "label": ["1", 1, "x"],
        "tags": [["a"], [], None],
        "on": [True, None, False],
        "late": [None, "x", None],
    }
    assert table.dtypes.astype(str).to_dict() | {"late": "", "label": ""} == {
        "id": "Int64",
        "n": "int64",
        "price": "float64",
        "label": "",
        "tags": "object",
        "on": "object",
        "late": "",
    }


def test_a_column_that_comes_late_in_a_long_file_is_missing_before(tmp_path: Path) -> None:
    lines = ['{"a": 1}'] * 5000 + ['{"a": 2, "b": "x"}'] * 5000 + ['{"b": "y"}']
    table = read(tmp_path / "t.jsonl", "\n".join(lines))
    assert table["a"].isna().sum() == 1 and table["b"].isna().sum() == 5000
    assert table["a"].iloc[9999] == 2 and table["b"].iloc[10000] == "y"


def test_numbers_of_jsonl_keep_their_digits_beside_fractions(tmp_path: Path) -> None:
    assert read(tmp_path / "t.jsonl", f'{{"n": {LONG}}}\n{{"n": 0.5}}\n')["n"].tolist() == [
        LONG,
        0.5,
    ]
    assert read(tmp_path / "t.jsonl", f'{{"n": {10**30}}}\n{{"n": 1}}\n')["n"].tolist() == [
        10**30,
        1,
    ]


def test_half_of_a_surrogate_pair_is_kept_and_spoils_only_its_own_row(tmp_path: Path) -> None:
    table = read(
        tmp_path / "t.jsonl", '{"a": "\\ud83d cup", "label": "x"}\n{"a": "a hat", "label": "y"}\n'
    )
    assert table["a"].tolist() == ["\ud83d cup", "a hat"]
    loader = mg.TextLoader.from_texts("a", ["a cup", "a hat"])
    assert loader.read(table["a"][1]).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n\n{broken\n', r"Line 3 is not a JSON object: .*in '\{broken'"),
        ('{"a": 1}{"a": 2}\n', "Line 1 is not a JSON object: Extra data at character 9 of the"),
        (
            '{"a": 1}\n{"a": "b',
            "Line 2 .*Unterminated string starting at character 7 of the line",
        ),
        ('{"a": 1}\n{"a": \n', "Line 2 .*Expecting value at the end of the line, in '{\"a\":'"),
        (
            '{"a": "' + "x" * 900 + '", b}\n',
            r"double quotes at character 911 of the line, in '\.\.\.x{57}\", b}'",
        ),
        ('{"a": 1, "b": 2, "a": 3}\n', "Line 1 is not a JSON object: the key 'a' appears twice"),
        ('{"a": 1}\n{"b": {"c": 1, "c": 2}}\n', "Line 2 .*the key 'c' appears twice"),
        (
            '[{"a": 1}, {"a": 2}]\n',
            r"Line 1 is a list, .*single JSON array with `pd.DataFrame\(json.load",
        ),
        ('[\n  {"a": 1}\n]\n', r"Line 1 is not a JSON object.*single JSON array with"),
        ('{"a": 1}\n[1, 2]\n', "Line 2 is a list"),
        ("5\n", "Line 1 is a number"),
        ('{"a": 1}\nnull\n', "Line 2 is null"),
        ('{"a": "x"}\n{"a": "\xe9"}\n'.encode("cp1252"), "Line 2 is not UTF-8 text"),
        ("", "no rows"),
        ("{}\n{}\n", "no columns"),
    ],
)
def test_a_line_that_is_not_an_object_is_named(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(mg.TableError, match=rf"{message}.*Received: path=.*t.jsonl"):
        read(tmp_path / "t.jsonl", text)


# parquet


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (pd.DataFrame({"a": ["x", "y"]}, index=[7, 3]), {"a": ["x", "y"]}),
        (pd.DataFrame({"a": list("xyz")})[1:], {"a": ["y", "z"]}),
        (
            pd.DataFrame({"a": ["x", "y"], "n": [1, 2]}).set_index("a"),
            {"a": ["x", "y"], "n": [1, 2]},
        ),
        (
            pd.DataFrame({"a": ["x", "y"]}, index=["r1", "r2"]),
            {"index": ["r1", "r2"], "a": ["x", "y"]},
        ),
        (
            pd.DataFrame({"index": [1, 2]}, index=["r1", "r2"]),
            {"level_0": ["r1", "r2"], "index": [1, 2]},
        ),
        (
            pd.DataFrame({"a": ["x", "y"], "n": [1, 2]}).set_index("a", drop=False),
            {"a": ["x", "y"], "n": [1, 2]},
        ),
        (
            pd.DataFrame({"a": ["x", "y"], "b": [1, 2], "c": [3, 4]}).set_index(["a", "b"]),
            {"a": ["x", "y"], "b": [1, 2], "c": [3, 4]},
        ),
        (
            pd.DataFrame({"c": [1, 2]}, index=pd.Index(pd.array([LONG, None], "Int64"), name="id")),
            {"id": [LONG, None], "c": [1, 2]},
        ),
    ],
)
def test_rows_of_parquet_count_from_0_and_an_index_with_a_name_is_a_column(
    tmp_path: Path, frame: pd.DataFrame, expected: dict[str, list]
) -> None:
    frame.to_parquet(tmp_path / "t.parquet")
    table = mg.read_table(tmp_path / "t.parquet")
    assert cells(table) == expected
    assert table.index.equals(pd.RangeIndex(2))


def test_types_of_parquet_are_kept_and_whole_numbers_with_gaps_keep_their_digits(
    tmp_path: Path,
) -> None:
    picture = {"bytes": b"\x89PNG", "path": "a.png"}
    columns = {
        "image": [picture, picture],
        "id": pa.array([LONG, None]),
        "small": pa.array([None, 3], pa.uint8()),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "tags": [["a", "b"], []],
        "caption": ["1", None],
    }
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = mg.read_table(tmp_path / "t.parquet")
    assert table["image"][0] == picture
    assert table["id"].tolist() == [LONG, pd.NA] and str(table["small"].dtype) == "UInt8"
    assert table["kind"].tolist() == ["x", "y"] and list(table["tags"][0]) == ["a", "b"]
    assert table["caption"][0] == "1" and pd.isna(table["caption"][1])


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(mg.TableError, match="are called 'a'; rename one"):
        mg.read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "text", "sign", "way"),
    [
        ("t.csv", "id;caption;label\n1;a, b;x\n", ";", "save it as .csv with commas"),
        ("t.csv", '"id";"caption"\n"1";"a"\n', ";", "save it as .csv with commas"),
        ("t.csv", "id\tcaption\tlabel\n1\ta, b\tx\n", r"\\t", "name it .tsv"),
        ("t.tsv", "id,caption\n1,a\tb\n", ",", "name it .csv"),
        ("t.csv", "id|caption\n1|a, b\n", r"\|", "save it as .csv with commas"),
    ],
)
def test_another_separator_is_named_where_rows_do_not_fit(
    tmp_path: Path, name: str, text: str, sign: str, way: str
) -> None:
    with pytest.raises(
        mg.TableError,
        match=f"header has one column, .*separated by '{sign}': {way}, or .*sep='{sign}'",
    ):
        read(tmp_path / name, text)


def test_one_column_with_a_separator_in_its_name_is_read_and_says_so_when_another_is_wanted(
    tmp_path: Path,
) -> None:
    table = read(tmp_path / "t.csv", "red;blue\n1;2\n3;4\n")
    assert cells(table) == {"red;blue": ["1;2", "3;4"]}
    with pytest.raises(
        mg.TableError, match=r"no such column.*separated by ';': .*Received: column='blue'"
    ):
        check_columns(table, ["blue"])
    with pytest.raises(mg.TableError, match=r"Did you mean 'colour'\?"):
        check_columns(pd.DataFrame({"colour": ["a"]}), ["color"])


@pytest.mark.parametrize(
    ("text", "written", "probable"),
    [
        ("一个漂亮的蓝色茶壶", "gb18030", "gb18030"),
        ("青いティーポット", "cp932", "cp932"),
        ("탁자 위의 파란 주전자", "euc-kr", "cp949"),
        ("Синий чайник", "cp1251", "cp1251"),
        ("Crème brûlée", "latin1", "cp1252"),
        ("29 € – “naïve”", "cp1252", "cp1252"),
        ("3°C 4°C 5°C 6°C 7°C 8°C 9°C 1°C", "cp1252", "cp1252"),
        ("紅色的杯子", "big5", None),
        ("красная кружка", "koi8-r", None),
        ("κόκκινη κούπα", "cp1253", None),
        ("赤いマグカップ", "euc-jp", None),
        ("茶", "gb18030", None),
    ],
)
def test_an_encoding_is_advised_only_where_it_makes_usual_text(
    text: str, written: str, probable: str | None, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(f"a,b\n1,{text}\n2,plain\n".encode(written))
    with pytest.raises(mg.TableError, match="Line 2 is not UTF-8 text: ") as refused:
        mg.read_table(tmp_path / "a.csv")
    if probable is None:
        assert "Its encoding cannot be told from its bytes: as cp1251, cp1252" in str(refused.value)
        assert "probably" not in str(refused.value)
    else:
        said = f"probably `encoding=\"{probable}\"`, by which it says '1,{text}'"
        assert said in str(refused.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"a": "x", "b": "y', "the line ends inside a text, as if it were cut off"),
        ('{"a": "x", "st', "the line ends inside a text, as if it were cut off"),
        ('{"a": "x", "b": 3', "the line ends before its object does, as if it were cut off"),
        ('{"a": "x", "b":', "the line ends before its object does, as if it were cut off"),
    ],
)
def test_a_line_that_is_cut_off_is_called_so_with_a_way_out(
    line: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"a": "x"}}\n{line}\n{{"a": "z"}}\n')
    with pytest.raises(mg.TableError, match=f"Line 2 is not a JSON object: {said}") as refused:
        mg.read_table(path)
    assert "or complete or remove the line" in str(refused.value)
