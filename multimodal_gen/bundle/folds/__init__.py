"""Cross-validation: each row is predicted by a model that was trained on other rows.

Read `cross_validation.py` first, then `running.py`, which trains fold after fold. `together.py`
says which rows stay in one fold, `rehearsing.py` finds out before the first fold what would fail in
the last, and `fitting.py` trains the model of a fold. `keeping.py` keeps finished folds in a
folder, from which a stopped run continues, `ensemble.py` makes one bundle of them, and `result.py`
holds what is returned. `pairs.py` does likewise with a pair of encoders, to find rows whose two
inputs do not fit.
"""

from multimodal_gen.bundle.folds.cross_validation import cross_validate
from multimodal_gen.bundle.folds.pairs import out_of_fold_fits
from multimodal_gen.bundle.folds.result import CrossValidation

__all__ = ["CrossValidation", "cross_validate", "out_of_fold_fits"]
