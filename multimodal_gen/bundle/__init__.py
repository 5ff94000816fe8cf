"""Save a trained model together with its loaders and target, and load it again.

Read `bundle.py` first: save, predict and score; then `loading.py`, which opens a bundle.
`held_out.py` reads and predicts the rows that are scored, or by which `thresholds.py` chooses
thresholds. `outputs.py` turns a model's outputs into columns. `checks.py` makes sure that model,
loaders and target match, `predicting.py` predicts and scores, `turns.py` lets one thread at a time
run a model, and `description.py` writes and reads everything except the model (`encoders.py`: the
models of encoders; `versions.py`: the packages it was made with).

`explaining/` says why a row is predicted as it is, `judging/` how good and how sure a bundle is,
and `exporting/` writes it in other formats. Importing this folder does not import Keras.

A bundle may come from a stranger, so everything is checked before it is built: `files.py` rejects
links and files that are too large, `model_file.py` checks the archive and the weights in
`model.keras`, and `model_config.py` rejects layers that would run code.

`dual_encoder.py` uses a bundle of two encoders with a shared space: to compare, label and search
(`halves.py`, `retrieval.py`; `pair_items.py` where cells hold several pictures or texts;
`pair_fits.py` and `exchanged.py`: whether the two cells of a row belong together).
`pair_presets.py` makes one of a CLIP, and an input for a model of what it finds. `folds/` trains a
model for each fold of a table.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multimodal_gen.bundle.bundle import Bundle as Bundle
    from multimodal_gen.bundle.dual_encoder import DualEncoder as DualEncoder
    from multimodal_gen.bundle.loading import load_bundle as load_bundle
    from multimodal_gen.bundle.retrieval import VectorIndex as VectorIndex

__all__ = ["Bundle", "DualEncoder", "VectorIndex", "load_bundle"]
_HOMES = {
    "Bundle": "bundle",
    "DualEncoder": "dual_encoder",
    "VectorIndex": "retrieval",
    "load_bundle": "loading",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: exports are read without Keras.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
