"""Continuing a training that was interrupted: at the next batch, as if nothing had happened.

Read `callback.py` first, which is what a user sees. It puts together what a run consists of
(`contents.py`), keeps it on disk (`snapshots.py`), and has Keras begin in the middle of an epoch
(`../keras_inside/middle.py`).
"""

from multimodal_gen.sequence.resume.callback import ResumeTraining as ResumeTraining

__all__ = ["ResumeTraining"]
