"""Tables that stay on disk: `open_table` gives a DataFrame whose columns read their cells when they
are asked for.

Read `store.py` first: it says what a table kept in files answers. `column.py` makes pandas columns
of that. `arrow.py` has what Arrow's formats share, `parquet.py` and `arrow_files.py` one format
each; `shards.py` finds the files that a pattern names. `opening.py` is the entry point.
"""
