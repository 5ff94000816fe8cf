"""The cache in one process: the same arrays as without it, never stale, within its limit."""

from __future__ import annotations

import pickle
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from digest_loader import CELLS, ROW_BYTES, DigestLoader, cached, reads, reads_of

import multimodal_gen as mg
from multimodal_gen.batch.cache import ArrayCache, as_text, estimate
from multimodal_gen.batch.cache.folder import size_of
from multimodal_gen.batch.cache.index import Index


def files_of(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(f"*/{pattern}"))


def test_what_was_read_once_is_served_from_then_on(tmp_path: Path) -> None:
    loader = DigestLoader("text")
    cache = cached(tmp_path, loader)
    assert reads_of(cache, CELLS) == CELLS
    assert reads_of(cache, CELLS[::-1]) == []
    array = cache.read(CELLS[0])
    assert not array.flags.writeable
    cache.cache.close()
    again = cached(tmp_path, loader)
    assert reads_of(again, [*CELLS, "new"]) == ["new"]
    np.testing.assert_array_equal(array, loader.read(CELLS[0]))


def test_pictures_captions_and_their_batches_are_the_same_to_the_byte(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    texts = picture_table["caption"].tolist()
    loaders = [
        (
            mg.ImageLoader("image", directory=tmp_path, image_size=(8, 9)),
            picture_table["image"].tolist(),
        ),
        (
            mg.ImageLoader("image", directory=tmp_path, image_size=(8, 9), dtype="float32"),
            list(picture_table["image"]),
        ),
        (mg.TextLoader.from_texts("caption", texts), texts),
        (mg.TextLoader.from_texts("caption", texts, output_mode="ngrams"), texts),
    ]
    for loader, cells in loaders:
        fresh = np.stack(loader.read_batch(cells)).tobytes()
        for _ in range(2):
            cache = cached(tmp_path / "cache", loader)
            assert np.stack(cache.read_batch(cells)).tobytes() == fresh
            assert np.stack([cache.read(cell) for cell in cells]).tobytes() == fresh
            cache.cache.close()
    assert len(list((tmp_path / "cache").iterdir())) == 1 + len(loaders)


def test_a_batch_asks_the_loader_at_once_for_what_is_not_kept(tmp_path: Path) -> None:
    cache = cached(tmp_path, DigestLoader("text"))
    cache.read(CELLS[1])
    reads.clear()
    arrays = cache.read_batch(CELLS[:3])
    assert reads == [CELLS[0], CELLS[2]]
    assert [array.tobytes() for array in arrays] == [
        cache.loader.read(cell).tobytes() for cell in CELLS[:3]
    ]
    assert reads_of(cache, CELLS[:3]) == []


def test_numbers_labels_and_arrays_are_not_worth_it(tmp_path: Path) -> None:
    array = mg.ArrayLoader("array", shape=(2,))
    cheap = [
        mg.ClassLabel("label", ["a", "b"]),
        mg.MultiLabel("label", ["a", "b"]),
        mg.NumericLoader("price", mean=[0.0], scale=[1.0]),
        mg.NumericTarget.from_values("price", [1.0, 2.0]),
        array,
        mg.InputTarget(array),
    ]
    assert [ArrayCache(tmp_path).of(one) for one in cheap] == [None] * len(cheap)
    assert estimate(cheap, 1000) == 0


def test_an_input_that_is_the_target_too_is_kept_once(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    image = mg.ImageLoader("image", directory=tmp_path, image_size=(8, 8))
    text = mg.MaskedTextLoader(mg.TextLoader.from_texts("caption", picture_table["caption"]))
    cache = ArrayCache(tmp_path / "cache")
    pairs = [(image, mg.InputTarget(image), "image"), (text, mg.MaskedTokens(text), "caption")]
    for loader, target, column in pairs:
        cell = picture_table[column].iloc[0]
        for one in (loader, target, target):
            found = cache.of(one)
            assert found is not None
            assert found.read(cell).tobytes() == one.read(cell).tobytes()
            assert found.read_batch([cell])[0].tobytes() == one.read(cell).tobytes()
            assert len(found.folder) == 1
    assert estimate([image, mg.InputTarget(image)], 7) == estimate([image], 7) > 7 * 8 * 8 * 3


def test_the_limit_holds_and_one_warning_says_what_would_be_needed(tmp_path: Path) -> None:
    limit = 20 * ROW_BYTES
    cache = ArrayCache(tmp_path, limit=limit)
    first, second = DigestLoader("text"), DigestLoader("text", "salt")

    caches = [cache.of(loader, num_rows=len(CELLS)) for loader in (first, second)]

    def read(cell: str) -> None:
        for found, loader in zip(caches, (first, second), strict=True):
            assert found is not None
            assert found.read(cell).tobytes() == loader.read(cell).tobytes()
            assert cache.size() <= limit

    def read_all() -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(read, CELLS))

    with pytest.warns(UserWarning, match="has reached its limit") as warned:
        read_all()
    assert len(warned) == 1
    needed = as_text(estimate([first, second], 40))
    expected = (
        f"limit. The 40 rows of the table would take about {needed}. Set a higher `cache_limit`"
    )
    assert expected in str(warned[0].message) and str(warned[0].message).endswith(
        f"cache_limit={limit}"
    )
    cache.close()
    assert limit - 3 * ROW_BYTES < cache.size() <= limit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = cached(tmp_path, first, limit)
        assert len(reads_of(again, CELLS)) < 40
    reads_of(cached(tmp_path, first), CELLS)
    assert reads_of(cached(tmp_path, first), CELLS) == []


def test_a_limit_with_room_for_all_is_not_reached_whichever_loader_comes_first(
    tmp_path: Path,
) -> None:
    loaders = [DigestLoader("text", str(number)) for number in range(5)]
    cache = ArrayCache(tmp_path, limit=2 * estimate(loaders, len(CELLS)))
    for cell in CELLS:
        for loader in loaders:
            found = cache.of(loader)
            assert found is not None
            found.read(cell)
    assert all(reads_of(cached(tmp_path, loader), CELLS) == [] for loader in loaders)


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    for limit in (0, -1, True, 1.5):
        with pytest.raises(
            ValueError, match=r"`cache_limit` must be a positive integer. Received: cache_l"
        ):
            ArrayCache(tmp_path, limit=limit)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="`cache` must be a directory"):
        ArrayCache(tmp_path / "file")


