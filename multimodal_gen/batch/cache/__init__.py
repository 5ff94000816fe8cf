"""Arrays that loaders have read, kept on disk, so that a second epoch decodes nothing.

Read `store.py` first, which is what others see; `keys.py` says what makes two cells the same,
`folder.py` holds the arrays of one loader in files (`segments.py`) that are found by an index in
memory (`index.py`), and `locks.py` keeps processes apart. `filling.py` reads a whole table ahead of
training. Random operations come after the cache: batches are the same to the byte with it and
without it. Nothing here knows about batches or Keras.
"""

from multimodal_gen.batch.cache.store import ArrayCache, LoaderCache, as_text, estimate

__all__ = ["ArrayCache", "LoaderCache", "as_text", "estimate"]
