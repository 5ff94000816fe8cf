"""How a table is read, one file for each format; `multimodal_gen.table.read_table` is the way in.

All keep to one rule: the rows of the file are the rows of the table, in its order and with its columns, and a cell is
what stands there, or there is an error that names the line.
"""
