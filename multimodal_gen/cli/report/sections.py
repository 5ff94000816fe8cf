"""Facts in the words of a report: what its reader needs first comes first.

Sections about something that a run does not have, such as the confusion of numbers, are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from multimodal_gen.cli.option_values import as_score, score_title
from multimodal_gen.cli.report.background import (
    data_section,
    notes_section,
    settings_section,
    split_section,
    versions_section,
)
from multimodal_gen.cli.report.blocks import Block, Cases, Picture, Report, Section, Table, Words
from multimodal_gen.cli.report.facts import Facts
from multimodal_gen.cli.report.figures import (
    by_class_section,
    calibration_section,
    errors_section,
    importance_section,
    main_of,
    scores_section,
)
from multimodal_gen.cli.report.mistakes import Mistake
from multimodal_gen.cli.score_tables import ends
from multimodal_gen.errors import by_number, counted
from multimodal_gen.rows.cells import shown_name

# Of classes that are mistaken for each other, so many pairs.
_MOST_PAIRS = 15
# As many inputs as a heading names.
_MOST_INPUTS = 4


def report_of(facts: Facts, folder: Path) -> Report:
    """A report.

    Args:
        facts: What is known of the run.
        folder: Its folder, whose pictures the report shows if they are there.
    """
    sections = [
        scores_section(facts),
        by_class_section(facts),
        errors_section(facts),
        _confusion(facts, folder),
        _mistakes(facts),
        calibration_section(facts, folder),
        importance_section(facts),
        _training(facts, folder),
        data_section(facts.known, facts.metrics),
        split_section(facts.known, facts.metrics),
        notes_section(facts.known),
        settings_section(facts.known),
        versions_section(facts.metrics),
    ]
    return Report(
        _title(facts), _summary(facts), [section for section in sections if section.blocks]
    )


def _title(facts: Facts) -> str:
    inputs = [str(name) for name in facts.inputs]
    named, more = inputs[:_MOST_INPUTS], len(inputs) - _MOST_INPUTS
    words = [*named, f"{more:,} more inputs"] if more > 1 else inputs
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{_label(facts)} from {listed}"


def _label(facts: Facts) -> str:
    columns = facts.known.settings["label"]
    return ", ".join(columns)


def _summary(facts: Facts) -> list[Block]:
    details, main = facts.metrics["details"], main_of(facts)
    rows, classes = details["rows"], details.get("classes", [])
    value = facts.metrics[main]
    said = f"{score_title(details['score']).capitalize()}: "
    said += "none, as it cannot be computed" if value is None else as_score(value)
    if details["score"] in details["intervals"][main]:
        said += f" (95 % interval {ends(*details['intervals'][main][details['score']])})"
    elif value is not None:
        said += f", the mean of {counted(len(facts.known.settings['label']), 'number')}"
    kind = facts.known.settings["target"]
    what = {"class": "one of {} classes", "labels": "any of {} labels"}.get(kind, "a number")
    return [
        Words(f"{said}, on {counted(rows['test'], 'test row')}.", first=True),
        Words(
            f"The model predicts {what.format(f'{len(classes):,}')} of each row. It was trained on "
            f"{counted(rows['train'], 'row')}, with {counted(rows['validation'], 'other row')} to "
            f"choose by. The run is called {Path(facts.known.settings['folder']).name!r}."
        ),
    ]


def _confusion(facts: Facts, folder: Path) -> Section:
    counts = facts.confusion
    if counts is None:
        return Section("", [])
    names = [shown_name(name) for name in facts.metrics["details"]["classes"]]
    totals = counts.sum(axis=1)
    off = counts * ~np.eye(len(names), dtype=bool)
    places = np.argsort(-off, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [
        (names[true], names[said], f"{off[true, said]:,}", f"{off[true, said] / totals[true]:.0%}")
        for true, said in zip(*np.unravel_index(places, off.shape), strict=True)
        if off[true, said]
    ]
    blocks: list[Block] = []
    if (folder / "confusion.png").exists():
        words = "Test rows by true and predicted class"
        blocks.append(Picture("confusion.png", words, whole=False))
    if pairs:
        count = int((off > 0).sum())
        some = f"The {len(pairs)} of {count:,} pairs" if count > len(pairs) else "Pairs"
        blocks.append(Words(f"{some} of classes that are mistaken most often:"))
        columns = ("true class", "predicted", "test rows", "of the true class")
        blocks.append(Table(columns, pairs, words=2))
    return Section("Which classes are mistaken for which", blocks)


def _mistakes(facts: Facts) -> Section:
    found = facts.mistakes
    if not found.rows:
        return Section("Worst mistakes", [Words(f"None: {found.title}.")])
    kind, order = "wrong rows", "the most confident first"
    if found.wrong is None:
        kind, order = "rows", "the largest error first"
    elif not found.wrong:
        kind, order = "rows that it is least sure of", "none of them wrong"
    some = f"{len(found.rows):,} {kind}"
    if found.wrong and found.wrong > len(found.rows):
        some = f"{len(found.rows):,} of {found.wrong:,} {kind}"
    said = (
        f"{found.title[:1].upper()}{found.title[1:]}. Here "
        f"{by_number(len(found.rows), 'is', 'are')} {some}, {order}. Orange pixels, words and bars "
        "speak for the prediction, blue ones against it; bars show what each input adds to it. "
        f"Instead of inputs that are left out: {found.background}. `multimodal-gen explain` does "
        "the same for any row."
    )
    number = found.wrong is None
    target, several = facts.known.settings["target"], len(facts.known.settings["label"]) > 1
    heads = [_heading(one, target, several) for one in found.rows]
    rows = [(str(one.explanation.row), one.said, one.true) for one in found.rows]
    table = Table(("row", "said", "off by" if number else "true"), rows, words=3)
    cases = [(head, one.explanation) for head, one in zip(heads, found.rows, strict=True)]
    return Section("Worst mistakes", [Words(said), Cases(cases, table)])


def _heading(one: Mistake, target: str, several: bool) -> str:
    row, why = f"row {one.explanation.row}:", one.explanation
    if target == "number":
        # What was said and is so of each number, and how far that is.
        explained = f"; explained: {why.of}" if several else ""
        return f"{row} {one.said}, {one.true}{explained}"
    explained = f"; explained: {why.of} ({why.value:.0%})" if target == "labels" else ""
    return f"{row} said {one.said}; true: {one.true}{explained}"


def _training(facts: Facts, folder: Path) -> Section:
    one = facts.metrics["details"]["scores"][main_of(facts)]
    if facts.kept is None:
        kept = "Kept is the linear probe; the curves are those of the network beside it."
    else:
        kept = f"Kept is epoch {facts.kept[0]:,} of {facts.kept[1]:,}."
    seconds = f"Training took {counted(round(one['seconds']), 'second')}."
    said = f"The saved model has {counted(facts.parameters, 'parameter')}. {kept} {seconds}"
    there = (folder / "curves.png").exists()
    pictures = [Picture("curves.png", "Loss and metrics by epoch")] if there else []
    return Section("Training", [Words(said), *pictures])
