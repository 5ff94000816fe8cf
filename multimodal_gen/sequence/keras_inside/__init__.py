"""Everything that leans on private parts of Keras, and nothing else does.

Each part is looked for when it is needed, and one that is missing is a RuntimeError that says what
to do (`errors.py`). `docs/design.md` lists them. Read `calls.py` first: which method of Keras is
running, and what for; `epochs.py` knows which epoch it is. `attending.py` does what is due whenever
an epoch begins or ends: `whole_model.py` keeps the weights whole (`signals.py`), `plain_errors.py`
keeps errors plain, both by what `wrapping.py` puts on and takes off again. `middle.py` begins
inside an epoch, `sharing.py` looks at several processes, `graph.py` at what a model is made of, and
`seeds.py` at Keras's seeds. `backends.py` names a backend that is installed.
"""
