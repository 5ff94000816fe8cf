"""`multimodal-gen tune`: a search over settings, and a run of the model that it chooses."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.folds.keeping import digests_of_table
from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.bundle.judging.reliability import Reliability
from multimodal_gen.bundle.judging.scores import Scores
from multimodal_gen.cli.importance import importance_after_training
from multimodal_gen.cli.model_choice import PROBE, rows_of
from multimodal_gen.cli.rehearsal import check_folder, rehearse
from multimodal_gen.cli.report.facts import Known, facts_of, known_of
from multimodal_gen.cli.report.writing import write_report
from multimodal_gen.cli.reporter import Remembering, Reporter
from multimodal_gen.cli.results import (
    SEARCHED,
    remove_stale,
    write_metrics,
    write_reliability,
    write_results,
)
from multimodal_gen.cli.run_data import RunData, read_run
from multimodal_gen.cli.seen import write_seen
from multimodal_gen.cli.settings import INPUT_OPTIONS, RunSettings
from multimodal_gen.cli.sureness import calibrated, judged_on, noted_calibration
from multimodal_gen.cli.target_choice import score_name
from multimodal_gen.cli.train import metrics_of, name_of, try_results
from multimodal_gen.cli.tuning.choosing import chosen, in_reach, worse_by
from multimodal_gen.cli.tuning.clock import Clock
from multimodal_gen.cli.tuning.picture import draw_search
from multimodal_gen.cli.tuning.search import Search
from multimodal_gen.cli.tuning.space import defaults_of, space_of
from multimodal_gen.cli.tuning.store import FOLDER, Store
from multimodal_gen.cli.tuning.table import table_of
from multimodal_gen.cli.tuning.trial import Trainer
from multimodal_gen.cli.tuning.variants import Variants
from multimodal_gen.errors import by_number, counted
from multimodal_gen.models.recipe import recipe_in_words

# What may differ when a search goes on.
_FREE = ("folder", "cache", "cache_limit", "table", "on_error", "max_error_rate")
_FEW_ROWS = 300


def run(
    settings: RunSettings, hours: float | None, trials: int | None, reporter: Reporter
) -> dict[str, Any]:
    """Search, choose a trial on the validation rows, score it on the test rows, and write it.

    Returns:
        The content of `metrics.json`, as that of `train`, with the search under "details".
    """
    # First, so that nothing is read in vain if the results cannot be written.
    check_folder(settings.folder)
    folder = Path(settings.folder)
    clock = Clock(folder / FOLDER / "clock.json", hours)
    cache, own_cache = settings.cache, str(folder / FOLDER / "cache")
    remembering = Remembering(reporter)
    data = read_run(replace(settings, cache=cache or own_cache), remembering)
    # The cache of a search ends with it.
    given = data._replace(settings=replace(data.settings, cache=cache))
    known = known_of(given.settings, data.parts, data.target, remembering.notes, data.left_out)
    store = Store(folder, _identity(data))
    try:
        search = _search(data, known, store, clock, trials, reporter)
        metrics = _finish(given, known, search, reporter)
    finally:
        store.close()
    shutil.rmtree(own_cache, ignore_errors=True)
    return metrics


def remove_search(folder: Path) -> None:
    """Remove the search of an earlier run."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _identity(data: RunData) -> dict[str, Any]:
    # What the trials depend on.
    settings, parts, *_ = data
    own = {f"--{name.replace('_', '-')}": value for name, value in asdict(settings).items()}
    for name in _FREE:
        del own[f"--{name.replace('_', '-')}"]
    columns = [
        column for option in (*INPUT_OPTIONS, "label") for column in getattr(settings, option)
    ]
    for name, part in parts._asdict().items():
        digests = digests_of_table(part, [*columns, *([settings.group] if settings.group else [])])
        own |= {f"{digested} of the {name} rows": one for digested, one in digests.items()}
    return {**own, "the backend": keras.backend.backend()}


def _search(
    data: RunData,
    known: Known,
    store: Store,
    clock: Clock,
    trials: int | None,
    reporter: Reporter,
) -> Search:
    settings, parts, inputs, target, _ = data
    space = space_of(settings, inputs, target, len(parts.train))
    variants = Variants(data)
    trainer = Trainer(variants, clock, reporter)
    search = Search(space, trainer, store, clock, _groups(settings, parts.validation), reporter)
    model = variants.model(defaults_of(space))
    bundle = Bundle(model, inputs, target)
    rehearse(partial(try_results, data, known), Path(settings.folder), bundle, parts.test)
    rows = len(parts.validation)
    reporter.say(f"Searching over {', '.join(one.name.replace('_', ' ') for one in space)}")
    words = recipe_in_words(trainer.epochs, len(parts.train)).partition(";")[0]
    reporter.say(
        f"  {words[0].lower()}{words[1:]}; trials are compared on {rows:,} validation rows"
    )
    if rows < _FEW_ROWS:
        reporter.say(
            f"note: {counted(rows, 'validation row')} cannot tell small differences; a split with "
            "more of them, such as --fractions 0.6,0.2,0.2, can"
        )
    done = len(search.trials)
    if done:
        verb = by_number(done, "is", "are")
        reporter.say(f"  {counted(done, 'trial')} of an earlier start {verb} kept")
    for _ in search.run(trials):
        # After each, so that it can be looked at while the search goes on.
        _table(search, settings).to_csv(Path(settings.folder, SEARCHED[0]), index=False)
    return search


