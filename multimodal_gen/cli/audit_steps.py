"""The steps of `multimodal-gen audit`: every cell, then what encoders and models say of rows that
can be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.inspection.audit.auditing import audit
from multimodal_gen.inspection.audit.report import Audit
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.base import Target


@dataclass(frozen=True)
class AuditSteps:
    """An audit whose arguments have been checked.

    Args:
        settings: The settings, with the inputs.
        table: The table.
        inputs: Input name -> loader.
        target: The target, or None without labels.
        ignore: Kinds that are not problems.
        state: The file of a stopped audit.
        threads: Threads that read, or None.
        reporter: Gets the reports.
        encoders: Column -> the loader of its vectors.
    """

    settings: DataSettings
    table: pd.DataFrame
    inputs: Mapping[str, Loader]
    target: Target | None
    ignore: Sequence[str]
    state: Path
    threads: int | None
    reporter: Reporter
    encoders: dict[str, Loader]

    def finish(self, predictions: pd.DataFrame | None, *, deep: bool) -> Audit:
        """Audit the table; encoders, and the models that `deep` trains, are given what was found to
        be usable, and it is audited again with what they say.
        """
        try:
            report = self._run(predictions)
            pair = vectors = None
            # Not above, as these import Keras, which no other audit needs.
            if self.encoders:
                from multimodal_gen.cli.audit_vectors import vectors_of

                vectors = vectors_of(self.encoders, self.table, report, self.reporter)
            if deep:
                from multimodal_gen.cli.audit_models import evidence_of_models

                predictions, pair = evidence_of_models(
                    self.settings, self.table, self.target, report, self.reporter
                )
            return self._run(predictions, pair, vectors) if deep or vectors else report
        except KeyboardInterrupt:
            self.reporter.end()
            self.reporter.say(
                f"Results so far are kept in {self.state}; the same command resumes from there."
            )
            raise

    def _run(
        self,
        predictions: pd.DataFrame | None,
        pair: pd.DataFrame | None = None,
        vectors: Mapping[str, np.ndarray] | None = None,
    ) -> Audit:
        columns = len(self.inputs) + (self.target is not None)
        self.reporter.begin("auditing", len(self.table) * columns)
        try:
            return audit(
                self.table,
                self.inputs,
                self.target,
                split=self.settings.split,
                ignore=self.ignore,
                state=self.state,
                threads=self.threads,
                progress=self._count,
                predictions=predictions,
                pair=pair,
                vectors=self._of_inputs(vectors),
            )
        finally:
            self.reporter.end()

    def _count(self, cells: int) -> None:
        for _ in range(cells):
            self.reporter.advance()

    def _of_inputs(self, vectors: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray] | None:
        # Under the names of the inputs instead of the columns.
        if vectors is None:
            return None
        columns = {name: str(loader.column) for name, loader in self.inputs.items()}
        return {name: vectors[one] for name, one in columns.items() if one in vectors}
