"""The Sequence that Keras is given: batches of a table for `fit`, `evaluate` and `predict`.

Start with `sequence.py`; `arguments.py` checks its arguments, `balancing.py` warns of classes that
are balanced twice, and `description.py` prints it. Then read `reader.py`, which Keras calls,
`epoch_checks.py`, which runs before each epoch, and `read_ahead.py`, which starts the next batches.
`input_names.py` and `output_shapes.py` check that a model fits the data. `state.py` describes a
position as JSON, `replay.py` makes one row again, `resume/` writes the position of a training run
to disk and continues it, `ranks/` joins the processes that train one model, and `guard/` finds the
rows behind a bad loss. `keras_inside/` holds everything that depends on private parts of Keras,
such as finding the epoch of a running `fit`. The order of rows in an epoch is made in
`rows/plan.py`, and the batches in `batch/`. Importing this folder does not import Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multimodal_gen.sequence.sequence import MultimodalSequence as MultimodalSequence

__all__ = ["MultimodalSequence"]


def __getattr__(name: str) -> Any:
    # Imported on first use: most files of this folder do not need Keras, and it is slow to import.
    if name != "MultimodalSequence":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from multimodal_gen.sequence.sequence import MultimodalSequence

    return MultimodalSequence
