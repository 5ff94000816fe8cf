"""`train --tensorboard` and `train --mlflow`: the curves of a run, drawn while it trains.

Both are written by the callbacks of Keras and of MLflow, once an epoch. A resumed run goes on in
the same curves.
"""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.starting import without_log_lines

# In the folder of a run, and in that of the states of a model.
BOARD, KEPT = "tensorboard", "mlflow.json"
# What asks MLflow's server so often before it gives up; by default that takes minutes.
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
# Seconds after which a server is no longer waited for.
_PATIENCE = 10


@dataclass
class Watched:
    """A model whose curves are drawn.

    Args:
        callbacks: What draws them, for `fit`.
        scores: Gets those on the test rows.
    """

    callbacks: list[Any] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Curves:
    """Where the curves of a run go.

    Args:
        tensorboard: Whether to write them for TensorBoard, into the run's folder.
        mlflow: The address of MLflow's tracking server, or None for no MLflow. The experiment is
            that of MLFLOW_EXPERIMENT_NAME.
    """

    tensorboard: bool = False
    mlflow: str | None = None

    def check(self, settings: RunSettings, reporter: Reporter) -> None:
        """Make sure that they can be drawn, and say where they are.

        Raises:
            ValueError: If a package is missing, or MLflow does not answer.
        """
        if self.tensorboard:
            _check_installed("--tensorboard", "tensorboard", "tensorflow")
            import keras

            with without_log_lines():
                # Written nowhere; it needs both packages, and looks for devices.
                keras.callbacks.TensorBoard().summary.scalar("loss", 0.0, step=0)
            reporter.say(f"Curves: tensorboard --logdir {Path(settings.folder, BOARD)}")
        if self.mlflow is not None:
            _check_installed("--mlflow", "mlflow")
            _check_answers(self.mlflow)
            reporter.say(f"Curves: runs {Path(settings.folder).name}/... of {_shown(self.mlflow)}")

    @contextmanager
    def of(self, settings: RunSettings, name: str, *, resumable: bool) -> Iterator[Watched]:
        """Draw those of a model, and end them.

        Args:
            settings: The settings of the run.
            name: What the model is called.
            resumable: Whether `--resume` goes on within the training of this model.
        """
        state = Path(settings.folder, "state", name) if resumable else None
        watched = Watched()
        with ExitStack() as until:
            if self.tensorboard:
                import keras

                if state is None or not state.is_dir():
                    _remove_events(Path(settings.folder), name)
                place = Path(settings.folder, BOARD, name)
                watched.callbacks.append(keras.callbacks.TensorBoard(place, write_graph=False))
            if self.mlflow is not None:
                until.enter_context(_in_mlflow(self.mlflow, settings, name, state, watched))
            yield watched

    def remove_stale(self, folder: Path) -> None:
        """Remove what an earlier run wrote for TensorBoard, if this one writes nothing."""
        if not self.tensorboard:
            _remove_events(folder, "*")


def _remove_events(folder: Path, name: str) -> None:
    # Of an earlier run; other files stay.
    board = folder / BOARD
    for file in board.glob(f"{name}/*/events.out.tfevents.*"):
        file.unlink()
    for place in (*board.glob(f"{name}/*/"), *board.glob(f"{name}/"), board):
        with suppress(OSError):
            place.rmdir()


def _check_installed(option: str, *packages: str) -> None:
    for name in packages:
        if find_spec(name) is None:
            raise ValueError(
                f"{option} needs {' and '.join(packages)}: pip install {' '.join(packages)}. "
                f"Received: no module named {name}"
            )


def _check_answers(address: str) -> None:
    import mlflow

    mlflow.set_tracking_uri(address)
    before = os.environ.get(_RETRIES)
    os.environ[_RETRIES] = "1"
    try:
        mlflow.search_experiments(max_results=1)
    # Of a server, a database or a folder, each with errors of its own.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            "--mlflow must be the address of a tracking server that answers, such as "
            f"http://localhost:5000, or sqlite:///mlflow.db. Received: --mlflow {_shown(address)} "
            f"({reason})"
        ) from error
    finally:
        del os.environ[_RETRIES]
        if before is not None:
            os.environ[_RETRIES] = before


@contextmanager
def _in_mlflow(
    address: str, settings: RunSettings, name: str, state: Path | None, watched: Watched
) -> Iterator[None]:
    import mlflow

    mlflow.set_tracking_uri(address)
    # Address -> id: another server knows nothing of the run.
    kept = {} if state is None or not (state / KEPT).is_file() else json.loads(_text(state / KEPT))
    going_on = kept.get(_shown(address))

    class Logged(mlflow.keras.MlflowCallback):
        def on_train_begin(self, logs: Any = None) -> None:
            # What a resumed run has logged of itself cannot be changed.
            if going_on is None:
                super().on_train_begin(logs)

        waits = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            if self.waits:
                # Until it is there, before the state that the run is resumed from: a kill leaves no
                # gap. A server that has gone away is waited for once.
                start = time.monotonic()
                mlflow.flush_async_logging()
                self.waits = time.monotonic() - start < _PATIENCE

        def on_test_end(self, logs: Any = None) -> None:
            # `on_epoch_end` logs the same scores, and of which epoch they are.
            pass

    title = f"{Path(settings.folder).name}/{name}"
    run = mlflow.start_run(run_id=going_on, run_name=None if going_on else title)
    status = "FAILED"
    try:
        if going_on is None:
            mlflow.log_params({key: _shown(str(value)) for key, value in asdict(settings).items()})
        if state is not None:
            state.mkdir(parents=True, exist_ok=True)
            (state / KEPT).write_text(json.dumps({**kept, _shown(address): run.info.run_id}))
        watched.callbacks.append(Logged())
        yield
        status = "FINISHED"
    finally:
        # The results of the run are worth more than what MLflow knows of them.
        try:
            found = {f"test_{name}": value for name, value in watched.scores.items()}
            mlflow.log_metrics({name: value for name, value in found.items() if isfinite(value)})
            mlflow.end_run(status)
        except Exception as error:
            reason = " ".join(str(error).split())
            warnings.warn(
                f"MLflow at {_shown(address)} does not know how {title} ended: {reason}",
                stacklevel=2,
            )


def _text(file: Path) -> str:
    return file.read_text("utf-8")


def _shown(address: str) -> str:
    # Without a password, which would stay in a log and in a file.
    return re.sub(r"//[^/@]*@", "//", address)
