"""The only code that depends on private parts of Keras.

Each private part is looked up when it is needed. A missing one is a RuntimeError that says what to
do (`errors.py`). `docs/design.md` lists them all. Read `calls.py` first: it finds the epoch of a
running `fit`, by reading the stack, and which method of Keras asks for a batch. `epochs.py` sets
the epoch without reading the stack, in a callback, and computes passes from epochs. `attending.py`
runs whenever an epoch begins or ends: `whole_model.py` keeps the weights valid (with `signals.py`),
`plain_errors.py` keeps errors readable, and both use the wrappers of `wrapping.py`. `ending.py`
notices when a method ends. `middle.py` starts inside an epoch, `steps.py` counts the steps of an
`evaluate`, `sharing.py` checks that several processes get equally many batches, `tracing.py` saves
a trace on tensorflow, `graph.py` inspects a model, `seeds.py` finds Keras's seeds, and `board.py`
knows how its `TensorBoard` counts. `backends.py` picks an installed backend.
"""
