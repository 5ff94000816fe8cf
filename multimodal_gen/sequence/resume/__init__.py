"""Resumes an interrupted training run at the next batch, with the same result.

Read `callback.py` first, which users see. It collects the state of a run (`contents.py`), keeps it
on disk (`snapshots.py`, for several processes `shared_states.py`), and makes Keras start in the
middle of an epoch (`../keras_inside/middle.py`).
"""

from multimodal_gen.sequence.resume.callback import ResumeTraining as ResumeTraining

__all__ = ["ResumeTraining"]
