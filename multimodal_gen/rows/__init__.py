"""The table, and which of its rows come when. The first folder: it knows nothing about loaders,
batches or Keras.

Read `table.py` first: it reads a file (`formats/`, one file per format), checks columns and takes
cells out. `annotations/` reads the files of well-known data sets. `arrays.py` makes a table of
arrays, `stores/` one of files that stay on disk; `shared_column.py` has what their columns share,
and `chunks.py` goes through a column piece by piece. `joining.py` makes one table of several.
`cells.py` says whether a cell is missing and which text it holds, `cell_numbers.py` which number,
`number_advice.py` what to do if it does not hold one, and `cell_dates.py` which date.
`splitting.py` divides rows into parts (`split_rows.py`, `split_groups.py`), `folds.py` into folds,
and `leakage.py` finds pictures that are in several parts. `sampling.py` says how often each row
comes, and `mixing.py` how much of each source, which `mixture.py` counts out. `plan.py` makes the
order of an epoch: which rows go into which batch, with the random numbers of `streams.py`;
`shuffling.py` orders very many rows. `checks.py` has argument checks that many functions share, and
says whether a column looks like ids.
"""
