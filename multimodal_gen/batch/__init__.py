"""From positions of rows to the arrays of one batch. Nothing here knows Keras.

Read the files in this order. `assembly.py`: the settings that all batches share. `slots.py`: what
each array of a batch is for. `draft.py`: the state of one batch in progress. `reading.py` fills it,
and `finishing.py` turns it into what Keras is given, with `operations.py` for random operations on
samples and batches. `pending.py` runs that work on `threads.py` and waits for it, with
`time_limits.py` for reads that hang.

`shared_draws.py` handles pictures that vary together. `sources.py` knows where an array comes from:
the loader, `row_memory.py`, or the `cache/` on disk. `buckets.py` groups captions of similar
length, `weights.py` gives each row its weight in the loss, and `failures.py` handles rows that
cannot be loaded. Importing this folder imports none of its files.
"""
