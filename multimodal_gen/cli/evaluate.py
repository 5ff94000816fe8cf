"""`evaluate`: the scores of a run on the rows of a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from multimodal_gen.cli import explain_options, option_values, options
from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.opening import group_of, opened
from multimodal_gen.cli.option_words import OnErrorWord
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.score_tables import ends, few_cases, noted, print_classes
from multimodal_gen.errors import counted


def evaluate(
    run: options.RunFolder,
    table: options.TableFile,
    directory: options.Directory = None,
    split: options.ScoredSplit = None,
    split_names: options.SplitNames = None,
    group: options.ScoredGroup = None,
    on_error: options.OnError = OnErrorWord.RAISE,
    importance: explain_options.Importance = False,
    as_json: options.AsJson = False,
) -> None:
    """Score a trained model on the rows of a table."""
    console = Console()
    bundle, rows, folder = opened(console, run, table, directory)
    from multimodal_gen.cli.importance import importance_of, print_importance
    from multimodal_gen.cli.predict import finite, scored_rows, scores_of
    from multimodal_gen.cli.seen import seen_in, seen_in_words

    words = option_values.words(split_names)
    group, said = group_for(group, [run], rows.columns)
    scores, judged = scores_of(bundle, rows, split, words, on_error.value, folder, group)
    more = noted(judged)
    if group is not None:
        more |= {"group": group, "groups": judged.groups}
    seen = seen_in(run, bundle, scored_rows(rows, split, words).iloc[judged.held.positions])
    if importance:
        more["importance"] = importance_of(bundle, rows, split, words, on_error.value, group)
    if as_json:
        typer.echo(json.dumps(finite(scores | more | ({"seen": seen} if seen else {}))))
        return
    reporter = ProgressReporter(console)
    reporter.say(f"{run} on {counted(int(scores['rows']), 'row')} of {table}")
    known = seen_in_words(seen, bundle, judged.rows)
    for line in (known, said, few_cases(judged.groups, group)):
        if line is not None:
            reporter.say(line)
    title, number = option_values.score_title, option_values.as_score
    # Without the first, the number of rows, which is in the line above.
    intervals = {name: ends(low, high, 4) for name, (low, high) in more["intervals"].items()}
    values = [
        (title(score), number(value, 4), intervals.get(score, ""))
        for score, value in list(scores.items())[1:]
    ]
    print_table(console, None, ("score", "value", "95 % interval"), values)
    several = isinstance(judged.by_class, dict)
    for by_class in more["by_class"].values() if several else [more.get("by_class", {})]:
        print_classes(console, by_class, "--json")
    print_importance(console, more.get("importance"), "--json")


def group_for(
    group: str | None, runs: Sequence[Path], columns: Any
) -> tuple[str | None, str | None]:
    """The column of the cases in which rows are counted, and a line that says why.

    Args:
        group: What --group names, or None for what the runs were split by.
        runs: The folders of the runs.
        columns: The columns of the table.
    """
    if group is not None:
        return group, f"Rows with the same {group!r} count as one case, as --group says."
    for run in runs:
        own = group_of(run)
        if own is None:
            continue
        if own not in columns:
            return None, (
                f"note: {run} was trained with --group {own}, which this table lacks: rows are "
                "taken for independent, and intervals may be too narrow"
            )
        return own, (
            f"Rows with the same {own!r} count as one case, as {run} was trained with --group "
            f"{own}."
        )
    return None, None
