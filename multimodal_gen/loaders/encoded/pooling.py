"""How the vectors of a text's tokens, as an ONNX model gives them, become one."""

from __future__ import annotations

from typing import Any

import numpy as np


def output_for(session: Any, pooling: str) -> str:
    """The name of the output that is pooled.

    Raises:
        ValueError: If there is none.
    """
    # An output with a vector for each token has three axes, one for each text has two.
    rank = 2 if pooling == "sentence" else 3
    outputs = session.get_outputs()
    found = [one.name for one in outputs if len(one.shape) == rank]
    if not found:
        raise ValueError(
            f"With pooling {pooling!r} the model needs an output with {rank} axes. Received: "
            f"{[(one.name, one.shape) for one in outputs]}"
        )
    return str(found[0])


def pooled(outputs: np.ndarray, mask: np.ndarray, pooling: str) -> np.ndarray:
    """Make one vector of those of each text's tokens.

    Args:
        outputs: `(texts, tokens, size)`, or for "sentence" `(texts, size)`.
        mask: `(texts, tokens)`, 0 for padding.
        pooling: One of `POOLINGS`.

    Returns:
        `(texts, size)`.
    """
    if pooling == "sentence":
        return outputs
    if pooling == "cls":
        return outputs[:, 0]
    if pooling == "lasttoken":
        return outputs[np.arange(len(outputs)), mask.sum(1) - 1]
    weights = mask[..., None].astype("float32")
    if pooling == "max":
        return np.where(weights > 0, outputs, -np.inf).max(1)
    return (outputs * weights).sum(1) / weights.sum(1)
