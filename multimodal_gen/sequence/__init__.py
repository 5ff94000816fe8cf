"""What Keras is given: a plan and loaders make batches of a table, for `fit`, `evaluate` and
`predict`.

Read `sequence.py` first, with `arguments.py` for its checks and `description.py` for its print;
then `reader.py`, which is what Keras calls, and `read_ahead.py`, which starts the next batches.
`input_names.py` and `output_shapes.py` look whether a model fits. `state.py` says where a sequence
stands, `replay.py` makes one row again, `resume/` continues a training that was interrupted.
`keras_inside/` holds everything that leans on private parts of Keras. Importing this folder imports
no Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multimodal_gen.sequence.sequence import MultimodalSequence as MultimodalSequence

__all__ = ["MultimodalSequence"]


def __getattr__(name: str) -> Any:
    # Keras is imported when the class is asked for, as most files of this folder do without.
    if name != "MultimodalSequence":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from multimodal_gen.sequence.sequence import MultimodalSequence

    return MultimodalSequence
