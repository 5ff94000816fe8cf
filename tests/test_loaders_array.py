from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


@pytest.mark.parametrize(
    ("values", "spec"),
    [
        (pictures(9, 8, 8), mg.ArraySpec((8, 8, 1), "uint8", "image")),
        (pictures(9, 8, 8, 3), mg.ArraySpec((8, 8, 3), "uint8", "image")),
        (pictures(9, 8, 8, 2), mg.ArraySpec((8, 8, 2), "uint8", "vector")),
        (pictures(9, 8), mg.ArraySpec((8,), "uint8", "vector")),
        (pictures(9, 8, 8) / 255, mg.ArraySpec((8, 8), "float32", "vector")),
        (np.arange(9), mg.ArraySpec((), "int32", "vector")),
        ([[1, 2], [3, 4]], mg.ArraySpec((2,), "int32", "vector")),
        (pd.Series([None, [0.5, 1], None, [2, 3]]), mg.ArraySpec((2,), "float32", "vector")),
        (np.ones((3, 2), bool), mg.ArraySpec((2,), "bool", "vector")),
    ],
)
def test_shape_dtype_and_kind_are_learned_from_the_first_cell(
    values: object, spec: mg.ArraySpec
) -> None:
    loader = mg.ArrayLoader.from_values("x", values)
    assert loader.spec == spec
    cells = [cell for cell in values if cell is not None]
    mg.check_loader(loader, cells)


def test_grey_pictures_get_their_channel_without_a_copy() -> None:
    values = pictures(5, 28, 28)
    cell = mg.table_from_arrays(x=values)["x"][2]
    array = mg.ArrayLoader.from_values("x", values).read(cell)
    assert array.shape == (28, 28, 1)
    assert np.shares_memory(array, values)
    assert np.array_equal(array[:, :, 0], values[2])


def test_what_the_user_says_goes_before_what_would_be_learned() -> None:
    values = pictures(5, 8, 8)
    assert mg.ArrayLoader.from_values("x", values, kind="vector").spec == mg.ArraySpec(
        (8, 8), "uint8", "vector"
    )
    floats = mg.ArrayLoader.from_values("x", values, dtype="float32", kind="image")
    assert floats.spec == mg.ArraySpec((8, 8, 1), "float32", "image")
    assert np.array_equal(floats.read(values[0])[:, :, 0], values[0])
    ids = mg.ArrayLoader.from_values("x", [[1, 2], [4, 0]], kind="tokens", vocabulary_size=5)
    assert ids.spec == mg.ArraySpec((2,), "int32", "tokens", 5)
    with pytest.raises(
        mg.LoadError, match=r"every id must be in \[0, 5\).* Received: ids in \[1, 5\]"
    ):
        ids.read([1, 5])
    with pytest.raises(mg.LoadError, match=r"Received: ids in \[-1, 2\]"):
        ids.read([-1, 2])


@pytest.mark.parametrize(
    ("dtype", "cell", "expected"),
    [
        ("float32", np.array([0.1, 2.0]), [np.float32(0.1), 2.0]),
        ("float32", np.array([3, 4], "uint8"), [3.0, 4.0]),
        ("float16", [0.1, True], [np.float16(0.1), 1.0]),
        ("int32", np.array([3, -4], ">i8"), [3, -4]),
        ("uint8", [0, 255], [0, 255]),
        ("int64", np.array([True, False]), [1, 0]),
        ("float32", (1, 2), [1.0, 2.0]),
    ],
)
def test_cells_are_cast_where_no_value_changes(dtype: str, cell: object, expected: list) -> None:
    array = mg.ArrayLoader("x", shape=(2,), dtype=dtype).read(cell)
    assert array.dtype == dtype
    assert array.tolist() == expected


