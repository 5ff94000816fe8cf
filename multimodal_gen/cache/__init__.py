"""Arrays that loaders have read, kept on disk, so that a second epoch decodes nothing.

`store.py` is what others see; `keys.py` says what makes two cells the same, `folder.py` holds the arrays of one loader
in files (`segments.py`) that are found by an index in memory (`index.py`). Random operations come after the cache:
batches are the same to the byte with it and without it. Nothing here knows about tables, batches or Keras.
"""

from multimodal_gen.cache.store import ArrayCache, LoaderCache, as_text, estimate

__all__ = ["ArrayCache", "LoaderCache", "as_text", "estimate"]
