"""A trained model saved together with the loaders and the target that feed it, and opened again.

Read `bundle.py` first: save, predict and score; then `loading.py`. `outputs.py` makes columns of
what a model puts out. `checks.py` makes sure that model, loaders and target go together,
`description.py` writes and reads what is not the model (`versions.py`: made with which packages),
and `model_file.py` with `model_config.py`, and `files.py`, look through the files of a stranger
before anything is made of them.
"""

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.loading import load_bundle

__all__ = ["Bundle", "load_bundle"]