@pytest.mark.parametrize(
    ("dtype", "cell", "message"),
    [
        (
            "uint8",
            np.array([0.5, 1.0]),
            r"expected uint8, but casting float64 .* Received: dtype float64, values in",
        ),
        ("uint8", [0, 256], r"Received: dtype int64, values in \[0, 256\]"),
        ("uint8", np.array([-1, 5], "int8"), r"Received: dtype int8, values in \[-1, 5\]"),
        ("bool", [0, 1], "expected bool, but casting int64 would change values"),
        (
            "float32",
            np.array([1e39, 0]),
            "the array, as float32, holds NaN or infinity.*Received: 1 of 2 not finite",
        ),
        (
            "float32",
            [np.nan, np.inf],
            r"`np.nan_to_num`, or drop the row. Received: 2 of 2 not finite",
        ),
        (
            "float32",
            [1.0, 2.0, 3.0],
            r"expected an array of shape \(2,\), .* Received: shape \(3,\)",
        ),
        ("float32", np.ones((2, 1)), r"Received: shape \(2, 1\)"),
        (
            "float32",
            [[1], [2, 3]],
            "the lists have unequal lengths. Pad or cut them to one length.",
        ),
        ("float32", ["a", "b"], "expected an array of numbers. Received: dtype <U1"),
        ("float32", [1j, 0], "expected an array of numbers. Received: dtype complex128"),
        ("float32", [], r"expected an array of numbers. Received: dtype float64, shape \(0,\)"),
        ("float32", b"ab", "lists of numbers or the path of a .npy file. Received: bytes"),
        ("float32", {"x": 1}, "Received: dict"),
        ("float32", None, "the cell is missing"),
    ],
)
def test_a_cell_that_does_not_fit_is_an_error_that_names_the_rule(
    dtype: str, cell: object, message: str
) -> None:
    with pytest.raises(mg.LoadError, match=message):
        mg.ArrayLoader("x", shape=(2,), dtype=dtype).read(cell)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for row, picture in enumerate(pictures(4, 6, 7)):
        np.save(tmp_path / f"{row}.npy", picture)
    return tmp_path


def test_files_are_read_by_path_relative_to_the_directory(folder: Path) -> None:
    loader = mg.ArrayLoader.from_values("x", pd.Series(["0.npy", None, "1.npy"]), directory=folder)
    assert loader.spec == mg.ArraySpec((6, 7, 1), "uint8", "image")
    assert np.array_equal(loader.read("3.npy")[:, :, 0], pictures(4, 6, 7)[3])
    mg.check_loader(loader, ["0.npy", Path("1.npy"), folder / "2.npy", pictures(6, 7)])
    absolute = mg.ArrayLoader("x", shape=(6, 7), dtype="uint8")
    mg.check_loader(absolute, [str(folder / "2.npy")])


def test_files_in_another_order_of_bytes_or_axes_are_read_too(tmp_path: Path) -> None:
    values = np.arange(6, dtype=">f8").reshape(2, 3)
    np.save(tmp_path / "big.npy", values)
    np.save(tmp_path / "columns.npy", np.asfortranarray(values))
    loader = mg.ArrayLoader("x", shape=(2, 3), directory=tmp_path)
    assert np.array_equal(loader.read("big.npy"), values)
    assert np.array_equal(loader.read("columns.npy"), values)


