"""How good and how sure a bundle is.

`judged.py` has what a `Bundle` inherits from here. `scores.py` makes its scores with intervals and
by class, and the differences between two bundles; `resamples.py` draws the rows for them.
`calibrating.py` makes probabilities right as often as they say, `reliability.py` measures how far
they are from that, `sets.py` makes sets of classes and intervals of numbers, and `deciding.py`
decisions by what mistakes cost.
"""
