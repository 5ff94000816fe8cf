"""An export that predicts: its network, its loaders and its target."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from multimodal_gen.bundle.checks import check_outputs
from multimodal_gen.bundle.description import read_description
from multimodal_gen.bundle.exporting.engines import Run, open_network, outputs_of_batches
from multimodal_gen.bundle.exporting.manifest import Network, read_manifest
from multimodal_gen.bundle.files import placed
from multimodal_gen.bundle.judging.deciding import decided
from multimodal_gen.bundle.judging.sets import sets_of
from multimodal_gen.bundle.predicting import Predicting
from multimodal_gen.errors import BundleError
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.serving.reading import Batches
from multimodal_gen.spec import with_masks

Rows = pd.DataFrame | Iterable[Mapping[str, Any]]


class Served(Predicting):
    """A network with its loaders and target, which predicts what its bundle predicts.

    Several threads may predict at once. `load` makes one.

    Args:
        network: What the network takes and puts out.
        run: Runs it.
        inputs: Input name -> loader, in the order of the network's inputs.
        target: The target, a mapping of several by name, or None for raw outputs.
    """

    def __init__(
        self,
        network: Network,
        run: Run,
        inputs: Mapping[str, Loader],
        target: Target | Mapping[str, Target] | None,
    ) -> None:
        self.network, self._run = network, run
        self.inputs = dict(inputs)
        self.target = dict(target) if isinstance(target, Mapping) else target

    def predict(self, rows: Rows, *, batch_size: int = 64, verbose: int = 0) -> pd.DataFrame:
        """Predict rows, as `Bundle.predict` does.

        Args:
            rows: A table with the columns of the inputs; or mappings of columns to cells, as JSON
                gives them, in which what is left out is a missing cell.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.

        Returns:
            One row for each row, with its index and in its order; see `Bundle.predict`.

        Raises:
            LoadError: If no row can be loaded.
            TableError: If there are no rows, or the table lacks a column.
            ValueError: If the network's outputs are not what the target needs.
        """
        return super().predict(self._table(rows), batch_size=batch_size, verbose=verbose)

    def sets(
        self, rows: Rows, *, coverage: float = 0.9, batch_size: int = 64, verbose: int = 0
    ) -> pd.DataFrame:
        """Predict sets or intervals by what `Bundle.calibrate` kept, as `Bundle.sets` does.

        Args:
            rows: As in `predict`.
            coverage: The share of rows whose truth they hold, from 0.5 to 0.999.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.

        Raises:
            LoadError: As `predict`.
            ValueError: If the bundle was not calibrated, or with too few rows for this coverage.
        """
        return sets_of(
            self,
            self._table(rows),
            None,
            coverage=coverage,
            batch_size=batch_size,
            verbose=verbose,
        )

    def decide(
        self,
        rows: Rows,
        costs: Any,
        *,
        abstain: float | None = None,
        target: str | None = None,
        batch_size: int = 64,
        verbose: int = 0,
    ) -> pd.DataFrame:
        """Decide for the class that costs least on average, as `Bundle.decide` does.

        Args:
            rows: As in `predict`.
            costs: What mistakes cost, as in `Bundle.decide`.
            abstain: What it costs to decide nothing; None if every row needs a class.
            target: Of several targets, the name of the one to decide.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.

        Raises:
            LoadError: As `predict`.
            ValueError: As `Bundle.decide`.
        """
        return decided(
            self,
            self._table(rows),
            costs,
            abstain=abstain,
            target=target,
            batch_size=batch_size,
            verbose=verbose,
        )

    def _table(self, rows: Rows) -> pd.DataFrame:
        if isinstance(rows, pd.DataFrame):
            return rows
        given = list(rows)
        for one in given:
            if not isinstance(one, Mapping):
                raise TypeError(
                    "Rows must be a DataFrame, or mappings of columns to cells. Received: a row of "
                    f"type {type(one).__name__}"
                )
        columns: list[str] = []
        for loader in self.inputs.values():
            columns += [loader.column] if isinstance(loader.column, str) else loader.column
        # As objects, so that no cell changes for the sake of the others.
        cells = {name: [row.get(name) for row in given] for name in dict.fromkeys(columns)}
        return pd.DataFrame({name: pd.Series(one, dtype=object) for name, one in cells.items()})

    def _sequence(
        self,
        table: pd.DataFrame,
        batch_size: int,
        on_error: str = "raise",
        targets: Mapping[str, Target] | None = None,
    ) -> Batches:
        return Batches(table, self.inputs if targets is None else targets, batch_size, on_error)

    def _outputs(self, sequence: Batches, verbose: int) -> Any:
        # Even a bar that is not shown starts a thread of tqdm's.
        batches = tqdm(sequence, leave=False) if verbose else sequence
        outputs = outputs_of_batches(self._run, (arrays for (arrays,) in batches))
        check_outputs(outputs, self.target)
        return outputs

    def __repr__(self) -> str:
        lines = [f"Served: {self.network.format}"]
        lines += [
            f"  {name}: {loader.spec} from {loader.column!r}"
            for name, loader in self.inputs.items()
        ]
        return "\n".join(lines)


def load(
    directory: str | os.PathLike[str],
    *,
    pictures: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    trusted: bool = False,
) -> Served:
    """Open what `Bundle.export` wrote.

    Args:
        directory: The folder.
        pictures: The new base folder of relative paths of pictures and arrays; by default the one
            used in training.
        custom_objects: Class name -> class, for loaders and targets of your own, and name ->
            function of a `FunctionEncoder`.
        trusted: Whether a SavedModel may be opened. It is a program, which may read and write
            files, so open only what you have made yourself.

    Raises:
        BundleError: If the folder is not an export, is damaged, names an unknown class, is a
            SavedModel that is not trusted, or the package that runs it is not installed.
    """
    folder = Path(directory)
    network = read_manifest(folder)
    if network.format == "saved_model" and not trusted:
        raise BundleError(
            "A SavedModel is a program, which may read and write files. Open one that you have "
            "made yourself with `trusted=True`, or export to 'onnx'. Received: "
            f"path={os.fspath(directory)!r}"
        )
    inputs, target, _ = read_description(folder, custom_objects, pictures)
    taken = {name: (one.shape, one.dtype) for name, one in with_masks(inputs).items()}
    named = {one.name: (one.shape, one.dtype) for one in network.inputs}
    try:
        if taken != named:
            raise BundleError(
                f"bundle.json and export.json do not match: the loaders give {taken}. Received: "
                f"{named}"
            )
        run = open_network(folder, network)
    except BundleError as error:
        raise placed(error, directory) from error
    return Served(network, run, inputs, target)
