"""Presets of keras-hub as encoders: a local folder, or a name that keras-hub downloads.

Read `presets.py` first, which opens one, then `encoders.py`, which makes its encoder: `pictures.py`
and `texts.py` build a model around its backbone, from pixels or ids of tokens to a vector.
`tokenizer.py` has the tokenizer and its loader, and `packing.py` finds out the ids around a text.
`halves.py` takes a CLIP or SigLIP apart. keras-hub is imported when one of them is used.
"""

from multimodal_gen.models.hub.tokenizer import PresetTextLoader, PresetTokenizer

__all__ = ["PresetTextLoader", "PresetTokenizer"]
