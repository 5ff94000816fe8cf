"""Going on with a training that was interrupted: at the next batch, as if nothing had happened.

`callback.py` is what a user sees. It puts together what a run consists of (`contents.py`), keeps it on disk
(`snapshots.py`), and has Keras begin in the middle of an epoch (`running_fit.py`).
"""

from multimodal_gen.resume.callback import ResumeTraining as ResumeTraining

__all__ = ["ResumeTraining"]
