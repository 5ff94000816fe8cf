"""Positions of rows in, the arrays of one batch out. Nothing here knows Keras, and nothing is
imported ahead of use.

Read them in this order. `assembly.py`: the settings that all batches share. `slots.py`: what each
array of a batch is for. `draft.py`: one batch in the making, its state. `reading.py` fills it cell
by cell or together, and `finishing.py` makes of it what Keras is given, with `operations.py` for
random operations on samples and batches. `pending.py` puts that work on `threads.py` and waits for
it, with `time_limits.py` for reads that hang.

`shared_draws.py` is for pictures that vary together. `sources.py` knows where an array comes from:
the loader, `row_memory.py`, or the `cache/` on disk. `buckets.py` puts captions of like length
together, `weights.py` gives each row its weight in the loss, and `failures.py` says what becomes of
rows that cannot be loaded.
"""
