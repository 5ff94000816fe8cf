"""Positions of rows in, the arrays of one batch out. Nothing here knows Keras, and nothing is imported ahead of use.

Read `assembly.py` first: the settings that all batches share, and how one is started. `draft.py` holds the arrays of a
batch and fills them cell by cell or together; `pending.py` puts that work on `threads.py` and waits for it.
`operations.py` runs random operations on samples and batches, with `shared_draws.py` for pictures that vary together.
`sources.py` knows where an array comes from: the loader, `row_memory.py`, or the `cache/` on disk. `buckets.py` puts
captions of like length together, `weights.py` gives each row its weight in the loss, and `failures.py` says what
becomes of rows that cannot be loaded.
"""
