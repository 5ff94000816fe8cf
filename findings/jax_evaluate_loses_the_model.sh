#!/usr/bin/env bash
# One batch that cannot be read, in `evaluate` or `predict` of Keras on jax, and the trained model
# has no weights any more.
#
# Seen with keras 3.15.1 and jax 0.10.2 on Linux, Python 3.11. Both methods take the values out of
# the model's variables before the first step and put them back after the last, without a `finally`;
# that of `fit` helps where a step was done before, which depends on how far ahead batches are read.
# So an error of the data, of a callback, or Ctrl-C in between leaves variables without a value:
# every use of the model is then "TypeError: 'NoneType' object is not callable", `get_weights` and
# `save` too.
#
# Long tables of pictures have a bad file sooner or later, and it is met after training, when the
# test rows come up. Until this is mended: save the model before you evaluate it.
#
# Exits 0 while that is so, and 1 when the weights are there afterwards.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "keras==3.15.1" "jax==0.10.2"
cat >"$folder/lose.py" <<'PYTHON'
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
import keras
import numpy as np


class Rows(keras.utils.PyDataset):
    """Three batches, of which the last cannot be read."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 2:
            raise OSError("image file is truncated")
        return np.ones((4, 2), "float32"), np.ones((4, 1), "float32")


lost = {}
for method in ("evaluate", "predict"):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    try:
        getattr(model, method)(Rows(), verbose=0)
    except OSError as error:
        print(f"{method}: {error}")
    try:
        print("  ", len(model.get_weights()), "weights afterwards")
        lost[method] = False
    except TypeError as error:
        print("   get_weights:", error)
        lost[method] = True
sys.exit(lost != {"evaluate": True, "predict": True})
PYTHON
"$folder/venv/bin/python" "$folder/lose.py"