def test_a_loader_that_cannot_be_written_down_is_left_out_with_a_warning(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    with pytest.warns(UserWarning, match=r"cannot be used in full.*Only JSON values"):
        assert cache.of(DigestLoader("text", print)) is None  # type: ignore[arg-type]
    assert estimate([DigestLoader("text", print)], 5) == 0  # type: ignore[arg-type]


def test_the_size_is_known_before(tmp_path: Path) -> None:
    loader = DigestLoader("text")
    cache = cached(tmp_path, loader)
    reads_of(cache, CELLS)
    cache.cache.close()
    told = estimate([loader, loader], len(CELLS))
    assert told <= size_of(str(tmp_path)) < told + 2000
    assert [as_text(size) for size in (0, 999, 1000, 123_456, 151_000_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "123 kB",
        "151 GB",
    ]


def test_arrays_on_disk_are_plain_npy_files(tmp_path: Path) -> None:
    cache = cached(tmp_path, DigestLoader("text"))
    reads_of(cache, CELLS)
    cache.cache.close()
    (path,) = files_of(tmp_path, "*.npy")
    rows = np.load(path, mmap_mode="r")
    assert {row.tobytes() for row in rows["array"]} == {
        cache.loader.read(cell).tobytes() for cell in CELLS
    }


@pytest.mark.parametrize("sealed", [True, False])
def test_damaged_files_are_never_served(tmp_path: Path, sealed: bool) -> None:
    rng = np.random.default_rng(0)
    for turn in range(24):
        directory = tmp_path / str(turn)
        cache = cached(directory, DigestLoader("text"))
        reads_of(cache, CELLS)
        cache.cache.close()
        (data,), (index,) = files_of(directory, "*.npy"), files_of(directory, "*.idx")
        path = (index, data)[turn % 2]
        content = bytearray(path.read_bytes())
        # The arrays of a finished segment were safely on disk; what may be hit is everything else.
        if turn % 4 < 2 or (sealed and turn % 2):
            path.write_bytes(content[: rng.integers(len(content))])
        else:
            for place in rng.integers(len(content), size=5):
                content[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(content)
        if not sealed:
            index.rename(index.with_suffix(".idx.open"))
        again = cached(directory, DigestLoader("text"))
        reads_of(again, CELLS)
        assert reads_of(again, CELLS) == []
        again.cache.close()
        assert not files_of(directory, "*.open")


def test_an_array_is_served_under_its_own_key_alone(tmp_path: Path) -> None:
    cache = cached(tmp_path, DigestLoader("text"))
    reads_of(cache, CELLS)
    cache.cache.close()
    (index,) = files_of(tmp_path, "*.idx")
    records = np.frombuffer(index.read_bytes(), "V24")
    index.write_bytes(np.roll(records, 1).tobytes())
    assert reads_of(cached(tmp_path, DigestLoader("text")), CELLS) == CELLS


def test_pickling_takes_the_directory_and_the_limit_along(tmp_path: Path) -> None:
    cache = cached(tmp_path, DigestLoader("text"), 10**8)
    reads_of(cache, CELLS)
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.cache.directory, copy.cache.limit) == (str(tmp_path), 10**8)
    assert reads_of(copy, CELLS) == []


def test_many_threads_write_and_read_at_once(tmp_path: Path) -> None:
    cache = cached(tmp_path, DigestLoader("text"))
    cells = [CELLS[number] for number in np.random.default_rng(0).integers(0, 40, 2000)]
    expected = {cell: cache.loader.read(cell).tobytes() for cell in CELLS}
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda cell: cache.read(cell).tobytes(), cells)) == [
            expected[cell] for cell in cells
        ]
    assert len(cache.folder) == len(CELLS)
    cache.cache.close()
    rows = sum(len(np.load(path, mmap_mode="r")) for path in files_of(tmp_path, "*.npy"))
    assert rows == len(CELLS)


