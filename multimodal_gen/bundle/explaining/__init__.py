"""Explains predictions, and says what inputs are worth: which pixels, words and columns speak for a
prediction, how much each input counts, and what score is lost without it.

Read `explaining.py` first, which explains a table batch by batch, then `engine.py`, which replaces
inputs and asks the model; `explainable.py` is what a bundle inherits. `players.py` says which
inputs are replaced together. `model_parts.py` has a model in parts, so that what an input alone
determines is computed once, and `cutting.py` cuts it where its inputs meet; `subjects.py` says
which number is explained; `reading.py` reads cells that no table holds, and `shapley.py` shares
what inputs made together.

`pictures.py` makes heat maps, by the gradients of `gradients.py` where there are any. `texts.py`
weighs the words that `words.py` finds, and `columns.py` other columns. `results.py` holds what is
found of a row, and `explanations.py` that of all; `cards.py` draws them, `page.py` writes them as
HTML, and `tints.py` has the colours of both.

`importance.py` says what inputs and columns are worth on a whole table: `judged_rows.py` has the
rows of a model, or of each fold's, `permuting.py` exchanges their cells, and `class_scores.py`
counts what that costs each class.
"""
