"""What each column of a table holds, and the loaders for it.

Read `inferring.py` first: `infer_columns` makes a table of what each column is taken for. It asks
`kinds.py` about one column at a time (`pictures.py`, `several.py` for several in a cell, and
`texts.py` for the longer answers; `cells.py` counts what a column holds), and `giveaways.py`
whether a column gives the label away. `choosing.py` makes loaders of the
result, from the cells that `readable.py` finds fit to learn from, and `naming.py` names the inputs.
"""
