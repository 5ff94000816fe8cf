from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.rows.table import cells_of, check_columns

TEXTS = ["NA", "None", "null", "a, b", 'say "x"', "ünï 😀", "two\nlines", " spaces "]


def test_a_table_comes_back_the_same_from_every_format(tmp_path: Path) -> None:
    table = pd.DataFrame({"caption": TEXTS, "number": np.arange(8) / 3, "label": list("aabbccdd")})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True, double_precision=15)
    table.to_parquet(tmp_path / "t.parquet")
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        read = mg.read_table(tmp_path / f"t.{suffix}")
        assert read["caption"].tolist() == TEXTS, suffix
        assert np.allclose(read["number"].astype(float), table["number"], rtol=1e-14), suffix
        assert read.index.tolist() == list(range(8))


def test_only_an_empty_csv_cell_is_missing_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("caption,n\nNA,1\n,2\n")
    assert mg.read_table(tmp_path / "t.csv")["caption"].isna().tolist() == [False, True]
    assert mg.read_table(tmp_path / "t.csv", na_values=["", "NA"])["caption"].isna().tolist() == [
        True,
        True,
    ]


def test_a_folder_of_class_folders_becomes_a_table(tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "cat/2.PNG", "dog/deep/1.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    (tmp_path / "cat" / "1.txt").write_text(" a cat\n")
    (tmp_path / ".hidden").write_text("")
    with pytest.warns(
        UserWarning, match=r"2 of the 3 pictures .* have no caption.*'cat/2.PNG' first"
    ):
        table = mg.read_table(tmp_path)
    assert table.to_dict("list") == {
        "image": ["cat/1.jpg", "cat/2.PNG", "dog/deep/1.jpg"],
        "caption": ["a cat", "", ""],
        "label": ["cat", "cat", "dog"],
    }
    loader = mg.ImageLoader("image", directory=tmp_path, image_size=(4, 4))
    assert loader.read(table["image"][1]).shape == (4, 4, 3)


def test_files_of_a_folder_that_are_left_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "1.jpg")
    Image.new("RGB", (4, 4)).save(tmp_path / "stray.jpg")
    with pytest.warns(
        UserWarning,
        match=r"Left out below .*: 1 picture outside the class folders \('stray.jpg'\)\.",
    ):
        assert len(mg.read_table(tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        (
            "none.csv",
            None,
            FileNotFoundError,
            "There is no such file or folder. Received: path=.*none.csv",
        ),
        ("a.xlsx", "x", mg.TableError, "a .csv, .tsv, .jsonl or .parquet file, or a folder"),
        ("b.xlsx", "x", mg.TableError, "Save its sheet as .csv, or pass .* of `pandas.read_excel`"),
        ("a.zip", "x", mg.TableError, "Unpack the archive, and name the table"),
        ("a.feather", "x", mg.TableError, "A .feather file is opened by `open_table`"),
        ("a.csv", "image,caption\n", mg.TableError, "The table has no rows"),
        ("b.csv", "", mg.TableError, "cannot be read"),
        ("a.jsonl", "{broken", mg.TableError, "cannot be read"),
        ("a.parquet", "no parquet", mg.TableError, "cannot be read.*a.parquet"),
    ],
)
def test_what_is_no_table_is_refused_by_name(
    tmp_path: Path, name: str, content: str | None, error: type[Exception], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        mg.read_table(tmp_path / name)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mg.TableError, match="No class folder contains a picture"):
        mg.read_table(tmp_path)


def test_a_missing_column_error_lists_columns_and_the_closest() -> None:
    table = pd.DataFrame({"image": [1], "caption": [2]})
    with pytest.raises(
        mg.TableError, match=r"it has \['image', 'caption'\]. Did you mean 'caption'.*'captoin'"
    ):
        check_columns(table, ["captoin"])
    with pytest.raises(mg.TableError, match="no rows"):
        check_columns(table[:0], ["image"])
    with pytest.raises(TypeError, match="pandas DataFrame. Received: dict"):
        check_columns({"image": [1]}, ["image"])
    with pytest.raises(mg.TableError, match="2 columns with the same name"):
        check_columns(table.rename(columns={"caption": "image"}), ["image"])


def make_table(rows: int = 1000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "label": rng.choice(list("abcd"), rows, p=[0.7, 0.2, 0.08, 0.02]),
            "shop": rng.integers(0, 60, rows),
        },
        index=[f"id{row}" for row in rng.permutation(rows)],
    )


