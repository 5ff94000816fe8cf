"""The commands that examine a table before training: `cache`, `audit` and `preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from multimodal_gen.cli import audit_options, image_options, option_values, options
from multimodal_gen.cli.arguments import AUDITED, CACHED, PREVIEWED, takes
from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.option_values import stem_of
from multimodal_gen.cli.option_words import TextWord
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.starting import starting
from multimodal_gen.errors import by_number, counted


@takes(*CACHED)
def fill(
    table: options.TableFile,
    cache: options.FilledCache,
    data: dict[str, Any],
    cache_limit: options.CacheLimit = None,
    threads: options.Threads = None,
) -> None:
    """Decode every picture and encode every caption before training, and list the bad ones."""
    # `data` contains it, but typer needs the parameter.
    del table
    from multimodal_gen.cli.cache import fill_from_settings

    limit = option_values.size_in_bytes(cache_limit)
    from multimodal_gen.cli.settings import DataSettings

    console, settings = Console(), DataSettings(**data)
    reporter = ProgressReporter(console)
    if settings.image_encoder is not None or settings.text_encoder is not None:
        # Encoders need Keras; nothing else here does.
        with starting(console):
            pass
    filled = fill_from_settings(settings, cache, limit, threads, reporter)
    reporter.say(
        f"{counted(filled.cells, 'cell')} {by_number(filled.cells, 'was', 'were')} read, "
        f"{filled.bad:,} {by_number(filled.bad, 'is', 'are')} bad."
    )
    for error in filled.errors:
        typer.echo(" ".join(str(error).split()), err=True)
    if filled.bad > len(filled.errors):
        typer.echo(f"and {filled.bad - len(filled.errors):,} more.", err=True)
    if filled.bad or filled.incomplete:
        raise typer.Exit(1)


@takes(*AUDITED, text=TextWord.TOKENS)
def audit(
    table: options.TableFile,
    data: dict[str, Any],
    split: options.PartColumn = None,
    ignore: options.Ignore = None,
    out: options.AuditFolder = None,
    drop: options.CleanTable = None,
    group_column: options.GroupColumn = None,
    predictions: options.AuditPredictions = None,
    deep: audit_options.Deep = False,
    image_encoder: audit_options.ImageEncoder = None,
    image_weights: image_options.ImageWeights = None,
    text_encoder: audit_options.TextEncoder = None,
    threads: options.Threads = None,
) -> None:
    """Check every cell: broken, odd, duplicate and contradictory ones.

    Exit status 1 if there are any.
    """
    from multimodal_gen.cli.audit import audit_from_settings
    from multimodal_gen.cli.settings import DataSettings

    out = out or Path("runs") / f"{stem_of(table)}-audit"
    console = Console()
    reporter = ProgressReporter(console)
    own = {"split": split, "image_encoder": image_encoder, "image_weights": image_weights}
    settings = DataSettings(**data | own | {"text_encoder": text_encoder})
    if deep and predictions is not None:
        raise ValueError(
            "--deep makes predictions of its own: leave one of the two out. Received: --deep "
            f"--predictions {predictions}"
        )
    if deep or image_encoder is not None or text_encoder is not None:
        # Models need Keras; nothing else here does.
        with starting(console):
            pass
    report = audit_from_settings(
        settings, out, drop, group_column, ignore or (), threads, reporter, predictions, deep=deep
    )
    title = (
        f"{counted(len(report.problems), 'problem')} in {counted(len(report.duplicates), 'row')}"
    )
    print_table(console, title, ("problem", "findings"), report.counts.items())
    for note in report.notes:
        reporter.say(f"note: {note}")
    if report.counts:
        raise typer.Exit(1)


# So often are bad rows left out and others drawn in their place; each time a batch is read.
_TRIES = 5


# As many rows as the picture has places.
@takes(*PREVIEWED, batch_size=12)
def preview(table: options.TableFile, out: options.PictureFile, data: dict[str, Any]) -> None:
    """Draw training rows as a model would see them: augmented, with captions and labels."""
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--out must end in .png, .svg or .pdf. Received: --out {out}")
    option_values.check_not_read("--out", out, table)
    from multimodal_gen.cli.settings import DataSettings

    settings = DataSettings(**data)
    console = Console()
    with starting(console):
        import pandas as pd

        from multimodal_gen.batch.failures import leave_out
        from multimodal_gen.cli.data import make_loaders
        from multimodal_gen.cli.inference import with_inputs
        from multimodal_gen.cli.parts import read_parts
        from multimodal_gen.cli.table_notes import mask_notes
        from multimodal_gen.inspection import plots
        from multimodal_gen.sequence.sequence import MultimodalSequence
    reporter = ProgressReporter(console)
    parts = read_parts(settings, reporter)
    settings = with_inputs(settings, parts.train, pd.concat(parts), reporter)
    inputs, target = make_loaders(settings, parts, reporter)
    for note in mask_notes(parts.train, inputs):
        reporter.say(f"note: {note}")
    same: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "shuffle": True,
        "seed": settings.seed,
    }
    rows = parts.train
    for _ in range(_TRIES if target is not None else 0):
        tried = MultimodalSequence(
            rows, inputs, target, on_error="blank", max_error_rate=1.0, **same
        )
        tried[0]
        bad = tried.failures.drop_duplicates("index")
        # If all are bad, the first of them is an error below.
        if bad.empty or len(bad) == len(rows):
            break
        first = bad.iloc[0]
        reporter.say(
            f"note: {counted(len(bad), 'row')} cannot be loaded and "
            f"{by_number(len(bad), 'is', 'are')} not drawn, the first at index "
            f"{first['index']!r}, column {first['column']!r}; `multimodal-gen audit` lists all"
        )
        rows = leave_out(rows, bad)
    sequence = MultimodalSequence(rows, inputs, target, **same)
    figure = plots.show_batch(sequence, rows=3)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    reporter.say(f"Wrote {out}.")
