"""Ranks: several processes that train one model together.

`group.py` says which there are and passes bytes between them; `callback.py` makes `fit` right on
them, on torch with `torch_steps.py`.
"""
