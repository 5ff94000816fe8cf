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
from multimodal_gen.cli.report.mistakes import Mistake
from multimodal_gen.cli.score_tables import SHARES, difference_in_words, ends
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
        _scores(facts),
        _by_class(facts),
        _errors(facts),
        _confusion(facts, folder),
        _mistakes(facts),
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


def _main(facts: Facts) -> str:
    # What the saved model was trained on; the others are those of --ablate.
    return str(next(iter(facts.metrics)))


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
    details, main = facts.metrics["details"], _main(facts)
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
            f"{counted(rows['train'], 'row')}, and {counted(rows['validation'], 'row')} chose when "
            f"to stop. The run is called {Path(facts.known.settings['folder']).name!r}."
        ),
    ]


def _scores(facts: Facts) -> Section:
    details = facts.metrics["details"]
    scores = list(details["intervals"][_main(facts)])
    # Those that the command line prints come first.
    scores.sort(key=lambda score: score not in details["shown"])
    rows = [
        (
            score_title(score),
            *(
                f"{as_score(one[score])} ({ends(*details['intervals'][name][score])})"
                for name, one in details["scores"].items()
            ),
        )
        for score in scores
    ]
    several = len(details["scores"]) > 1
    columns = [f"from {name}" for name in details["scores"]] if several else ["test rows"]
    blocks: list[Block] = [
        Words(
            "With 95 % probability, the interval holds the score of this model on all rows of this "
            "kind. It does not say how another training would do."
        ),
        Table(("score", *columns), rows),
    ]
    blocks += [
        Words(f"{difference_in_words(score, one)}.")
        for score, one in details["differences"].items()
    ]
    return Section("Scores", blocks)


def _by_class(facts: Facts) -> Section:
    by_class: Mapping[str, Any] = facts.metrics["details"]["by_class"].get(_main(facts), {})
    if not by_class:
        return Section("", [])
    first = next(iter(by_class.values()))
    # F1 first, as a phone shows the left columns.
    shown = [name for name in reversed(SHARES) if name in first]
    # One without a score is neither the worst nor the best.
    names = sorted(by_class, key=lambda name: np.nan_to_num(by_class[name]["f1"], nan=2.0))
    rows = [
        (
            name,
            *(_share(by_class[name], one) for one in shown),
            f"{by_class[name]['rows']:,}",
            f"{facts.known.data.classes[name]:,}",
        )
        for name in names
    ]
    what = "label" if facts.known.settings["target"] == "labels" else "class"
    titles = [SHARES[one].replace("\n", " ") for one in shown]
    return Section(
        f"Scores by {what}",
        [
            Words("The lowest F1 first; each with its 95 % interval."),
            Table((what, *titles, "test rows", "training rows"), rows),
        ],
    )


def _share(row: Mapping[str, float], score: str) -> str:
    value, low, high = (100 * row[one] for one in (score, f"{score}_low", f"{score}_high"))
    return "none" if value != value else f"{value:.0f} ({low:.0f} to {high:.0f})"


def _errors(facts: Facts) -> Section:
    if facts.errors is None:
        return Section("", [])
    rows = [
        (str(name), *(f"{value:,.4g}" for value in one.tolist()))
        for name, one in facts.errors.iterrows()
    ]
    return Section(
        "Errors",
        [
            Words(
                "Prediction minus truth, in the units of the table: the mean, which is not 0 if "
                "predictions are too high or too low on the whole, and how large errors are "
                "without their sign."
            ),
            Table(("number", "mean", "half below", "nine tenths below", "largest"), rows),
        ],
    )


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
    heads = [_heading(one, facts.known.settings["target"]) for one in found.rows]
    rows = [(str(one.explanation.row), one.said, one.true) for one in found.rows]
    table = Table(("row", "said", "off by" if number else "true"), rows, words=3)
    cases = [(head, one.explanation) for head, one in zip(heads, found.rows, strict=True)]
    return Section("Worst mistakes", [Words(said), Cases(cases, table)])


def _heading(one: Mistake, kind: str) -> str:
    row = f"row {one.explanation.row}:"
    if kind == "number":
        # What was said and is so of each number, and how far that is.
        return f"{row} {one.said}, {one.true}"
    why = f"; why {one.explanation.of} has {one.explanation.value:.0%}" if kind == "labels" else ""
    return f"{row} said {one.said}, is {one.true}{why}"


def _training(facts: Facts, folder: Path) -> Section:
    one = facts.metrics["details"]["scores"][_main(facts)]
    if facts.kept is None:
        kept = "Kept is the linear probe; the curves are those of the network beside it."
    else:
        kept = f"Kept is epoch {facts.kept[0]:,} of {facts.kept[1]:,}."
    seconds = f"Training took {counted(round(one['seconds']), 'second')}."
    said = f"The saved model has {counted(facts.parameters, 'parameter')}. {kept} {seconds}"
    there = (folder / "curves.png").exists()
    pictures = [Picture("curves.png", "Loss and metrics by epoch")] if there else []
    return Section("Training", [Words(said), *pictures])
