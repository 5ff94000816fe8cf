"""Explains predictions: which pixels, words and columns speak for them, and how much each input
counts.

Read `explaining.py` first, which explains a table batch by batch, then `engine.py`, which replaces
inputs and asks the model; `explainable.py` is what a bundle inherits. `model_parts.py` cuts a model
where its inputs meet, so that what an input alone determines is computed once; `subjects.py` says
which number is explained; `reading.py` reads cells that no table holds, and `shapley.py` shares
what inputs made together.

`pictures.py` makes heat maps, by the gradients of `gradients.py` where there are any. `texts.py`
weighs the words that `words.py` finds, and `columns.py` other columns. `results.py` holds what is
found of a row, and `explanations.py` that of all; `cards.py` draws them, `page.py` writes them as
HTML, and `tints.py` has the colours of both.
"""
