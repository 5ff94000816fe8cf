"""What `train` and `audit` say of captions and labels beforehand."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.cli.label_checks import check_classes
from multimodal_gen.cli.part_checks import rare_classes_note
from multimodal_gen.cli.parts import Parts
from multimodal_gen.cli.table_notes import notes_on
from multimodal_gen.inspection.audit.sides import named_sides
from tests.cli_settings import settings


def notes(captions: Sequence[str | None], labels: Sequence[str], **more: object) -> list[str]:
    """Of a table of which every fifth row is for testing."""
    table = pd.DataFrame(
        {"caption": pd.Series(captions, dtype=object), "label": labels, "photo": "a.png"}
    )
    test = np.arange(len(table)) % 5 == 4
    parts = Parts(table[~test], table[:0], table[test])
    given = settings(**{"caption": ("caption",), **more})
    return notes_on(given, parts, {}, mg.ClassLabel.from_values("label", table))


def own(count: int) -> list[str]:
    return [f"a thing with the number {row}" for row in range(count)]


LABELS = ["mug", "lamp", "chair"] * 20


def test_captions_of_their_own_are_nothing_to_speak_of() -> None:
    assert notes(own(60), LABELS) == []


def test_captions_that_are_the_classes_in_other_words_are_noted() -> None:
    texts = {"mug": "drink from it", "lamp": "it shines", "chair": "sit down"}
    (note,) = notes([texts[label] for label in LABELS], LABELS)
    assert "there are 3 different captions in 60 rows, and each belongs to one class" in note
    assert notes(["drink from it ", "IT SHINES", "sit down"] * 20, LABELS) == [note], (
        "case and blanks are no difference"
    )
    assert notes(["\ud800", "\ud801 ", "\x00"] * 20, LABELS) == [note], "nor are odd characters"


def test_numbers_that_may_stand_for_missing_ones_are_noted() -> None:
    table = pd.DataFrame(
        {"price": np.linspace(5, 90, 60), "weight": np.linspace(1, 3, 60), "label": LABELS}
    )
    target = mg.ClassLabel.from_values("label", table)

    def said(table: pd.DataFrame) -> list[str]:
        loader = mg.NumericLoader.from_values(["price", "weight"], table)
        parts = Parts(table[:40], table[40:40], table[40:])
        return notes_on(settings(), parts, {"number": loader}, target)

    assert said(table) == []
    table.loc[[3, 50], "price"] = -999
    table.loc[7, "weight"] = 4e5
    assert said(table) == [
        "price: -999, in 2 rows, where all other rows have 5 to 90; if it stands for a missing "
        "value, leave these cells empty; `multimodal-gen audit` names the rows",
        "weight: 400000, where all other rows have 1 to 3; `multimodal-gen audit` names the rows",
    ]
    # A large table is not read whole.
    many = pd.concat([table] * 700, ignore_index=True)
    assert all("(21,000 rows looked at): " in note for note in said(many)) and said(many)


def test_captions_that_training_and_test_rows_share_are_noted_with_the_way_out() -> None:
    captions = own(60)
    captions[4] = captions[9] = captions[0]
    (note,) = notes(captions, LABELS)
    assert note.startswith(
        "caption: 2 of the 12 test rows (17%) have a caption that training rows have too"
    )
    assert note.endswith("; --group caption keeps equal captions in one part")
    for used in ("caption", "maker"):
        (grouped,) = notes(captions, LABELS, group=used)
        assert "--group" not in grouped, "a group is in use already"
    (given,) = notes(captions, LABELS, split="split")
    assert "--group" not in given
    gaps: list[str | None] = [None if row % 3 == 0 else text for row, text in enumerate(own(60))]
    assert notes(gaps, LABELS) == [], "what is missing is not a caption"
    blank = [
        "" if row % 3 == 0 else " " if row % 3 == 1 else text for row, text in enumerate(own(60))
    ]
    assert notes(blank, LABELS) == [], "nor is what is empty"


def test_equal_captions_are_not_to_be_grouped_where_folders_give_the_parts(tmp_path: Path) -> None:
    table = pd.DataFrame({"caption": ["one", "two", "one", "three"], "label": list("abab")})
    target = mg.ClassLabel.from_values("label", table)
    for words, given in (
        (["train", "train", "test", "test"], True),
        (["left", "left", "right", "right"], False),
    ):
        rows = table.assign(split=words)
        parts = Parts(rows[:2], rows[:0], rows[2:])
        (note,) = notes_on(settings(table=str(tmp_path), caption=("caption",)), parts, {}, target)
        assert ("--group" not in note) == given


def test_captions_that_hold_the_name_of_their_class_are_noted() -> None:
    (note,) = notes([f"a {label}, number {row}" for row, label in enumerate(LABELS)], LABELS)
    assert "100% of the captions contain the name of their own class" in note


@pytest.mark.parametrize(
    ("captions", "labels"),
    [
        (own(60), ["turn left", "turn right"] * 30),
        ([f"pfeil {row} zeigt nach {('links', 'rechts')[row % 2]}" for row in range(60)], LABELS),
        ([f"{row} una taza a la {('Izquierda', 'DERECHA')[row % 2]}" for row in range(60)], LABELS),
        (own(60), ["← exit", "exit →", "stairs"] * 20),
    ],
)
def test_words_for_sides_are_noted_where_pictures_are_mirrored(
    captions: list[str], labels: list[str]
) -> None:
    found = notes(captions, labels, image=("photo",))
    assert len(found) == 1
    assert "name a side" in found[0] and "--augment none" in found[0]
    assert notes(captions, labels, image=("photo",), augment="none") == []
    assert notes(captions, labels) == [], "there are no pictures"
    inputs = {
        "photo": mg.ImageLoader("photo"),
        "caption": mg.TextLoader.from_texts("caption", captions),
    }
    table = pd.DataFrame({"photo": "gone.png", "caption": captions, "label": labels})
    report = mg.audit(
        table, inputs, mg.ClassLabel.from_values("label", labels), progress=lambda cells: None
    )
    assert sum("name a side" in note for note in report.notes) == 1


def test_one_word_of_a_pair_alone_is_another_word() -> None:
    assert named_sides(["the right price"] * 9 + ["all links work"] * 9) == ([], 0.0)
    assert named_sides(["on the left", "on the right"]) == (["left", "right"], 1.0)
    assert named_sides(["leftover", "rightly"]) == ([], 0.0)


def test_two_hundred_thousand_rows_take_a_second_or_two() -> None:
    captions, labels = own(200_000), np.array(["mug", "lamp"] * 100_000, dtype=object)
    table = pd.DataFrame({"caption": captions, "label": labels})
    parts = Parts(table[:140_000], table[140_000:160_000], table[160_000:])
    target = mg.ClassLabel("label", ["lamp", "mug"])
    started = time.process_time()
    assert notes_on(settings(caption=("caption",)), parts, {}, target) == []
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            [f"{1.37 * row:.2f}" for row in range(60)],
            "numbers to predict, not classes: 60 different numbers in 60 rows",
        ),
        ([1.37 * row for row in range(60)], "numbers to predict"),
        (
            [(row * 37) % 300 for row in range(400)],
            "numbers to predict, not classes: 300 different numbers in 400 rows",
        ),
        ([row % 5 for row in range(60)], None),
        ([0.5 * (row % 5) for row in range(60)], None),
        (
            [f"{1.37 * row:.2f} EUR" for row in range(60)],
            "numbers with a unit or a comma, as in '0.00 EUR'",
        ),
        (
            [f"${row}.99" for row in range(60)] * 9,
            "numbers to predict, not classes: 60 different ones in 540 rows",
        ),
        ([f"{row},99" for row in range(60)], "numbers to predict"),
        ([f"{row} kg" for row in range(60)], "numbers to predict"),
        ([f"{row},2" + ",3" * (row % 2) for row in range(30)] * 2, None),
        ([f"sku{row % 30}" for row in range(60)], None),
        ([f"{row % 10} kg" for row in range(60)], None),
        ([True, False] * 30, None),
    ],
)
def test_a_column_of_prices_is_not_taken_for_classes(values: list, told: str | None) -> None:
    table, given = pd.DataFrame({"label": values}), settings(caption=("caption",))
    if told is None:
        assert check_classes(table, given) == []
        return
    with pytest.raises(mg.TableError, match=told) as caught:
        check_classes(table, given)
    assert "Use --target number" in str(caught.value) and "Received: --label label" in str(
        caught.value
    )
    assert check_classes(table, settings(caption=("caption",), target="number")) == []


@pytest.mark.parametrize(
    "values",
    [
        [f"sku{row}" for row in range(60)],
        [f"AB{row % 57}" for row in range(60)],
        # A small table, and one whose rows do not all have an id.
        [*[f"sku{row}" for row in range(9)], *[None] * 51],
        list(range(15)) + [None] * 45,
    ],
)
def test_a_column_of_ids_is_not_taken_for_classes(values: list) -> None:
    table = pd.DataFrame({"label": values})
    there = [value for value in values if value is not None]
    count = len(set(there))
    with pytest.raises(
        mg.TableError,
        match=rf"'label' holds {count} different classes in {len(there)} rows, like a column of ids"
        ".*as in --label CLASS.* Received: --label label",
    ) as refused:
        check_classes(table, settings(caption=("caption",)))
    assert ("use --target number" in str(refused.value)) == (there[1] == 1)
    table = table.dropna()
    # In Python a long tail of classes is the user's affair, and at most a warning.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mg.LabelWarning)
        assert len(mg.ClassLabel.from_values("label", table).class_names) == count
    assert (
        check_classes(
            pd.DataFrame({"label": [f"AB{row % 31}" for row in range(60)]}),
            settings(caption=("c",)),
        )
        == []
    )


def test_whole_numbers_with_rows_enough_may_be_classes_and_a_note_says_what_else_they_may_be() -> (
    None
):
    table = pd.DataFrame({"label": [row % 40 for row in range(400)]})
    (note,) = check_classes(table, settings(caption=("caption",)))
    assert note == (
        "label: 40 different numbers are used as classes; --target number predicts them as numbers"
    )


def test_classes_with_too_few_rows_are_noted_in_words_of_the_command_line() -> None:
    parts = {
        "training": pd.DataFrame({"kind": ["a", "b", "c", "e", "f"]}),
        "validation": pd.DataFrame({"kind": ["a", "d", "e", "f"]}),
        "test": pd.DataFrame({"kind": ["a", "b", "c", "e", "f"]}),
    }
    (note,) = rare_classes_note(parts, "kind")
    assert note == (
        "kind: 3 of 6 classes have too few rows for every part, and are absent from at least one: "
        "'b', 'c', 'd'; 1 of them has no training row; collect more rows, or write one class such "
        "as 'other' for all of them"
    )
    (note,) = rare_classes_note(
        {name: part[part["kind"].isin(["a", "b", "f"])] for name, part in parts.items()}, "kind"
    )
    assert note.startswith("kind: 1 of 3 classes has too few rows for every part, and is absent")
    (note,) = rare_classes_note(
        {name: part[part["kind"].isin(["a", "b", "c"])] for name, part in parts.items()}, "kind"
    )
    assert note.endswith(
        "'b', 'c'; is it the right --label? Ids, names and numbers to predict are not classes"
    )
    assert rare_classes_note(dict.fromkeys(parts, parts["test"]), "kind") == []
