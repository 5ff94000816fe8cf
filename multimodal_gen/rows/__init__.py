"""The table, and which of its rows come when: the first folder, which knows nothing of loaders,
batches or Keras.

Read `table.py` first: it reads a file (`formats/`, one file for each format), checks columns and
takes cells out. `arrays.py` makes a table of arrays. `cells.py` says whether a cell is missing and
what text it holds, `cell_numbers.py` which number, and `number_advice.py` what to do if it holds
none. `splitting.py` divides rows into parts (`split_rows.py`, `split_groups.py`), and `leakage.py`
finds pictures that are in several parts. `sampling.py` says how often rows come. `plan.py` makes
the order of an epoch: which rows go into which batch, with which random streams. `checks.py` has
checks of arguments that many functions share.
"""
