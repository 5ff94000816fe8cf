"""A trained model saved together with the loaders and the target that feed it, and opened again.

Read `bundle.py` first: save, predict and score; then `loading.py`, which opens a bundle.
`outputs.py` turns a model's outputs into columns. `checks.py` makes sure that model, loaders and
target go together, and `description.py` writes and reads what is not the model (`versions.py`: the
packages it was made with).

A bundle may come from a stranger, so everything is checked before it is built: `files.py` refuses
links and files that are too large, `model_file.py` checks the archive and the weights in
`model.keras`, and `model_config.py` refuses layers that would run code.
"""

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.loading import load_bundle

__all__ = ["Bundle", "load_bundle"]