def test_an_entry_of_the_index_takes_12_bytes() -> None:
    rng = np.random.default_rng(0)
    numbers = np.unique(rng.integers(0, 2**64, 300_000, "uint64"))
    rng.shuffle(numbers)
    index = Index()
    index.add_many(numbers[:200_000], np.arange(200_000, dtype="uint32"))
    for place, number in enumerate(numbers[200_000:].tolist(), 200_000):
        index.add(number, place)
    assert len(index) == len(numbers)
    assert [index.find(number) for number in numbers.tolist()] == list(range(len(numbers)))
    assert [index.find(number) for number in (0, 1, 2**64 - 1)] == [None] * 3
    index.add_many(numbers[:5], np.full(5, 7, "uint32"))
    assert index.find(int(numbers[3])) == 3
    assert index.nbytes == 12 * len(index)


def test_a_hit_opens_no_file(picture_table: pd.DataFrame, tmp_path: Path) -> None:
    cache = cached(
        tmp_path / "cache", mg.ImageLoader("image", directory=tmp_path, image_size=(8, 8))
    )
    opened: list[object] = []
    watching = True

    def watch(event: str, arguments: tuple) -> None:
        if watching and event in ("open", "os.listdir", "os.scandir"):
            opened.append(arguments[0])

    # A hook stays for the life of the process; this one looks away after the test.
    sys.addaudithook(watch)
    cache.read("0.png")
    assert opened, "the picture is read once"
    opened.clear()
    for _ in range(3):
        cache.read("0.png")
    watching = False
    assert not opened