@pytest.mark.parametrize(
    "arguments",
    [{}, {"stratify": "label"}, {"group": "shop"}, {"stratify": "label", "group": "shop"}],
)
def test_every_row_is_in_exactly_one_part_and_keeps_its_index_and_order(
    arguments: dict[str, str],
) -> None:
    table = make_table()
    parts = mg.split_table(table, (0.7, 0.1, 0.2), **arguments)
    assert sorted(pd.concat(parts).index) == sorted(table.index)
    for part, fraction in zip(parts, (0.7, 0.1, 0.2), strict=True):
        assert abs(len(part) / len(table) - fraction) < 0.03
        assert part.index.tolist() == [index for index in table.index if index in set(part.index)]
        assert part.equals(table.loc[part.index])


def test_strata_have_the_same_share_in_every_part() -> None:
    table = make_table()
    for part, fraction in zip(
        mg.split_table(table, (0.7, 0.1, 0.2), stratify="label"), (0.7, 0.1, 0.2), strict=True
    ):
        for label, count in table["label"].value_counts().items():
            assert abs((part["label"] == label).sum() - count * fraction) <= 1.5


def test_groups_are_never_torn_apart() -> None:
    for seed in range(5):
        parts = mg.split_table(
            make_table(), (0.5, 0.25, 0.25), stratify="label", group="shop", seed=seed
        )
        shops = [set(part["shop"]) for part in parts]
        assert not (shops[0] & shops[1] or shops[0] & shops[2] or shops[1] & shops[2])


def test_a_split_repeats_with_its_seed_and_differs_with_another() -> None:
    table = make_table()
    first, again, other = (
        mg.split_table(table, (0.5, 0.5), stratify="label", seed=seed)[0] for seed in (1, 1, 2)
    )
    assert first.index.tolist() == again.index.tolist()
    assert first.index.tolist() != other.index.tolist()


def test_rare_classes_go_to_the_largest_parts_and_are_named() -> None:
    table = pd.DataFrame({"label": ["common"] * 20 + ["pair"] * 2 + ["single"]})
    with pytest.warns(
        UserWarning, match="2 of the 3 classes in 'label' have too few rows.*'pair', 'single'"
    ):
        train, val, test = mg.split_table(table, (0.7, 0.1, 0.2), stratify="label")
    assert {"pair", "single"} <= set(train["label"])
    assert "pair" in set(test["label"])
    assert set(val["label"]) == {"common"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"fractions": (0.7, 0.2)}, ValueError, r"sum to one. Received: fractions=\(0.7, 0.2\)"),
        ({"fractions": (1.2, -0.2)}, ValueError, "must be positive"),
        ({"fractions": ()}, ValueError, "must be positive"),
        ({"fractions": (0.5, 0.5), "stratify": "lable"}, mg.TableError, "Did you mean 'label'"),
        (
            {"fractions": (0.5, 0.5), "stratify": "hole"},
            mg.TableError,
            "missing. Fill them, or .* Received: index 1 first, column 'hole'",
        ),
        (
            {"fractions": (0.5, 0.5), "group": "hole"},
            mg.TableError,
            "missing. Fill them, or .* Received: index 1 first, column 'hole'",
        ),
        ({"fractions": (0.5, 0.5), "group": "one"}, mg.TableError, "fewer groups than parts"),
        (
            {"fractions": (0.6, 0.1, 0.1, 0.1, 0.1)},
            mg.TableError,
            "too few rows to fill every part",
        ),
    ],
)
def test_a_split_that_cannot_be_made_says_why(
    arguments: dict, error: type[Exception], message: str
) -> None:
    table = pd.DataFrame({"label": list("abab"), "hole": ["x", None, "y", "y"], "one": 1})
    with pytest.raises(error, match=message):
        mg.split_table(table, **arguments)


def test_a_duplicate_index_is_refused_with_the_way_out() -> None:
    table = pd.DataFrame({"label": list("abab")}, index=[0, 1, 1, 2])
    with pytest.raises(
        mg.TableError, match=r"reset_index\(drop=True\)`. Received: index 1 more than once"
    ):
        mg.split_table(table, (0.5, 0.5))


def test_jsonl_keeps_text_that_looks_like_a_date(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"date": "2020-01-01", "caption": "1"}) + "\n")
    assert mg.read_table(tmp_path / "t.jsonl")["date"].tolist() == ["2020-01-01"]


