"""By what Keras's `TensorBoard` numbers its points with `update_freq="batch"`: batches since `fit`
began, so a resumed run would begin at 1 again.
"""

from __future__ import annotations

import keras

from multimodal_gen.sequence.keras_inside.errors import need

_COUNTS = ("_global_train_batch", "_global_test_batch")
_WHY = "to go on with the curves of a resumed run", 'Use `TensorBoard(update_freq="epoch")`.'


def counts_of(board: keras.callbacks.TensorBoard) -> dict[str, int]:
    """Return how many batches of training and of validation it has counted.

    Raises:
        RuntimeError: If this version of Keras works differently.
    """
    for name in _COUNTS:
        need(board, name, *_WHY)
    return {name: int(getattr(board, name)) for name in _COUNTS}


def count_on(board: keras.callbacks.TensorBoard, counts: dict[str, int]) -> None:
    """Make it count on from what `counts_of` returned."""
    for name, value in counts.items():
        setattr(board, name, value)
