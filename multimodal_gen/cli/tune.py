"""`tune`: a search over the settings of `train` within a budget."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from multimodal_gen.cli import fold_options, option_values, options, tune_options
from multimodal_gen.cli.arguments import TRAINED, takes
from multimodal_gen.cli.console import was_interrupted
from multimodal_gen.cli.option_words import FusionWord, OnErrorWord
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.run_tables import print_run
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.starting import starting

# Where a search is kept in the folder of its run.
STATE = "state/search"


@takes(*TRAINED)
def tune(
    table: options.TableFile,
    data: dict[str, Any],
    hours: tune_options.Hours = None,
    trials: tune_options.Trials = None,
    fusion: options.Fusion = FusionWord.JOINT,
    positive: options.Positive = None,
    epochs: options.Epochs = None,
    balance: fold_options.Balance = False,
    name: options.Name = None,
    runs: options.Runs = Path("runs"),
    overwrite: options.Overwrite = False,
    resume: tune_options.Continue = False,
    on_error: options.OnError = OnErrorWord.RAISE,
    max_error_rate: options.MaxErrorRate = 0.1,
    cache: options.Cache = None,
    cache_limit: options.CacheLimit = None,
) -> None:
    """Search for better settings than those of `train`, and save the best model in runs/NAME.

    Trial 0 does what `train` does with the same options. The others vary its settings, and are
    compared on the validation rows.
    """
    _check(hours, trials)

    settings = RunSettings(
        **data,
        folder="",
        fusion=fusion.value,
        positive=positive,
        epochs=epochs,
        ablate=False,
        balance=balance,
        cache=cache,
        cache_limit=option_values.size_in_bytes(cache_limit),
        on_error=on_error.value,
        max_error_rate=max_error_rate,
    )
    folder = option_values.run_folder(
        table, name, runs, overwrite=overwrite, resume=resume, state=STATE
    )
    console = Console()
    with starting(console):
        from multimodal_gen.cli.run_data import fetching_once
        from multimodal_gen.cli.tuning import running
    if overwrite:
        running.remove_search(folder)
    reporter = ProgressReporter(console)
    try:
        settings = replace(settings, folder=str(folder))
        with fetching_once(settings):
            metrics = running.run(settings, hours, trials, reporter)
    except BaseException as error:
        if not was_interrupted(error):
            raise
        # `Commands` prints this after "Stopped".
        raise KeyboardInterrupt(_what_is_kept(folder)) from None
    finally:
        reporter.end()
    print_run(reporter, metrics["details"], folder)
    reporter.say(f"Saved in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def _check(hours: float | None, trials: int | None) -> None:
    # Before anything is read.
    if hours is None and trials is None:
        raise ValueError(
            "Say how long to search: --hours 2, or --trials 30, or both for whatever ends first. "
            "Received: neither"
        )
    if hours is not None and not 0 < hours < float("inf"):
        raise ValueError(f"--hours must be more than 0. Received: --hours {hours:g}")
    if find_spec("optuna") is None:
        raise ValueError(
            "A search needs Optuna 5: pip install 'multimodal_gen[tune]'. Received: no module "
            "named optuna"
        )


def _what_is_kept(folder: Path) -> str:
    place = folder / STATE
    if not (place / "search.sqlite3").exists():
        return "before the first trial; nothing is kept"
    return f"in the search; its trials are kept in {place}, and --resume goes on with them"
