"""What a search keeps in `state/search`, so that it continues after it was killed at any moment.

`search.sqlite3` is a study of Optuna with the finished trials, each written in one step when
everything else about it is there: `trials/N` has the curve of trial N, the loss of each validation
row if it came to its end, and the bundle if it may be chosen. A trial that is not in the study is
run again. `settings.json` says what the search belongs to. SQLite, because a journal of Optuna 5
cannot be read any more once a process was killed within a line of it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pandas as pd
from sqlalchemy.engine import URL

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.loading import load_bundle
from multimodal_gen.cli.tuning.trial import Trained

FOLDER = "state/search"
_STUDY = "search"


class Store:
    """The folder of a search.

    Args:
        folder: The folder of the run.
        settings: What the search depends on, as JSON values.

    Raises:
        ValueError: If the folder has a search with other settings; it names what differs.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.place = folder / FOLDER
        self.place.mkdir(parents=True, exist_ok=True)
        self._check(settings)
        # It tells of each new study.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        url = URL.create("sqlite", database=str(self.place / "search.sqlite3"))
        self._storage = optuna.storages.RDBStorage(url.render_as_string())
        self._study = optuna.create_study(
            storage=self._storage, study_name=_STUDY, load_if_exists=True
        )

    def _check(self, settings: Mapping[str, Any]) -> None:
        file = self.place / "settings.json"
        own = json.loads(json.dumps(settings))
        if not file.exists():
            _write(file, f"{json.dumps(own, indent=1)}\n")
            return
        found = json.loads(file.read_text("utf-8"))
        differing = [
            name for name in dict.fromkeys([*own, *found]) if own.get(name) != found.get(name)
        ]
        if differing:
            raise ValueError(
                "This run has a search with other settings, which must not be mixed with these: "
                f"{', '.join(differing)} {'differs' if len(differing) == 1 else 'differ'}. Choose "
                f"another --name, or replace it with --overwrite. Received: {self.place}"
            )

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """The finished trials, in their order."""
        return self._study.get_trials(deepcopy=False)

    def close(self) -> None:
        """Close the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def keep_curve(self, number: int, history: Mapping[str, Sequence[float]]) -> None:
        """Keep the figures of a trial's epochs."""
        folder = self._trial(number)
        folder.mkdir(parents=True, exist_ok=True)
        epochs = range(1, 1 + max(map(len, history.values()), default=0))
        pd.DataFrame({"epoch": epochs, **history}).to_csv(folder / "curve.csv", index=False)

    def keep_losses(self, number: int, losses: np.ndarray) -> None:
        """Keep the loss of each validation row."""
        np.save(self._trial(number) / "losses.npy", losses, allow_pickle=False)

    def keep_model(self, number: int, trained: Trained) -> None:
        """Keep what a trial has trained."""
        folder = self._trial(number)
        trained.bundle.save(folder / "model")
        _write(folder / "history.json", json.dumps(vars(trained.history)))

    def finish(self, trial: optuna.trial.FrozenTrial) -> None:
        """Add a trial to the study: from now on it is not run again."""
        self._study.add_trial(trial)

    def losses(self, number: int) -> np.ndarray:
        """`(rows,)` loss of each validation row."""
        found: np.ndarray = np.load(self._trial(number) / "losses.npy", allow_pickle=False)
        return found

    def model(self, number: int) -> tuple[Bundle, Any]:
        """The bundle of a trial, and the history of its network."""
        folder = self._trial(number)
        history = json.loads((folder / "history.json").read_text("utf-8"))
        bundle = load_bundle(folder / "model")
        assert isinstance(bundle, Bundle)
        return bundle, SimpleNamespace(**history)

    def forget_models(self, keep: Sequence[int]) -> None:
        """Remove the bundles of all trials but these."""
        for folder in self.place.glob("trials/*/model"):
            if int(folder.parent.name) not in keep:
                shutil.rmtree(folder)

    def _trial(self, number: int) -> Path:
        return self.place / "trials" / str(number)


def _write(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, file)
