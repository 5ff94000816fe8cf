"""Before a run trains, write everything that it will write at the end once, and remove it again.

A full disk, a picture that cannot be drawn or a layer that cannot be saved costs a second here.
After training, it would cost the whole run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.loaders.targets.base import Target

# Number of rows for the trial, as many as a picture of predictions shows.
_ROWS = 12


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Make sure that the folder for a run's results can be created and written to, without creating
    it.

    Raises:
        OSError: If not, or if it is a file.
    """
    place = Path(folder).absolute()
    # The folder may not exist yet, so its nearest existing parent is tested.
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(
            f"The results need a folder, but '{place}' is a file. Received: "
            f"folder={os.fspath(folder)!r}"
        )
    with tempfile.TemporaryFile(dir=place) as file:
        # On a full disk a file can be created but not written.
        file.write(b"\0" * 4096)


def rehearse(
    write: Callable[[Path, Bundle, Any, pd.DataFrame, pd.DataFrame], Any],
    folder: Path,
    bundle: Bundle,
    test: pd.DataFrame,
) -> None:
    """Write the results of a run before it begins, with equal predictions for every row after two
    epochs.

    Args:
        write: The function that will write the results: it takes a folder, a bundle, a history,
            the test rows and their predictions.
        folder: The folder of the results. The trial is written into a folder inside it, and
            removed.
        bundle: A bundle with the model that will be trained.
        test: The test rows.

    Raises:
        OSError: If the disk is full, or a folder has the name of a file.
        BundleError: If the saved bundle cannot be loaded.
    """
    assert isinstance(bundle.target, Target)
    names = [
        "loss",
        "val_loss",
        *(f"{part}{metric.name}" for metric in bundle.target.metrics for part in ("", "val_")),
    ]
    history = SimpleNamespace(
        epoch=[0, 1], history={name: [1.0, 0.5] for name in names}, best_epoch=1
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".trying-", dir=folder) as temporary:
        trial, rows = _Untrained(bundle.model, bundle.inputs, bundle.target), test.head(_ROWS)
        write(Path(temporary), trial, history, rows, trial.predict(rows))
        # So that what explanations have compiled need not be compiled again.
        bundle._parts = trial._parts
        for name in os.listdir(temporary):
            if Path(folder, name).is_dir():
                raise IsADirectoryError(
                    f"A folder has the name of a result. Received: '{folder / name}'"
                )


class _Untrained(Bundle):
    # Constant outputs, because running the model would compile it once more than training needs.
    def _outputs(self, sequence: Any, verbose: int) -> Any:
        return np.full(
            (len(sequence.table), *self.model.output_shape[1:]),
            1 / self.model.output_shape[-1],
            "float32",
        )
