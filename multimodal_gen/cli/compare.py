"""`compare`: two runs on the same rows, and whether their difference can be chance."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from multimodal_gen.cli import option_values, options
from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.evaluate import group_for
from multimodal_gen.cli.opening import folder_in_words, folder_of_training, refuse_swapped
from multimodal_gen.cli.option_values import score_title
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.score_tables import few_cases, with_ends
from multimodal_gen.cli.starting import starting
from multimodal_gen.errors import counted

if TYPE_CHECKING:
    import pandas as pd

OtherRun = Annotated[
    Path,
    typer.Argument(metavar="OTHER_RUN", help="Folder of the run that it is compared with."),
]
ComparedTable = Annotated[
    str | None,
    typer.Argument(
        metavar="TABLE", help="The rows to compare them on. Default: the test rows of both runs."
    ),
]


def compare(
    run: options.RunFolder,
    other: OtherRun,
    table: ComparedTable = None,
    directory: options.Directory = None,
    split: options.ScoredSplit = None,
    split_names: options.SplitNames = None,
    group: options.ScoredGroup = None,
) -> None:
    """Compare two trained models on the same rows, and say whether they differ by chance."""
    option_values.folder_of_pictures(directory)
    if table is not None:
        for one in (run, other):
            refuse_swapped(one, table, "the table")
    if table is None and split is not None:
        raise ValueError(
            "--split is for a table: name one after the runs. Without one, their own test rows are "
            f"compared. Received: --split {split}"
        )
    console = Console()
    source, places = (table, None) if table is not None else _own_rows(run, other)
    with starting(console, trains=False):
        from multimodal_gen.bundle import load_bundle
        from multimodal_gen.cli.bad_rows import check_rows
        from multimodal_gen.cli.given_table import read_given
        from multimodal_gen.cli.parts import given_parts
        from multimodal_gen.cli.predict import check_columns_of
        from multimodal_gen.cli.seen import seen_in, seen_in_words
    rows: pd.DataFrame = read_given(source)
    if places is not None:
        rows = rows.loc[places]
    elif split is not None:
        rows = given_parts(rows, split, option_values.words(split_names)).test
    # Without a table, the pictures are where those of the runs were.
    own = folder_of_training(run) if table is None and directory is None else directory
    folder = option_values.table_folder(source, own)
    group, said = group_for(group, [run, other], rows.columns)
    bundles = [load_bundle(one, directory=folder) for one in (run, other)]
    _check_alike(run, other, *(bundle.target for bundle in bundles))
    found, notes = [], []
    for one, bundle in zip((run, other), bundles, strict=True):
        check_columns_of(bundle, rows)
        check_rows(bundle, rows, folder_in_words(folder, run))
        found.append(bundle.scores(rows, group=group))
        notes.append(seen_in_words(seen_in(one, bundle, rows), bundle, len(rows), str(one)))
    differences = found[0].minus(found[1])
    many = counted(found[0].groups, "group") if group is not None else counted(found[0].rows, "row")
    reporter = ProgressReporter(console)
    reporter.say(f"A is {run}, B is {other}, on {counted(found[0].rows, 'row')} of {source}")
    for line in (*notes, said, few_cases(found[0].groups, group)):
        if line is not None:
            reporter.say(line)
    lines: list[Any] = []
    for name, *_, difference, low, high in differences.itertuples():
        each = [with_ends(*one.overall.loc[name, ["value", "low", "high"]]) for one in found]
        cells = (*each, with_ends(difference, low, high))
        lines.append((score_title(str(name)), *cells, "no" if low <= 0 <= high else "yes"))
    columns = ("score", "A", "B", "A - B", "differ")
    print_table(console, "Scores with 95 % intervals", columns, lines)
    for better, worse, p in found[0].mcnemar(found[1]).itertuples(index=False):
        reporter.say(_tossed(int(better), int(worse), p, grouped=found[0].groups < len(rows)))
    if all(line[-1] == "no" for line in lines):
        reporter.say(f"There is no difference that {many} can show.")


def _check_alike(run: Path, other: Path, one: Any, another: Any) -> None:
    # Scores of different things have nothing in common that could be compared.
    kinds = [_predicted(target) for target in (one, another)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            "These runs cannot be compared, as they predict different things: A "
            f"{kinds[0]}, B {kinds[1]}. Train both with the same --label and --target. Received: "
            f"{run} and {other}"
        )
    if getattr(one, "class_names", ()) != getattr(another, "class_names", ()):
        raise ValueError(
            "These runs cannot be compared, as they know different classes: their training rows "
            "or --split differ. Received: "
            f"{run} with {len(one.class_names):,} and {other} with {len(another.class_names):,}"
        )


def _predicted(target: Any) -> str:
    if target is None or isinstance(target, Mapping):
        return "no single target" if target is None else f"the targets {list(target)}"
    columns = [target.column] if isinstance(target.column, str) else list(target.column)
    kind = "number" if not target.class_names else "class" if target.one_class else "labels"
    return f"the {kind} {', '.join(map(repr, columns))}"


def _tossed(better: int, worse: int, p: float, *, grouped: bool = False) -> str:
    if not better + worse:
        return "Both are right in the same rows."
    test = "an exact sign-flip test of groups" if grouped else "McNemar's exact test"
    return (
        f"A alone is right in {counted(better, 'row')}, B alone in {worse:,}; if they were equally "
        f"good, chance would part them so far in {_percent(p)} of such tables ({test})."
    )


def _percent(share: float) -> str:
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _own_rows(run: Path, other: Path) -> tuple[str, list[int]]:
    # The table of two runs, and the rows of it that both have left for their tests.
    tables, rows, chosen = [], [], []
    for one in (run, other):
        try:
            metrics = json.loads((one / "metrics.json").read_text("utf-8", "surrogateescape"))
            with (one / "predictions.csv").open(encoding="utf-8", newline="") as file:
                numbers = [int(line[0]) for line in list(csv.reader(file))[1:]]
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"The run has no test rows of its own; name a table after the runs. Received: {one}"
                f", without {Path(str(error.filename)).name}"
            ) from None
        chosen.append(metrics["details"]["settings"])
        tables.append(chosen[-1]["table"])
        rows.append(numbers)
    if Path(tables[0]).resolve() != Path(tables[1]).resolve() or rows[0] != rows[1]:
        common = len(set(rows[0]) & set(rows[1]))
        raise ValueError(
            "These runs have other test rows, and what one was tested on the other may have been "
            "trained on. Name a table of rows that neither has seen after the runs, or train both "
            f"with the same options for rows{_differing(*chosen)}. Received: {len(rows[0]):,} rows "
            f"of {tables[0]} and {len(rows[1]):,} of {tables[1]}, {common:,} of the same number"
        )
    return str(tables[0]), rows[0]


def _differing(one: dict[str, Any], other: dict[str, Any]) -> str:
    # What chooses the test rows, where two runs differ in it.
    names = ("split", "seed", "fractions", "group", "label", "target", "on_error")
    found = [
        f"--{name.replace('_', '-')} {one.get(name)} and {other.get(name)}"
        for name in names
        if one.get(name) != other.get(name)
    ]
    return f": here {', '.join(found)}" if found else ""
