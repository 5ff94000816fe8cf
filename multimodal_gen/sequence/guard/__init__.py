"""Finds the rows behind a loss that is not a number, or that jumps.

Read `callback.py` first, which users see: it watches the loss of each batch, and keeps the weights
from before it (`kept.py`). After a bad batch, `rows.py` trains on each of its rows alone to see
which is to blame.
"""

from multimodal_gen.sequence.guard.callback import LossGuard as LossGuard

__all__ = ["LossGuard"]
