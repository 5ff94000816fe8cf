"""Keeps arrays that loaders have read on disk, so that a second epoch decodes nothing.

Read `store.py` first, the interface, and `items.py`, the same for cells with several items.
`keys.py` computes the key of a cell (and `code.py` the code of a loader), `folder.py` holds the
arrays of one loader in files (`segments.py`) that an index in memory finds (`index.py`), and
`locks.py` and `claims.py` coordinate processes. `filling.py` reads a whole table before training,
`filled.py` says whether that is done, and `sizes.py` how many bytes it takes. Random operations are
applied after the cache, so batches are the same bytes with and without it. Nothing here knows about
batches or Keras.
"""

from multimodal_gen.batch.cache.items import ItemsCache
from multimodal_gen.batch.cache.sizes import as_text, estimate
from multimodal_gen.batch.cache.store import ArrayCache, LoaderCache

__all__ = ["ArrayCache", "ItemsCache", "LoaderCache", "as_text", "estimate"]
