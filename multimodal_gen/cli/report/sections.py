"""Facts in the words of a report: what its reader needs first comes first.

Sections about something that a run does not have, such as the confusion of numbers, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    folds_section,
    importance_section,
    scores_section,
)
from multimodal_gen.cli.report.mistakes import Mistake, Mistakes
from multimodal_gen.cli.score_tables import ends
from multimodal_gen.errors import by_number, counted
from multimodal_gen.rows.cells import shown_name

# Of classes that are mistaken for each other, so many pairs.
_MOST_PAIRS = 15
# So few that a picture of all pairs can be read on a phone.
_FEW_CLASSES = 10
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
        folds_section(facts),
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
    inputs = [facts.called(name) for name in facts.inputs]
    named, more = inputs[:_MOST_INPUTS], len(inputs) - _MOST_INPUTS
    words = [*named, f"{more:,} more inputs"] if more > 1 else inputs
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{_label(facts)} from {listed}"


def _label(facts: Facts) -> str:
    columns = facts.known.settings["label"]
    return ", ".join(columns)


def _summary(facts: Facts) -> list[Block]:
    details, main = facts.metrics["details"], facts.main
    rows, classes = details["rows"], details.get("classes", [])
    value = facts.metrics["out_of_fold" if facts.folds else main]
    said = f"{score_title(details['score']).capitalize()}: "
    said += "none, as it cannot be computed" if value is None else as_score(value)
    if details["score"] in details["intervals"][main]:
        said += f" (95 % interval {ends(*details['intervals'][main][details['score']])})"
    elif value is not None:
        said += f", the mean of {counted(len(facts.known.settings['label']), 'number')}"
    kind = facts.known.settings["target"]
    what = {"class": "one of {} classes", "labels": "any of {} labels"}.get(kind, "a number")
    if facts.folds:
        said += f", on {counted(rows['folds'], 'row')}, each predicted by a model of other rows"
        trained = (
            f"It is the mean of {facts.folds:,} models, each trained on all folds but one of "
            f"{facts.folds:,}."
        )
    else:
        said += f", on {counted(rows['test'], 'test row')}"
        trained = (
            f"It was trained on {counted(rows['train'], 'row')}, with "
            f"{counted(rows['validation'], 'other row')} to choose by."
        )
    return [
        Words(f"{said}.", first=True),
        Words(
            f"The model predicts {what.format(f'{len(classes):,}')} of each row. {trained} "
            f"The run is called {Path(facts.known.settings['folder']).name!r}{_made(details)}."
        ),
    ]


def _made(details: Mapping[str, Any]) -> str:
    # When, and with which version.
    day, own = details["date"], details["versions"].get("multimodal_gen", "")
    return f", and was made on {day.partition('T')[0]} with multimodal_gen {own}"


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
        words = f"{facts.scored.capitalize()}s by true and predicted class"
        blocks.append(Picture("confusion.png", words, whole=len(names) <= _FEW_CLASSES))
    if pairs:
        count = int((off > 0).sum())
        some = f"The {len(pairs)} of {count:,} pairs" if count > len(pairs) else "Pairs"
        blocks.append(Words(f"{some} of classes that are mistaken most often:"))
        columns = ("true class", "predicted", f"{facts.scored}s", "of the true class")
        blocks.append(Table(columns, pairs, words=2))
    return Section("Which classes are mistaken for which", blocks)


def _mistakes(facts: Facts) -> Section:
    found = facts.mistakes
    if not found.rows:
        return Section("Worst mistakes", [Words(f"None: {found.title}.")])
    number = found.wrong is None
    said = (
        f"{found.title[:1].upper()}{found.title[1:]}. Here {_shown_rows(found)} Orange pixels, "
        "words and bars speak for the prediction, blue ones against it; bars show what each input "
        f"adds, and together lead from the {'number' if number else 'probability'} without inputs "
        f"to the one that is explained. {_left_out(found.background)} `multimodal-gen explain` "
        "does the same for any row."
    )
    target, several = facts.known.settings["target"], len(facts.known.settings["label"]) > 1
    heads = [_heading(one, target, several) for one in found.rows]
    rows = [
        (str(one.explanation.row), one.said, one.true, _without_inputs(one, target, several))
        for one in found.rows
    ]
    columns = ("row", "said", "off by" if number else "true", "without inputs")
    table = Table(columns, rows, words=3)
    cases = [(head, one.explanation) for head, one in zip(heads, found.rows, strict=True)]
    # Without a mistake, the rows are right ones.
    title = "The least sure rows" if found.wrong == 0 else "Worst mistakes"
    return Section(title, [Words(said), Cases(cases, table)])


def _shown_rows(found: Mistakes) -> str:
    # Which rows are shown, and in which order if there are several.
    count, wrong = len(found.rows), found.wrong
    some, order = counted(count, "row"), "the largest error first"
    if wrong:
        of = f"{count:,} of {counted(wrong, 'wrong row')}"
        some = of if wrong > count else counted(count, "wrong row")
        order = "the most confident first"
    elif wrong is not None:
        some, order = f"{some} that it is least sure of", "none of them wrong"
    end = f", {order}" if count > 1 else by_number(int(wrong == 0), ", which is right", "")
    return f"{by_number(count, 'is', 'are')} {some}{end}."


def _left_out(background: str) -> str:
    # What it means that an input is left out, and what the word for it in other places is.
    said = background.replace(" of the background", " of the training data")
    named = ' (the "background")' if said != background else ""
    return f"An input is left out by putting others in its place{named}: {said}."


def _heading(one: Mistake, target: str, several: bool) -> str:
    row, why = f"row {one.explanation.row}:", one.explanation
    if why.error is not None:
        return f"{row} said {one.said}; true: {one.true}"
    without = f"{_without_inputs(one, target, several)} without inputs"
    if target == "number":
        # What was said and is so of each number, and how far that is.
        return f"{row} {one.said}, {one.true}; {without}"
    if target == "labels":
        explained = f"{why.of} {why.value:.0%}, {why.baseline:.0%} without inputs"
        return f"{row} said {one.said}; true: {one.true}; explained: {explained}"
    return f"{row} said {one.said}, {without}; true: {one.true}"


def _without_inputs(one: Mistake, target: str, several: bool) -> str:
    # What the model says without any input, of the class, label or number that is explained.
    why = one.explanation
    if why.error is not None:
        return "unknown"
    value = f"{why.baseline:,.4g}" if target == "number" else f"{why.baseline:.0%}"
    return f"{why.of} {value}" if target == "labels" or several else value


def _training(facts: Facts, folder: Path) -> Section:
    one = facts.metrics["details"]["scores"][facts.main]
    if facts.folds:
        kept = "It holds the models of all folds."
    elif facts.kept is None:
        kept = "Kept is the linear probe; the curves are those of the network beside it."
    else:
        kept = f"Kept is epoch {facts.kept[0]:,} of {facts.kept[1]:,}."
    seconds = f"Training took {counted(round(one['seconds']), 'second')}."
    said = f"The saved model has {counted(facts.parameters, 'parameter')}. {kept} {seconds}"
    there = (folder / "curves.png").exists()
    pictures = [Picture("curves.png", "Loss and metrics by epoch")] if there else []
    return Section("Training", [Words(said), *pictures])
