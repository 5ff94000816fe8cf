"""The partition explainer of shap on the rows of `benchmarks/explain.py`: time and quality.

shap explains one input at a time, so the picture and the caption of a row are explained one after
the other, each with the other as it is. What it runs is cut as ours is, so that a masked picture
costs the picture's branch and the head only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal_gen.bundle.explaining.reading import read_cells

if TYPE_CHECKING:
    from benchmarks.explain import Curves


class Rows:
    """Explains the rows of `Curves` by shap, and counts the runs of the model.

    Args:
        curves: The rows.
        caption: Their captions.
    """

    def __init__(self, curves: Curves, caption: list[str]) -> None:
        self.curves, self.caption, self.runs = curves, caption, 0

    def _of_pictures(self, row: int) -> Callable[[np.ndarray], np.ndarray]:
        engine, batch = self.curves.engine, self.curves.batch

        def run(pictures: np.ndarray) -> np.ndarray:
            self.runs += len(pictures)
            codes = engine.parts.encode("image", [np.asarray(pictures, "uint8")])
            return engine.changed(batch, "image", codes, np.full(len(pictures), row))

        return run

    def _of_texts(self, row: int) -> Callable[[Any], np.ndarray]:
        engine, batch = self.curves.engine, self.curves.batch

        def run(texts: Any) -> np.ndarray:
            cells = [str(text) for text in texts]
            self.runs += len(cells)
            loader = engine.inputs["caption"]
            arrays, _ = read_cells("caption", loader, cells, engine.batch_size)
            codes = engine.parts.encode("caption", arrays)
            return engine.changed(batch, "caption", codes, np.full(len(cells), row))

        return run

    def explain(self, picture_runs: int, text_runs: int) -> tuple[np.ndarray, float, float]:
        """Explain every row.

        Args:
            picture_runs: The most runs of the model for a picture.
            text_runs: The most for a caption.

        Returns:
            The heat maps `(rows, height, width)`, the CPU seconds, and the runs per row.
        """
        import shap

        pictures = self.curves.pictures.astype("uint8")
        heat, self.runs, started = [], 0, time.process_time()
        masker = shap.maskers.Image("blur(16,16)", pictures[0].shape)
        for row, picture in enumerate(pictures):
            one = shap.Explainer(self._of_pictures(row), masker, algorithm="partition")
            found = one(picture[None], max_evals=picture_runs, batch_size=64, silent=True)
            heat.append(np.asarray(found.values[0], "float64").reshape(picture.shape).sum(axis=-1))
            if len(self.caption[row].split()) < 2:
                # shap cannot divide a single word.
                continue
            words = shap.maskers.Text(r"\W+")
            two = shap.Explainer(self._of_texts(row), words, algorithm="partition")
            two([self.caption[row]], max_evals=text_runs, batch_size=64, silent=True)
        seconds = time.process_time() - started
        return np.stack(heat), seconds, self.runs / len(pictures)
