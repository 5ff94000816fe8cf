"""Everything that looks inside Keras while one of its methods runs.

Read `calls.py` first: which method of Keras is running, in which epoch, and what for. `plain_errors.py` has errors
come out of Keras as themselves, `whole_model.py` keeps a model's weights whole whatever ends a call, and `middle.py`
has `fit` begin in the middle of an epoch.
"""
