"""What is learned from a column in files, or checked in it, never holds its cells all at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.cli import table_notes
from multimodal_gen.cli.columns import refuse_missing_labels
from multimodal_gen.cli.label_checks import check_classes
from multimodal_gen.cli.part_checks import rare_classes_note
from multimodal_gen.cli.parts import Parts, given_parts
from multimodal_gen.cli.unlabelled import unlabelled
from multimodal_gen.inspection.audit.labels import class_notes, read_labels
from multimodal_gen.inspection.audit.reading import read_others
from multimodal_gen.loaders.columns.inferring import count_missing
from multimodal_gen.loaders.columns.readable import date_loader, numeric_loader
from multimodal_gen.rows import chunks
from multimodal_gen.rows.stores import column
from tests.cli_settings import settings

ROWS = 20_000
# Bytes for each row, as some numbers take; the objects of its cells would be as many again.
MOST = {"split": 100, "notes": 90, "audit": 180}


@pytest.fixture(scope="module")
def memory() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    tags = [f"tag {one}" for one in range(30)]
    days = pd.date_range("2020-01-01", periods=900).strftime("%d/%m/%Y")
    return pd.DataFrame(
        {
            "image": [f"pictures/{row // 2:06}.jpg" for row in range(ROWS)],
            "caption": [f"a thing of number {row}" for row in range(ROWS)],
            "label": [f"class {one}" for one in rng.integers(0, 9, ROWS)],
            "date": days[rng.integers(0, 900, ROWS)],
            "tags": ["|".join(sorted(rng.choice(tags, 4, replace=False))) for _ in range(ROWS)],
            "part": rng.choice(["train", "val", "test"], ROWS),
            "price": [f"{one:.3f}" for one in rng.normal(size=ROWS)],
        }
    )


@pytest.fixture(scope="module")
def stored(memory: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("large") / "table.parquet"
    memory.to_parquet(path, row_group_size=1000)
    return mg.open_table(path)


def labels_of(table: pd.DataFrame) -> Any:
    target = mg.ClassLabel("label", [f"class {one}" for one in range(9)])
    codes, found = read_labels(table, target, np.ones(len(table), bool), lambda count: None)
    return codes.sum(), found, class_notes(table, target)


def dates_of(table: pd.DataFrame) -> Any:
    loader = mg.DateLoader.from_values("date", table["date"])
    findings, codes = read_others(table, loader, lambda count: None)
    return loader, findings, codes.max()


def notes_of(table: pd.DataFrame) -> Any:
    parts = [table.iloc[:12_000], table.iloc[12_000:16_000], table.iloc[16_000:]]
    given = settings(caption=("caption",))
    target = mg.ClassLabel("label", [f"class {one}" for one in range(9)])
    return table_notes.notes_on(given, Parts(*parts), {}, target)


def labels_in_words(table: pd.DataFrame) -> Any:
    classes = settings()
    several = settings(label=("tags",), target="labels", separator="|")
    refuse_missing_labels(table, classes)
    found = check_classes(table, classes), check_classes(table, several)
    return found, unlabelled(table, classes), unlabelled(table, several)


def audit_of(table: pd.DataFrame) -> Any:
    loader = mg.TextLoader.from_texts("caption", ["a thing of number 1"], vocabulary_size=300)
    target = mg.ClassLabel("label", [f"class {one}" for one in range(9)])
    found = mg.audit(table, {"caption": loader}, target, progress=lambda count: None)
    return found.problems["message"].tolist(), found.notes, found.duplicates.tolist()


KINDS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "split": lambda table: [
        len(one) for one in mg.split_table(table, (0.8, 0.2), stratify="label")
    ],
    "parts that are named": lambda table: [
        len(one) for one in given_parts(table[["part"]], "part")
    ],
    "rare classes": lambda table: rare_classes_note({"train": table, "test": table}, "label"),
    "numbers to predict": lambda table: mg.NumericTarget.from_values("price", table),
    "dates": lambda table: mg.DateLoader.from_values("date", table),
    "dates among others": lambda table: date_loader(table["date"], None, "error"),
    "numbers among others": lambda table: numeric_loader(["price"], table, missing="mean"),
    "several labels": lambda table: mg.MultiLabel.from_values(
        "tags", table, separator="|", positive_weight="balanced"
    ),
    "classes": lambda table: mg.ClassLabel.from_values("label", table),
    "missing items": lambda table: count_missing(table["tags"], "texts"),
    "audit": audit_of,
    "audit of labels": labels_of,
    "audit of cells": dates_of,
    "notes": notes_of,
    "labels of a run": labels_in_words,
}


@pytest.mark.filterwarnings("ignore::multimodal_gen.LeakageWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_is_gone_through_and_gives_what_it_gives_in_memory(
    kind: str, memory: pd.DataFrame, stored: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_notes, "_LOOKED_AT", 1000)
    expected = KINDS[kind](memory)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1000)
    monkeypatch.setattr(column, "CHUNK_ROWS", 1000)
    monkeypatch.setattr(chunks.chunk_slices, "__defaults__", (1000,))
    assert KINDS[kind](stored) == expected
    tracemalloc.start()
    KINDS[kind](stored)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST.get(kind, 60) * ROWS
