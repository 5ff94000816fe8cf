"""The table, and which of its rows come when: the first room, which knows nothing of loaders,
batches or Keras.

Read `table.py` first: it reads a file (`formats/`, one file for each format), checks columns and
takes cells out. `arrays.py` makes a table of arrays. `cells.py` says what one cell is,
`cell_numbers.py` which number it holds, and `number_advice.py` what to do where it holds none.
`splitting.py` shares rows out to parts (`split_rows.py`, `split_groups.py`), and `leakage.py` finds
pictures that stand in several. `sampling.py` says how often rows come, and `plan.py` which rows go
into which batch, in which order, with which random streams. `checks.py` has the checks of arguments
that many functions share.
"""
