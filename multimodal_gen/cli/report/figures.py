"""The sections of a report about how good a model is, in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_gen.cli.option_values import as_score, score_title
from multimodal_gen.cli.report.blocks import Block, Picture, Section, Table, Words
from multimodal_gen.cli.report.facts import Facts
from multimodal_gen.cli.score_tables import SHARES, difference_in_words, ends, few_cases
from multimodal_gen.errors import counted


def scores_section(facts: Facts) -> Section:
    """All scores of all models, and what they differ by."""
    details = facts.metrics["details"]
    scores = list(details["intervals"][facts.main])
    # Those that the command line prints come first.
    shown = details["shown"]
    scores.sort(key=lambda score: shown.index(score) if score in shown else len(shown))
    # A fold is told of in a table of its own.
    judged = {name: one for name, one in details["scores"].items() if name in details["intervals"]}
    rows = [
        (
            score_title(score),
            *(
                _with_ends(one[score], details["intervals"][name][score])
                for name, one in judged.items()
            ),
        )
        for score in scores
    ]
    columns = [name if facts.folds else f"from {facts.called(name)}" for name in judged]
    columns = columns if len(judged) > 1 else [f"{facts.scored}s"]
    these = "these models" if facts.folds else "this model"
    blocks: list[Block] = [
        Words(
            f"With 95 % probability, the interval holds the score of {these} on all rows of this "
            "kind. It does not say how another training would do."
        ),
        Table(("score", *columns), rows),
    ]
    cases = details["groups"]["folds" if facts.folds else "test"]
    few = few_cases(cases, facts.known.settings["group"])
    if few is not None:
        few = few.removeprefix("note: ")
        blocks.append(Words(f"{few[:1].upper()}{few[1:]}."))
    blocks += [
        Words(f"{difference_in_words(score, one)}.")
        for score, one in details.get("differences", {}).items()
    ]
    return Section("Scores", blocks)


def folds_section(facts: Facts) -> Section:
    """The scores of each fold, their mean and their spread."""
    details = facts.metrics["details"]
    if not facts.folds:
        return Section("", [])
    shown, ends_of = details["shown"], details["intervals_of_folds"]
    rows = [
        (name, *(_with_ends(one[score], ends_of.get(name, {}).get(score)) for score in shown))
        for name, one in details["scores"].items()
        if name not in details["intervals"]
    ]
    words = (
        "Each fold is predicted by a model of the others. The spread, their standard deviation, "
        "says how much another training on other rows would change; the interval of a fold, how "
        "much its rows leave open."
    )
    return Section(
        "Scores by fold", [Words(words), Table(("rows", *map(score_title, shown)), rows)]
    )


def _with_ends(value: float, interval: Sequence[float] | None) -> str:
    if interval is None:
        return as_score(value)
    low, high = interval
    return f"{as_score(value)} ({ends(low, high)})"


def by_class_section(facts: Facts) -> Section:
    """The scores of each class or label."""
    by_class: Mapping[str, Any] = facts.metrics["details"]["by_class"].get(facts.main, {})
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
            *([] if facts.folds else [f"{facts.known.data.classes[name]:,}"]),
        )
        for name in names
    ]
    what = "label" if facts.known.settings["target"] == "labels" else "class"
    titles = [SHARES[one].replace("\n", " ") for one in shown]
    training = [] if facts.folds else ["training rows"]
    return Section(
        f"Scores by {what}",
        [
            Words("The lowest F1 first; each with its 95 % interval."),
            Table((what, *titles, f"{facts.scored}s", *training), rows),
        ],
    )


def _share(row: Mapping[str, float], score: str) -> str:
    value, low, high = (100 * row[one] for one in (score, f"{score}_low", f"{score}_high"))
    return "none" if value != value else f"{value:.0f} ({low:.0f} to {high:.0f})"


def errors_section(facts: Facts) -> Section:
    """How large the errors of numbers are."""
    if facts.errors is None:
        return Section("", [])
    rows = [
        (str(name), *(_error(one, part) for part in ("mean", "half", "most", "all")))
        for name, one in facts.errors.iterrows()
    ]
    return Section(
        "Errors",
        [
            Words(
                "Prediction minus truth, in the units of the table: the mean, which is not 0 if "
                "predictions are too high or too low on the whole, and how large errors are "
                "without their sign. In brackets are 95 % intervals, as of the scores; the largest "
                f"is that of these {facts.scored}s."
            ),
            Table(("number", "mean", "half below", "nine tenths below", "largest"), rows),
        ],
    )


def _error(errors: Any, part: str) -> str:
    said = f"{errors[part]:,.4g}"
    if f"{part}_low" not in errors:
        return said
    return f"{said} ({errors[f'{part}_low']:,.4g} to {errors[f'{part}_high']:,.4g})"


def calibration_section(facts: Facts, folder: Path) -> Section:
    """How often probabilities are right."""
    found = facts.metrics["details"].get("calibration", {}).get(facts.main)
    if not found:
        return Section("", [])
    said = (
        "Predictions are sorted into bins by their probability, and the share of them that is "
        "right is compared with the mean probability. The expected calibration error, the mean "
        f"distance of the two, is {as_score(found['error'])} (95 % interval "
        f"{ends(found['low'], found['high'])}); probabilities without fault would have "
        f"{as_score(found['chance'])} by chance."
    )
    if facts.folds:
        said += (
            " These are the probabilities of single models. The saved one is their mean, whose "
            "probabilities may be less extreme, and which no rows are left to calibrate on."
        )
    there = (folder / "reliability.png").exists()
    words = "How often predictions are right, by their probability"
    pictures = [Picture("reliability.png", words)] if there else []
    return Section("Calibration", [Words(said), *pictures])


def importance_section(facts: Facts) -> Section:
    """What is lost without each input and column."""
    found = facts.metrics["details"].get("importance")
    if not found:
        return Section("", [])
    which = counted(found["rows"], "row" if facts.folds else "test row")
    if facts.folds:
        which += " of the folds, each seen by a model that was not trained on it,"
    blocks: list[Block] = [
        Words(
            f"What is lost on {which} when the cells of an input, or "
            "of one of its columns, are exchanged between rows, so that they tell nothing; the "
            f"mean of {counted(found['repeats'], 'exchange')}. If the interval holds 0, these rows "
            "show no loss."
        )
    ]
    for score in found["main"]:
        rows = [
            (
                facts.called(one["input"]) if one["column"] is None else f"– {one['column']}",
                as_score(one["lost"]),
                f"{one['low']:+z.3f} to {one['high']:+z.3f}",
            )
            for one in found["scores"][score]
        ]
        columns = ("input, – column", f"lost of the {score_title(score)}", "95 % interval")
        blocks.append(Table(columns, rows))
    return Section("What inputs are worth", blocks)
