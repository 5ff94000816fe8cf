from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.moments import Moments, moments_of_table


class NumberLoader(mg.Loader):
    """Pictures `(8, 8, 3)` made of a seed; counts how many it was asked for."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.spec = mg.ArraySpec((8, 8, 3), "float32", "image")
        self.threads: set[int] = set()

    def read(self, cell: Any) -> np.ndarray:
        self.threads.add(threading.get_ident())
        return picture(int(cell))


def picture(seed: int) -> np.ndarray:
    # Far from zero and of little spread: what sums of squares get wrong.
    return (1000.0 + np.random.default_rng(seed).normal(0, [0.5, 1, 2], (8, 8, 3))).astype(
        "float32"
    )


def test_moments_of_parts_add_up_to_those_of_the_whole() -> None:
    numbers = 1e6 + np.random.default_rng(0).normal(0, 1, (1000, 3)) @ np.array(
        [[1, 0.5, 0], [0, 1, 0], [0, 0, 1e-3]]
    )
    total = Moments.of(numbers[:1])
    for start, stop in ((1, 2), (2, 700), (700, 1000)):
        total += Moments.of(numbers[start:stop])
    assert total.count == 1000
    assert np.allclose(total.mean, numbers.mean(axis=0), rtol=1e-14)
    assert np.allclose(total.scatter / 1000, np.cov(numbers.T, bias=True), rtol=1e-9, atol=1e-9)


def test_moments_of_a_table_are_those_of_all_its_arrays_at_once() -> None:
    table = pd.DataFrame({"image": range(600)})
    pictures = np.stack([picture(seed) for seed in range(600)]).astype("float64")
    loader = NumberLoader("image")
    pixels = moments_of_table(loader, table, 3, verbose=0)
    assert pixels.count == 600 * 64
    assert np.allclose(pixels.mean, pictures.mean(axis=(0, 1, 2)), rtol=1e-12)
    assert np.allclose(
        pixels.scatter.diagonal() / pixels.count, pictures.var(axis=(0, 1, 2)), rtol=1e-9
    )
    whole = moments_of_table(loader, table, 192, verbose=0)
    assert whole.count == 600
    assert np.allclose(whole.mean, pictures.reshape(600, -1).mean(axis=0), rtol=1e-12)
    assert np.allclose(
        whole.scatter / 600, np.cov(pictures.reshape(600, -1).T, bias=True), atol=1e-9
    )
    assert threading.get_ident() not in loader.threads


def test_progress_is_shown_only_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"image": range(3)})
    moments_of_table(NumberLoader("image"), table, 3, verbose=0)
    assert capfd.readouterr() == ("", "")
    moments_of_table(NumberLoader("image"), table, 3, verbose=1)
    assert "3/3" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(None, "the cell is missing"), ("x", "NumberLoader.read failed with ValueError")],
)
def test_a_bad_cell_is_named_by_index_and_column(bad: object, reason: str) -> None:
    table = pd.DataFrame(
        {"image": [*range(300), bad]}, index=[f"row-{row}" for row in range(301)], dtype=object
    )
    with pytest.raises(mg.LoadError, match=f"index 'row-300', column 'image': {reason}"):
        moments_of_table(NumberLoader("image"), table, 3, verbose=0)


def test_a_table_without_rows_or_the_column_is_refused() -> None:
    for table, message in (
        (pd.DataFrame({"image": []}), "no rows"),
        (pd.DataFrame({"picture": [1]}), "no such column"),
    ):
        with pytest.raises(mg.TableError, match=message):
            moments_of_table(NumberLoader("image"), table, 3, verbose=0)
