from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.base import is_missing


@dataclass(frozen=True)
class WordCount(mg.Loader):
    """The loader of the docstring: nothing but `column`, `spec` and `read`."""

    column: str
    spec = mg.ArraySpec((1,), "float32")

    def read(self, cell: str) -> np.ndarray:
        return np.array([len(cell.split())], "float32")


class Scaled(mg.Loader):
    """A plain class with a random augmentation that keeps the contract."""

    def __init__(self, column: str, factor: float = 2.0) -> None:
        self.column, self.factor = column, factor
        self.spec = mg.ArraySpec((2,), "float32")

    def read(self, cell: float) -> np.ndarray:
        return np.array([cell, cell * self.factor], "float32")

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        return array if rng is None else (array + rng.random()).astype("float32")


def test_small_loaders_keep_the_contract() -> None:
    mg.check_loader(WordCount("caption"), ["a", "b c", ""])
    mg.check_loader(Scaled("price", factor=3), [1.0, 2.0])


def broken(**members: object) -> mg.Loader:
    """A loader of a new class in which some members are replaced by worse ones."""
    return type("Broken", (Scaled,), {"__module__": __name__, **members})("price")


COUNTER = iter(range(10**9))


def unsafe_read(self: Scaled, cell: float) -> np.ndarray:
    shared[0] = cell
    barrier_wait()
    return np.array([shared[0], 0], "float32")


shared = [0.0]


def barrier_wait() -> None:
    if threading.current_thread() is not threading.main_thread():
        threading.Event().wait(0.005)


class WithLock(Scaled):
    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.lock = threading.Lock()


class Forgetful(Scaled):
    def get_config(self) -> dict[str, object]:
        return {"column": self.column, "factor": 5.0}


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        ("no loader", "must derive from Loader. Received: loader='no loader'"),
        (
            broken(read=lambda self, cell: np.zeros(3, "float32")),
            r"Expected: \(2,\) float32. Received: \(3,\) float32",
        ),
        (
            broken(read=lambda self, cell: np.zeros(2)),
            r"read\(1.0\) must return what `spec` says.*float64",
        ),
        (
            broken(read=lambda self, cell: np.full(2, np.nan, "float32")),
            "must return finite numbers",
        ),
        (broken(read=lambda self, cell: [cell, cell]), "Expected a NumPy array. Received: list"),
        (
            broken(read=lambda self, cell: np.array([next(COUNTER), 0], "float32")),
            "the same array every time",
        ),
        (broken(read=unsafe_read), "safe to call from several threads"),
        (
            broken(read_batch=lambda self, cells: [np.zeros(2, "float32")] * len(cells)),
            "exactly what read does",
        ),
        (
            WithLock("price"),
            "must be picklable, so it cannot hold an open file, a lock or a lambda",
        ),
        (Forgetful("price"), r"from_config\(get_config\(\)\) must read the same"),
        (broken(get_config=lambda self: {"column": print}), "cannot be saved: Only JSON values"),
        (
            broken(augment=lambda self, a, rng: a + np.float32(next(COUNTER))),
            "must draw only from `rng`",
        ),
        (
            broken(augment=lambda self, a, rng: a if rng else a + np.float32(next(COUNTER))),
            "nothing random when `rng` is None",
        ),
        (
            broken(augment=lambda self, a, rng: a[:1]),
            r"augment of 1.0 must return what `spec` says",
        ),
        (
            broken(augment=lambda self, a, rng: np.add(a, 1, out=a)),
            "a new array, not write into the one it got",
        ),
        (
            broken(__init__=lambda self, column: object.__setattr__(self, "column", 3)),
            "column must be a column name",
        ),
        (
            broken(__init__=lambda self, column: object.__setattr__(self, "column", "a")),
            "spec must be an ArraySpec",
        ),
    ],
)
def test_each_broken_rule_is_named(
    loader: mg.Loader, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Classes made in this list must be found again when unpickled.
    monkeypatch.setitem(globals(), "Broken", type(loader))
    with pytest.raises(mg.LoaderError, match=message):
        mg.check_loader(loader, [1.0, 2.0])


class Network(Scaled):
    """As a network does: the last digits depend on what else is in the batch."""

    batch_tolerance = 1e-5
    error = 5e-6

    def read_batch(self, cells: list[float]) -> list[np.ndarray]:
        return [(self.read(cell) * (1 + self.error)).astype("float32") for cell in cells]


class Imprecise(Network):
    error = 1e-3


class Sloppy(Network):
    batch_tolerance = 0.5


class Whole(Network):
    def __init__(self, column: str) -> None:
        self.column, self.spec = column, mg.ArraySpec((2,), "int32")


def test_a_network_may_differ_in_a_batch_by_what_it_says() -> None:
    mg.check_loader(Network("price"), [1.0, 2.0, 1e6, 0.0])
    with pytest.raises(
        mg.LoaderError,
        match=r"to within 1e-05 of the largest number.*Received: a difference of 0.00",
    ):
        mg.check_loader(Imprecise("price"), [1.0])
    for loader, most in ((Sloppy("price"), "0.1"), (Whole("price"), "0")):
        with pytest.raises(
            mg.LoaderError, match=rf"must be a number in \[0, {most}\].*Received: batch_tolerance="
        ):
            mg.check_loader(loader, [1.0])


def test_check_loader_needs_a_cell() -> None:
    with pytest.raises(mg.LoaderError, match="at least one cell"):
        mg.check_loader(Scaled("price"), [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 3), "uint8"), "positive integer. Received: shape=.0, 3."),
        (((3.5,), "uint8"), "positive integer"),
        (((3,), "float33"), "`dtype` must be the name of a NumPy dtype. Received: dtype='float33'"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.ArraySpec(*arguments)


def test_a_spec_knows_its_bytes() -> None:
    assert mg.ArraySpec((4, 5, 3), "float32").nbytes == 240
    assert mg.ArraySpec((), "int64").nbytes == 8


def test_a_spec_reads_well() -> None:
    assert str(mg.ArraySpec((64, 64, 3), "uint8", "image")) == "image (64, 64, 3) uint8"


@pytest.mark.parametrize("cell", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT])
def test_what_counts_as_missing(cell: object) -> None:
    assert is_missing(cell)


