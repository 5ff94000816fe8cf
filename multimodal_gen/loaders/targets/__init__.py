"""Targets: loaders in the y position, which also define the model's output and its scores.

Read `base.py` first, with `checking.py` for the proof that one keeps its contract, `judgement.py`
for predictions beside the truth and `balance.py` for classes that count alike, then one file for
each: `class_label.py`, `multi_label.py` (with `label_cells.py` for cells of several labels; both
use `names.py`), `numbers.py`, `inputs.py` (the input itself), and `masked_tokens.py`. `losses.py`
has the losses that Keras does not have; it imports Keras, and targets import it only when asked for
their loss.
"""
