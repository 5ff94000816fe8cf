"""The only code that depends on private parts of Keras.

Each private part is looked up when it is needed. A missing one is a RuntimeError that says what to
do (`errors.py`). `docs/design.md` lists them all. Read `calls.py` first: it finds out which method
of Keras is running and why. `epochs.py` knows the epoch. `attending.py` runs whenever an epoch
begins or ends: `whole_model.py` keeps the weights valid (with `signals.py`), `plain_errors.py`
keeps errors readable, and both use the wrappers of `wrapping.py`. `middle.py` starts inside an
epoch, `sharing.py` checks several processes, `graph.py` inspects a model, and `seeds.py` finds
Keras's seeds. `backends.py` picks an installed backend.
"""
