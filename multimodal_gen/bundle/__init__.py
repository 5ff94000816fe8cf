"""Save a trained model together with its loaders and target, and load it again.

Read `bundle.py` first: save, predict and score; then `loading.py`, which opens a bundle.
`held_out.py` reads and predicts the rows that are scored, or by which `thresholds.py` chooses
thresholds. `outputs.py` turns a model's outputs into columns. `checks.py` makes sure that model,
loaders and target match, and `description.py` writes and reads everything except the model
(`encoders.py`: the models of encoders; `versions.py`: the packages it was made with).

`explaining/` says why a row is predicted as it is, `judging/` how good and how sure a bundle is.

A bundle may come from a stranger, so everything is checked before it is built: `files.py` rejects
links and files that are too large, `model_file.py` checks the archive and the weights in
`model.keras`, and `model_config.py` rejects layers that would run code.

`dual_encoder.py` uses a bundle of two encoders with a shared space: to compare, label and search
(`halves.py`, `retrieval.py`; `pair_items.py` where cells hold several pictures or texts;
`pair_fits.py` and `exchanged.py`: whether the two cells of a row belong together).
`pair_presets.py` makes one of a CLIP, and an input for a model of what it finds. `folds/` trains a
model for each fold of a table.
"""

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.dual_encoder import DualEncoder
from multimodal_gen.bundle.loading import load_bundle
from multimodal_gen.bundle.retrieval import VectorIndex

__all__ = ["Bundle", "DualEncoder", "VectorIndex", "load_bundle"]
