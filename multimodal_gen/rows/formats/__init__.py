"""How a table is read, with one file per format; `rows/table.py` is the entry point.

They all follow one rule: the rows of the file are the rows of the table, in its order and with its
columns, and a cell is what the file says, or there is an error that names the line. Read
`delimited.py` first (csv and tsv), with what can be wrong with such a file: `quoting.py` (stray
quotes, rows with too many or too few cells), `separators.py` and `encoding.py`. Then `jsonl.py`
(`json_columns.py`) and `parquet.py`; `compressed.py` (texts with gzip); last `folders.py` and
`metadata.py`, which make a table from a folder of pictures.
"""
