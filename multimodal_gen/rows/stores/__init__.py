"""Tables that stay on disk: `open_table` gives a DataFrame whose columns read their cells when they
are asked for.

Read `store.py` first: it says what a table kept in files answers. `column.py` makes pandas columns
of that, with `computing.py` for what reads a whole column into memory. There is a file for each
format: `parquet.py` and `arrow_files.py`, with what they share in `arrow.py`; `tar.py`, with
`tar_index.py` and `tar_columns.py`; `tfrecord.py`; `lance.py`; `mds.py`, with `mds_cells.py`.
`shards.py` finds the files that a pattern names, and `pieces.py` the one that a row is in.
`opening.py` is the entry point.
"""
