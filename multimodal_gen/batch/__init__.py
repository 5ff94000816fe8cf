"""From positions of rows to the arrays of one batch. Nothing here knows Keras.

Read the files in this order. `making.py`: whether threads or worker processes make a batch.
`assembly.py`: the settings that all batches share. `slots.py`: what each array of a batch is for.
`batch_rows.py`: the rows of a batch, with their cells. `draft.py`: the state of one batch in
progress. `steps.py` divides its reading into steps, `reading.py` fills it, and `finishing.py` makes
what Keras is given: masks of missing cells, weight 0 for rows that could not be loaded, and random
operations on samples and batches (`operations.py`). `pending.py` decides which thread does what,
runs that on `threads.py` and waits for it, with `time_limits.py` for reads that hang. `processes/`
does the same with worker processes.

`shared_draws.py` finds pictures that vary together, such as a picture and its mask. `sources.py`
knows where an array comes from: the loader, `row_memory.py`, or the `cache/` on disk;
`remembering.py` what need not be read again, `windows.py` which rows are read with those of the
next batches, and `choosing.py` takes what is read in an epoch out of the table's cells.
`buckets.py` groups captions of similar length, `weights.py` gives good rows their weight in the
loss, and `failures.py` lists rows that could not be loaded.
`packing/` writes a table with the contents of its files. Importing this folder imports none of
its files.
"""