@pytest.mark.parametrize("cell", ["", "nan", 0, 0.0, np.zeros(2), b"", [], {}])
def test_what_does_not_count_as_missing(cell: object) -> None:
    assert not is_missing(cell)


def test_loaders_do_not_change() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        Scaled("price").factor = 3
    assert Scaled("price").replace(factor=3).factor == 3


def test_numbers_are_standardised_with_training_statistics() -> None:
    train = pd.DataFrame({"price": [1.0, 3.0, np.nan], "stock": [5, 5, 5]})
    loader = mg.NumericLoader.from_values(["price", "stock"], train)
    assert loader.read((3.0, 6)).tolist() == [1.0, 1.0]
    single = mg.NumericLoader.from_values("price", train["price"], missing="mean")
    assert single.read(1.0).tolist() == [-1.0]
    assert single.read(float("nan")).tolist() == [0.0]
    mg.check_loader(loader, [(1.0, 2), (3, 4)])
    mg.check_loader(single, [1.0, None, pd.NA])


@pytest.mark.parametrize("cell", [None, float("inf"), "twelve", (1, 2), [1], {}])
def test_what_is_no_number_is_refused(cell: object) -> None:
    with pytest.raises(mg.LoadError, match="Received: "):
        mg.NumericLoader("price", mean=[0], scale=[1]).read(cell)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [0, 1], "scale": [1]}, r"need one finite number"),
        ({"mean": [0], "scale": [0]}, "`scale` must be positive"),
        (
            {"mean": [0], "scale": [1], "missing": "drop"},
            "`missing` must be one of .*'error', 'mean'",
        ),
    ],
)
def test_statistics_that_make_no_sense_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.NumericLoader("price", **arguments)
    with pytest.raises(ValueError, match=r"must be numbers\. .*Received"):
        mg.NumericLoader.from_values("price", ["a"])
    with pytest.raises(ValueError, match="at least one finite"):
        mg.NumericLoader.from_values("price", [np.nan])


def test_a_whole_table_in_place_of_cells_is_refused() -> None:
    with pytest.raises(
        mg.LoaderError, match=r"takes cells of one column, as in table\['price'\].head\(\)"
    ):
        mg.check_loader(
            mg.NumericLoader("price", mean=[0], scale=[1]), pd.DataFrame({"price": [1.0]})
        )
