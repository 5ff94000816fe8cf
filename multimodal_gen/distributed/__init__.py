"""Train one model in several processes, on one host or many.

Start with `ranks.py`: `start` finds out which processes there are. `launched.py` asks the launchers
that it knows. What `fit` does on several ranks is in `../sequence/ranks/`.
"""

from multimodal_gen.distributed.ranks import Ranks, start

__all__ = ["Ranks", "start"]
