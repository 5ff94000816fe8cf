"""What a run leaves in its folder: the bundle, the history, predictions of the test rows, pictures and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.cli.predict import finite, with_index, with_inputs, with_joined_labels
from multimodal_gen.inspection import plots
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.sequence.sequence import MultimodalSequence


def write_results(folder: Path, bundle: Bundle, history: Any, test: pd.DataFrame) -> None:
    """Write everything but the scores.

    Args:
        folder: The folder of the run.
        bundle: What was trained.
        history: What `fit_with_recipe` returned.
        test: The test rows.
    """
    target = bundle.target
    assert isinstance(target, Target)
    bundle.save(folder)
    frame = pd.DataFrame({"epoch": [epoch + 1 for epoch in history.epoch], **history.history})
    frame.to_csv(folder / "history.csv", index=False)
    predictions = bundle.predict(test)
    columns = [target.column] if isinstance(target.column, str) else list(target.column)
    frame, _ = with_joined_labels(with_inputs(with_index(predictions), test, bundle), target)
    for place, column in enumerate(columns, 1):
        name = "truth" if len(columns) == 1 else f"true_{column}"
        frame.insert(place, name if name not in frame else f"true_{name}", test[column].to_numpy())
    frame.to_csv(folder / "predictions.csv", index=False)
    plots.plot_history(history).savefig(folder / "curves.png")
    if target.one_class:
        figure = plots.plot_confusion(test[columns[0]], predictions["label"], target.class_names)
        figure.savefig(folder / "confusion.png")
    sequence = MultimodalSequence(test, bundle.inputs, target)
    plots.plot_predictions(sequence, predictions).savefig(folder / "predictions.png")
    plots.plot_predictions(sequence, predictions, only_wrong=True).savefig(folder / "wrong.png")


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write `metrics.json`; numbers that are not finite, which JSON has no word for, become null."""
    text = json.dumps(finite(metrics), indent=1, ensure_ascii=False)
    (folder / "metrics.json").write_text(f"{text}\n", "utf-8", "surrogateescape")