def test_files_that_cannot_be_read_are_errors_with_the_path(folder: Path) -> None:
    whole = (folder / "0.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:-5])
    (folder / "head.npy").write_bytes(whole[:20])
    (folder / "empty.npy").write_bytes(b"")
    (folder / "text.npy").write_text("no numbers here")
    (folder / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    (folder / "folder.npy").mkdir()
    np.save(folder / "objects.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    np.savez(folder / "several.npz", a=np.zeros(2))
    loader = mg.ArrayLoader("x", shape=(6, 7), dtype="uint8", directory=folder)
    broken = r"not a .npy file of numbers \(as `np.save` writes\), or broken"
    for name, message in [
        ("gone.npy", "there is no such file: .*. Check the column, and `directory`"),
        ("folder.npy", "the path names a folder"),
        *(
            (name, broken)
            for name in (
                "cut.npy",
                "head.npy",
                "empty.npy",
                "text.npy",
                "pickle.npy",
                "several.npz",
            )
        ),
        ("objects.npy", f"{broken}: Array can't be memory-mapped: Python objects in dtype"),
    ]:
        with pytest.raises(mg.LoadError, match=message) as caught:
            loader.read(name)
        assert caught.value.path == str(folder / name)
    np.save(folder / "large.npy", pictures(7, 7))
    with pytest.raises(mg.LoadError, match=r"Received: shape \(7, 7\)") as caught:
        loader.read("large.npy")
    assert caught.value.path == str(folder / "large.npy")


class AddOne:
    """A picklable operation of your own."""

    def __call__(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (array + rng.integers(1, 3)).astype(array.dtype)


def test_image_operations_vary_uint8_images_and_any_callable_any_array() -> None:
    flip = mg.augment.RandomFlip("horizontal")
    images = mg.ArrayLoader("x", shape=(4, 6), dtype="uint8", augment=[flip, AddOne()])
    array = images.read(pictures(4, 6))
    drawn = {images.augment(array, np.random.default_rng(seed)).tobytes() for seed in range(20)}
    whole = [
        (turned + step).astype("uint8").tobytes()
        for turned in (array, array[:, ::-1])
        for step in (1, 2)
    ]
    assert drawn == set(whole)
    assert images.augment(array, None) is array
    # Loaded again it predicts: operations of your own are for training and have no place in a
    # config.
    assert images.get_config()["augment"] == [flip]
    numbers = mg.ArrayLoader("x", shape=(3,), augment=[AddOne()])
    assert numbers.augment(numbers.read([1, 2, 3]), np.random.default_rng(0)).tolist() in (
        [2, 3, 4],
        [3, 4, 5],
    )
    mg.check_loader(images, pictures(3, 4, 6))
    mg.check_loader(numbers, [[1, 2, 3]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 3)}, "`shape` must be a positive integer"),
        ({"shape": (3,), "dtype": "float33"}, "`dtype` must be the name of a NumPy dtype"),
        (
            {"shape": (3,), "dtype": "str"},
            "`dtype` must be one of real numbers or booleans. Received: dtype='str'",
        ),
        (
            {"shape": (3,), "kind": "image"},
            r"An image is \(height, width\) or .* Received: shape=\(3,\)",
        ),
        (
            {"shape": (3,), "vocabulary_size": 9},
            'needs ids, as with dtype="int32". Received: vocabulary_size=9',
        ),
        (
            {"shape": (3,), "vocabulary_size": 0, "dtype": "int32"},
            "`vocabulary_size` must be positive",
        ),
        ({"shape": (3,), "augment": 3}, "`augment` must be a list of callables"),
        ({"shape": (3,), "augment": ["flip"]}, "`augment` must be a list of callables"),
        (
            {"shape": (4, 4), "augment": [mg.augment.RandomFlip()]},
            r"for uint8 images with 1, 3 or 4 channels; .* Received: RandomFlip\(.*\) for vector "
            r"\(4, 4\) float32",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.ArrayLoader("x", **arguments)


def test_learning_names_the_row_that_is_not_like_the_first(folder: Path) -> None:
    values = pd.Series([None, np.zeros(3), np.zeros(3), np.zeros(4)], index=list("abcd"))
    with pytest.raises(
        mg.LoadError, match=r"index 'd', column 'x': expected .* \(3,\).* Received: shape \(4,\)"
    ):
        mg.ArrayLoader.from_values("x", values)
    with pytest.raises(
        mg.LoadError, match=r"index 1, column 'x', path '.*gone.npy': there is no such file"
    ):
        mg.ArrayLoader.from_values("x", ["0.npy", "gone.npy"], directory=folder)
    with pytest.raises(mg.LoadError, match=r"index 0, column 'x': expected .* Received: object"):
        mg.ArrayLoader.from_values("x", [object()])
    with pytest.raises(
        ValueError, match="At least one cell must hold an array. Received: 2 missing cells in 'x'"
    ):
        mg.ArrayLoader.from_values("x", [None, np.nan])


def test_a_file_is_not_blamed_for_a_parser_that_fails_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(folder / "one.npy", np.arange(6, dtype="uint8"))
    opened = np.lib.format.open_memmap
    failures = [SystemError("AST constructor recursion depth mismatch (before=45, after=41)")]

    def open_memmap(*arguments: object, **settings: object) -> np.ndarray:
        if failures:
            raise failures.pop()
        return opened(*arguments, **settings)

    monkeypatch.setattr(np.lib.format, "open_memmap", open_memmap)
    loader = mg.ArrayLoader("x", shape=(6,), dtype="uint8", directory=folder)
    assert loader.read("one.npy").tolist() == list(range(6))
    failures += [SystemError("once"), SystemError("twice")]
    with pytest.raises(mg.LoadError, match="broken: once"):
        loader.read("one.npy")


def test_a_sequence_reads_the_same_batches_from_memory_maps_and_files(folder: Path) -> None:
    values = pictures(4, 6, 7)
    buffer = io.BytesIO()
    np.save(buffer, values)
    (folder / "all.npy").write_bytes(buffer.getvalue())
    mapped = mg.table_from_arrays(x=np.load(folder / "all.npy", mmap_mode="r"))
    named = pd.DataFrame({"x": [f"{row}.npy" for row in range(4)]})
    loader = mg.ArrayLoader.from_values(
        "x", values, directory=folder, augment=[mg.augment.RandomFlip()]
    )
    batches = []
    for table in (mg.table_from_arrays(x=values), mapped, named):
        data = mg.MultimodalSequence(table, {"x": loader}, batch_size=3, shuffle=True, seed=1)
        batches.append([inputs for ((inputs,),) in data])
    for other in batches[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(batches[0], other, strict=True))
    assert batches[0][0].shape == (3, 6, 7, 1)
