"""Before a run trains: everything that it will write in the end is written once, and removed again.

A folder that is full, a picture that cannot be drawn or a layer that cannot be saved costs a second
here, and after training the training.
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

# Rows that are written for a trial; a picture of predictions shows no more.
_ROWS = 12


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Make sure that the folder for the results of a run can be made and written into; nothing is
    made yet.

    Raises:
        OSError: If not, or if it is a file.
    """
    place = Path(folder).absolute()
    # The folder may be made later, in the nearest one that there is.
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(
            f"The results need a folder, and '{place}' is a file. Received: "
            f"folder={os.fspath(folder)!r}"
        )
    with tempfile.TemporaryFile(dir=place) as file:
        # A full disk lets files be made, and refuses only what is written.
        file.write(b"\0" * 4096)


def rehearse(
    write: Callable[[Path, Bundle, Any, pd.DataFrame], None],
    folder: Path,
    bundle: Bundle,
    test: pd.DataFrame,
) -> None:
    """Write the results of a run that has not begun: of a model that says the same of every row,
    after two epochs.

    Args:
        write: What will write the results: it takes a folder, a bundle, a history and the test
            rows.
        folder: Where they will lie. What is written now lies in a folder within, and is removed.
        bundle: With the model that will be trained.
        test: The test rows.

    Raises:
        OSError: If there is no room, or a folder is in the way of a file.
        BundleError: If what is saved cannot be loaded again.
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
        write(
            Path(temporary),
            _Untrained(bundle.model, bundle.inputs, bundle.target),
            history,
            test.head(_ROWS),
        )
        for name in os.listdir(temporary):
            if Path(folder, name).is_dir():
                raise IsADirectoryError(
                    f"A folder is in the way of a result. Received: '{folder / name}'"
                )


class _Untrained(Bundle):
    # Running the model itself would take the time to compile it, and compiling is done again for
    # training.
    def _outputs(self, sequence: Any, verbose: int) -> Any:
        return np.full(
            (len(sequence.table), *self.model.output_shape[1:]),
            1 / self.model.output_shape[-1],
            "float32",
        )
