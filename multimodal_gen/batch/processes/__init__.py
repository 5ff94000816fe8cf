"""Worker processes that make whole batches, where the threads of one process are not enough.

Read `pool.py` first, then `crew.py`: which of the `hands.py`, the workers as their parent sees
them, makes which batch. `choice.py` decides how many there are. `remote.py` is a batch as its user
sees it. What a worker is given: `parcels.py` (loaders and settings, once per sequence) and a `Task`
of `making.py` (rows with their cells, once per batch). `regions.py` is the memory that batches are
made in, shared and reused. `deaths.py` decides what becomes of a batch whose worker died or hung.
`starting.py` starts workers through a `nursery.py` that forks them, `worker.py` is their loop, and
`messages.py` is how they talk. Nothing here imports Keras, and neither does a worker.
"""