def _table(search: Search, settings: RunSettings) -> pd.DataFrame:
    return table_of(search.trials, search.space, score_name(settings.target))


def _groups(settings: RunSettings, validation: pd.DataFrame) -> np.ndarray | None:
    if settings.group is None:
        return None
    numbers: np.ndarray = pd.factorize(validation[settings.group])[0]
    return numbers


def _finish(data: RunData, known: Known, search: Search, reporter: Reporter) -> dict[str, Any]:
    settings, parts, inputs, target, _ = data
    folder = Path(settings.folder)
    number = chosen({one: search.candidates[one] for one in search.kept}, search.groups)
    reporter.say(_why(search, number))
    main = name_of(inputs)
    names = {main: number}
    if number != 0 and 0 in search.candidates:
        names[f"{main} with the defaults"] = 0
    held = parts.validation
    models = {name: _opened(search, one, held, settings, reporter) for name, one in names.items()}
    scores: dict[str, dict[str, Any]] = {}
    judged: dict[str, Scores] = {}
    reliable: dict[str, Reliability] = {}
    predicted: dict[str, pd.DataFrame] = {}
    for name, one in names.items():
        judged[name], found, predicted[name] = judged_on(models[name][0], parts.test, settings)
        reliable |= {} if found is None else {name: found}
        told = search.trials[one].user_attrs
        more = {key: told[key] for key in ("epochs", "seconds")}
        scores[name] = {**judged[name].values, **more, "trial": one}
    metrics = metrics_of(settings, parts, target, scores, judged)
    calibration = {name: noted_calibration(one) for name, one in reliable.items()}
    bundle, history = models[main]
    metrics["details"] |= {"calibration": calibration, "search": _told(search, number)}
    probe = search.trials[number].user_attrs["kept"] == PROBE
    write_results(folder, bundle, history, parts.test, predicted[main], probe=probe)
    write_reliability(folder, reliable.get(main))
    write_seen(folder, bundle, parts.train, parts.validation)
    remove_stale(folder, target, lost=bool(data.left_out), resumable=False, searched=True)
    draw_search(_table(search, settings), search.space, number).savefig(folder / SEARCHED[1])
    # After the bundle is saved.
    worth = importance_after_training(bundle, parts.test, settings.group, settings.seed)
    metrics["details"]["importance"] = worth
    write_metrics(folder, metrics)
    rows, said = (parts.train, parts.test), predicted[main]
    write_report(folder, facts_of(known, metrics, bundle, history, rows, said, probe=probe))
    reporter.finish(main)
    return metrics


def _opened(
    search: Search,
    number: int,
    validation: pd.DataFrame,
    settings: RunSettings,
    reporter: Reporter,
) -> tuple[Bundle, Any]:
    # The model of a trial, calibrated as `train` does it, and the history of its network.
    bundle, history = search.store.model(number)
    reporter.say(f"Trial {number}:")
    rows = rows_of(held_out(bundle, validation, 64, 0, "raise"))
    return calibrated(bundle, *rows, reporter, balance=settings.balance), history


def _told(search: Search, number: int) -> dict[str, Any]:
    near = in_reach(search.candidates, search.groups)
    return {
        "trials": len(search.trials),
        "seconds": round(search.clock.seconds, 1),
        "chosen": number,
        "settings": search.trials[number].params,
        "least_loss": search.best,
        "within_one_standard_error": sorted(near),
    }


def _why(search: Search, number: int) -> str:
    # Which trial is kept, and the reason.
    many, best = counted(len(search.trials), "trial"), search.best
    least = f"the least loss, {search.candidates[best].loss:.4f}"
    if len(search.trials) == 1:
        return (
            f"Trial {number}, the defaults of `train`, was the only one, so nothing was compared: "
            "--resume with more --hours or --trials tries others."
        )
    if number == best == 0:
        said = (
            f"Of {many}, none was better than trial 0, the defaults of `train`, which are kept: "
            f"they have {least}"
        )
    elif number == best:
        said = f"Of {many}, trial {number} is kept, as it has {least}"
    elif number == 0:
        said = (
            f"Of {many}, trial {best} has {least}. Kept are the defaults, trial 0: their loss is "
            f"{_higher(search, 0)}, so within one standard error"
        )
    else:
        said = (
            f"Of {many}, trial {best} has {least}. Kept is trial {number}, the smallest model "
            f"within one standard error: its loss is {_higher(search, number)}"
        )
    if number and 0 in search.candidates:
        said += f"; that of the defaults is {_higher(search, 0)}"
    return f"{said}."


def _higher(search: Search, number: int) -> str:
    candidates = search.candidates
    mean, error = worse_by(candidates[number], candidates[search.best], search.groups)
    return f"higher by {mean:.4f} (standard error {error:.4f})"
