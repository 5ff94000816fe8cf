"""The sections of a report about what a run was made of: rows, split, notes, settings, versions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from multimodal_gen.cli.inference import gaps_as
from multimodal_gen.cli.report.blocks import Block, Points, Section, Table, Words
from multimodal_gen.cli.report.facts import Known
from multimodal_gen.errors import by_number, counted

# What is said elsewhere in a report, or is no option.
_ELSEWHERE = ("table", "folder", "gaps", "encoder_size")


def data_section(known: Known, metrics: Mapping[str, Any]) -> Section:
    """The table, its digest and its columns."""
    data, rows = known.data, metrics["details"]["rows"]
    total = sum(rows.values())
    lost = ""
    if known.left_out:
        lost = (
            f" {counted(known.left_out, 'more row')} could not be read and "
            f"{by_number(known.left_out, 'is', 'are')} left out; failures.csv lists them."
        )
    blocks: list[Block] = [
        Words(f"{counted(total, 'row')} of {known.settings['table']}.{lost}"),
        Table(
            ("column", "use", "missing cells", "different values"),
            [
                (
                    one.name,
                    one.use,
                    f"{one.missing:,}",
                    "" if one.different is None else f"{one.different:,}",
                )
                for one in data.columns
            ],
            words=2,
        ),
    ]
    if data.classes:
        counts = sorted(data.classes.values())
        what = "labels" if known.settings["target"] == "labels" else "classes"
        blocks.append(
            Words(
                f"{len(counts):,} {what}, with {counts[0]:,} to {counts[-1]:,} training rows each."
            )
        )
    blocks.append(
        Words(
            f"Digest of these columns: `{data.digest}`. Another run with the same digest had the "
            "same cells in the same parts; the files that cells name do not count."
        )
    )
    return Section("Data", blocks)


def split_section(known: Known, metrics: Mapping[str, Any]) -> Section:
    """How rows were assigned to parts."""
    settings, rows = known.settings, metrics["details"]["rows"]
    total = max(sum(rows.values()), 1)
    group = ""
    if settings["group"] is not None:
        group = f" Rows with the same {settings['group']!r} are one case in the intervals" + (
            "." if known.split.startswith("by ") else ", and stay in one part."
        )
    cells = [(name, f"{count:,}", f"{count / total:.0%}") for name, count in rows.items()]
    return Section(
        "Split",
        [
            Words(f"The rows were split {known.split}.{group}"),
            Table(("part", "rows", "share"), cells),
        ],
    )


def notes_section(known: Known) -> Section:
    """What was found in the table before training, and what was not looked for."""
    found: list[Block] = [Words("Nothing was found before training.")]
    if known.notes:
        found = [Points(known.notes)]
    table = shlex.quote(str(known.settings["table"]))
    unlooked = Words(
        "Before training, every cell was read, and pictures in several parts, captions that give "
        "the class away and words for sides were looked for. Near duplicates, odd pictures and "
        "texts, labels that contradict each other or are likely wrong were not: `multimodal-gen "
        f"audit` on {table} looks for these."
    )
    return Section("What is odd about the table", [*found, unlooked])


def settings_section(known: Known) -> Section:
    """The settings that have a value."""
    unused = set(_ELSEWHERE)
    if known.settings.get("folds") is not None:
        unused.add("fractions")
    if not (known.settings.get("image") or known.settings.get("images")):
        unused |= {"image_size", "augment"}
    settings = {**known.settings, **gaps_as(known.settings)}
    rows = [
        (f"--{name.replace('_', '-')}", _in_words(name, value))
        for name, value in settings.items()
        if name not in unused and value is not False and value not in (None, (), [])
    ]
    return Section("Settings", [Table(("option", "value"), rows, words=2)])


def _in_words(name: str, value: Any) -> str:
    if value is True:
        return "on"
    if name == "image_size":
        return "x".join(map(str, value))
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def versions_section(metrics: Mapping[str, Any]) -> Section:
    """What the run was made with."""
    details = metrics["details"]
    rows = [(name, str(version)) for name, version in details["versions"].items()]
    return Section("Versions", [Table(("package", "version"), rows, words=2)])
