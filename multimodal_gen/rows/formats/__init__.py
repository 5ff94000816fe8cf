"""How a table is read, one file for each format; `rows/table.py` is the way in.

All keep to one rule: the rows of the file are the rows of the table, in its order and with its
columns, and a cell is what stands there, or there is an error that names the line. Read
`delimited.py` first (csv and tsv), with `quoting.py`, `separators.py` and `encoding.py`, which say
what is wrong with such a file and where; then `jsonl.py` and `parquet.py`; last `folders.py` and
`metadata.py`, which make a table of a folder of pictures.
"""