def test_a_single_share_and_a_column_of_lists_are_refused_with_the_reason() -> None:
    table = pd.DataFrame({"tags": [["a"], ["b"]] * 5})
    with pytest.raises(
        TypeError, match=r"a share for each part, as in \(0.8, 0.2\). Received: fractions=0.2"
    ):
        mg.split_table(table, 0.2)
    with pytest.raises(mg.TableError, match="must hold single values.*Received: column='tags'"):
        mg.split_table(table, (0.5, 0.5), stratify="tags")


def test_links_to_folders_are_named_and_not_followed(tmp_path: Path) -> None:
    for folder in ("root/cat", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.png").write_bytes(b"")
    (tmp_path / "root" / "dog").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.warns(
        UserWarning,
        match=r"Left out .*: 1 link to a folder, because links are not followed \('dog'\)",
    ):
        table = mg.read_table(tmp_path / "root")
    assert table["image"].tolist() == ["cat/1.png"]


@pytest.mark.parametrize(
    "make",
    [
        lambda table: mg.ImageLoader(0),
        lambda table: mg.ImageLoader(column=np.int64(0)),
        lambda table: mg.TextLoader.from_texts(1, table),
        lambda table: mg.ClassLabel(2, ["cup", "hat"]),
        lambda table: mg.ClassLabel.from_values(2, table),
        lambda table: mg.NumericLoader([3], mean=[0], scale=[1]),
        lambda table: mg.NumericLoader.from_values([3], table),
        lambda table: mg.NumericTarget(3),
        lambda table: mg.ArrayLoader(3, shape=(2,)),
        lambda table: mg.split_table(table, (0.5, 0.5), stratify=2),
        lambda table: mg.split_table(table, (0.5, 0.5), group=2),
        lambda table: mg.BalancedSampler(2).weights(table),
    ],
)
def test_columns_of_a_table_without_a_header_are_refused_with_the_way_to_rename_them(make) -> None:
    table = pd.DataFrame(
        {0: ["1.png", "2.png"] * 2, 1: ["a b", "c d"] * 2, 2: ["cup", "hat"] * 2, 3: [1, 2, 3, 4]}
    )
    with pytest.raises(
        TypeError, match=r"(?s)table.columns = table.columns.astype\(str\)`. Received: column="
    ):
        make(table)


def test_cells_taken_out_of_a_column_in_pieces_are_those_of_one_piece() -> None:
    pieces = pa.chunked_array(
        [pa.array([str(row) for row in range(start, start + 50)]) for start in range(0, 500, 50)]
    )
    column = pd.Series(
        pd.array(pieces.to_pylist(), dtype="str" if pd.__version__ >= "3" else "string[pyarrow]")
    )
    in_pieces = pieces.to_pandas(types_mapper={pa.string(): column.dtype}.get)
    for rows in (np.array([3, 499, 3]), np.arange(500), slice(40, 60)):
        cells = cells_of(pd.DataFrame({"a": in_pieces}), "a", rows)
        assert cells == cells_of(pd.DataFrame({"a": column}), "a", rows) and type(cells[0]) is str


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_compressed_text_is_the_same_table(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"id": ["007", "8"], "caption": ['a "red" mug', "line\none"]})
    plain = tmp_path / f"t{suffix}"
    if suffix == ".jsonl":
        table.to_json(plain, orient="records", lines=True)
    else:
        table.to_csv(plain, index=False, sep="," if suffix == ".csv" else "\t")
    packed = tmp_path / f"t{suffix}.GZ"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    pd.testing.assert_frame_equal(mg.read_table(packed), mg.read_table(plain))
    pd.testing.assert_frame_equal(mg.open_table(packed), mg.read_table(plain))


def test_a_compressed_text_that_is_wrong_is_an_error_that_names_it(tmp_path: Path) -> None:
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 999 + b"1\n")
    for name, content, said in (
        ("lines.csv.gz", whole, "Line 1001 has 1 cell"),
        ("cut.csv.gz", whole[:-9], "damaged or cut off"),
        ("plain.csv.gz", b"a,b\n1,2\n", "damaged or cut off"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(mg.TableError, match=rf"{said}.*Received: path='.*{name}'"):
            mg.read_table(tmp_path / name)
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress(b"PAR1"))
    with pytest.raises(mg.TableError, match=r"must be a \.csv"):
        mg.read_table(tmp_path / "t.parquet.gz")
