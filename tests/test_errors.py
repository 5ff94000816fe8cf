from __future__ import annotations

import pickle
import re
import time
from pathlib import Path

import pytest

import multimodal_gen as mg
from multimodal_gen.errors import by_number, counted, seconds_in_words


def test_a_load_error_names_index_column_path_and_reason() -> None:
    error = mg.LoadError("it is broken.", path="a/b.jpg").at("row-7", "image")
    assert str(error) == "Cannot load index 'row-7', column 'image', path 'a/b.jpg': it is broken."
    assert (error.index, error.column, error.path) == ("row-7", "image", "a/b.jpg")


def test_a_load_error_crosses_processes_whole() -> None:
    error = mg.LoadError("it is broken.", index=3, column=("a", "b"), path="x")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.index, copy.column, copy.path) == (str(error), 3, ("a", "b"), "x")


def test_every_error_of_the_package_is_a_value_error_with_one_base() -> None:
    for error in (mg.TableError, mg.LoadError, mg.LoaderError, mg.BundleError):
        assert issubclass(error, mg.MultimodalError)
    assert issubclass(mg.MultimodalError, ValueError)


def nested(depth: int) -> list[object]:
    cell: list[object] = []
    for _ in range(depth):
        cell = [cell]
    return cell


HUGE = [
    nested(100_000),
    "9" * 10**7,
    b"1" * 10**7,
    10**5000,
    {"path": nested(100_000)},
    "\0",
    "\ud800",
    object(),
]


@pytest.mark.parametrize(
    "cell", HUGE, ids=["list", "text", "bytes", "integer", "mapping", "null", "surrogate", "object"]
)
def test_cells_without_end_give_an_array_or_a_short_error_in_bounded_time(cell: object) -> None:
    start = time.process_time()
    for loader in (
        mg.ImageLoader("x", image_size=(2, 2)),
        mg.ArrayLoader("x", shape=(2,)),
        mg.TextLoader.from_texts("x", ["a b"]),
        mg.TextLoader.from_texts("x", ["a b"], output_mode="ngrams"),
        mg.NumericLoader.from_values("x", [1.0, 2.0]),
        mg.ClassLabel("x", ["a", "b"]),
        mg.MultiLabel("x", ["a", "b"]),
        mg.NumericTarget.from_values("x", [1.0, 2.0]),
    ):
        try:
            array = loader.read(cell)
        except mg.LoadError as error:
            text = str(error)
            assert len(text) < 2000, text
        else:
            assert array.shape == loader.spec.shape
    assert time.process_time() - start < 5


def test_a_caption_longer_than_any_is_refused() -> None:
    with pytest.raises(
        mg.LoadError, match="may have at most 1,000,000 characters.*Received: 1,000,001 characters"
    ):
        mg.TextLoader.from_texts("x", ["a b"]).read("a" * 1_000_001)
    assert mg.TextLoader.from_texts("x", ["a b"]).read("a " * 500_000).any()


def test_a_table_nested_without_end_is_one_error(tmp_path: Path) -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"):
        (tmp_path / "deep.jsonl").write_text(text)
        with pytest.raises(mg.TableError, match=r"The table cannot be read.*Received: path="):
            mg.read_table(tmp_path / "deep.jsonl")


def test_a_word_goes_with_its_number() -> None:
    assert [by_number(number, "is", "are") for number in (0, 1, 2)] == ["are", "is", "are"]
    assert [seconds_in_words(one) for one in (1, 0.5)] == ["1 second", "0.5 seconds"]
    assert [counted(number, "row") for number in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]


# A number in braces before a noun in the plural and a verb: with 1, it would be wrong.
_WRONG = re.compile(
    r"\{[^{}]*:,\} (?:of (?:the )?\{[^{}]*\} )?(?:[a-z]+ )?(?:rows|pictures|cells|classes|files|"
    r"captions|values|labels)(?: in \{[^{}]*\})? (?:are|have|do|were|hold)\b"
)


def test_no_note_says_that_one_rows_are() -> None:
    package = Path(mg.__file__).parent
    found = [
        f"{path.relative_to(package)}: {one[0]}"
        for path in sorted(package.rglob("*.py"))
        # Texts of several lines are one.
        for one in _WRONG.finditer(re.sub(r'"\s*\n\s*f?"', "", path.read_text("utf-8")))
    ]
    # What is known to be many.
    many = ("within", "spelled", "contradicting", "sizes[", "blank:", "wide", "len(left)")
    assert [one for one in found if not any(word in one for word in many)] == []
    assert _WRONG.search("{lost:,} of {rows:,} rows are left out")
