"""Writes a table with the contents of its files: to parquet, tar shards or Lance.

`packing.py` is the entry point. `naming.py` knows which files a name stands for, `columns.py` which
types their columns have; `contents.py` reads and resizes, on several threads. `shards.py` goes from
shard to shard with a writer of `writers.py` or `lance_writer.py`, reads each back (`digests.py`),
and keeps what is done in a manifest (`manifest.py`), alone in its output (`lock.py`). Importing
this folder imports none of its files.
"""
