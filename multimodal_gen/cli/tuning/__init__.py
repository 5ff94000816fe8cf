"""The search of `multimodal-gen tune`, made of trials that `train` could do.

Read `running.py` first: what is searched, what is chosen, and what is written. `space.py` has the
settings that are varied, `variants.py` makes loaders and models of their values, `trial.py` trains
one and follows its curve, `judging.py` has the loss by which they are compared, `pace.py` says how
long one takes and may take, `proposing.py` what the next one tries, `search.py` runs one after the
other with Optuna, `store.py` keeps what is finished and `clock.py` the time, `choosing.py` says
which trial is kept, `table.py` and `picture.py` show them all.
"""
