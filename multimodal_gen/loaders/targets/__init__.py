"""Targets: loaders in the y position, which also define the model's output and its scores.

Read `base.py` first, with `checking.py`, which proves that a target keeps its contract,
`judgement.py`, which compares predictions with the truth, and `balance.py`, which counts classes
and works out `class_weight="balanced"`; `resampling.py` scores many resamples of the rows at once,
for intervals, `calibration.py` makes probabilities right as often as they say, `conformal.py` has
limits of sets and intervals, and `class_shares.py` sets of classes. Then there is one file per
target: `class_label.py` (`class_scores.py`), `multi_label.py` (`label_cells.py` parses cells of
several labels, `label_reading.py` makes a row of zeros and ones of one, `label_learning.py` learns
from them, `label_decisions.py` has their scores, `label_thresholds.py` chooses thresholds),
`numbers.py`, `inputs.py` (the input itself), and `masked_tokens.py`. What classes have in common is
in `names.py`, `known_classes.py` (which class a cell is), `variants.py` (which warns of classes
that look like one), `unlikely.py` (of ids and printed lists as classes) and `class_loss_checks.py`
(arguments of their losses).
`losses.py` and `class_losses.py` have losses and metrics that Keras lacks; they import Keras, and
targets import them only when asked for their loss.
"""
