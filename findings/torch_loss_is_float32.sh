#!/usr/bin/env bash
# With Keras on torch, the loss of a model in float64 is a float32, and so it and all gradients have
# the precision of one.
#
# Seen with keras 3.15.1 and torch 2.13.0 on Linux x86-64, Python 3.11, on a processor.
# `keras.ops.divide_no_nan` of two float64 tensors returns float32 on torch, where `keras.ops.divide`
# keeps float64, and numpy and tensorflow keep it in both. Every loss is divided by the number of rows,
# or by the sum of their weights, with it.
#
# So `floatx` or `dtype="float64"` does not show whether two ways to train differ by rounding alone:
# weights of a model in float64 still differ in the eighth digit.
#
# Exits 0 while that is so, and 1 when the loss is a float64 too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "keras==3.15.1" "torch==2.13.0"
cat >"$folder/loss.py" <<'PYTHON'
import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
from keras import ops

keras.config.set_floatx("float64")
truth, said = np.array([[1.0], [2.0], [3.0]]), np.array([[0.1], [0.3], [0.7]])
one, other = ops.convert_to_tensor(truth), ops.convert_to_tensor(said)
loss = keras.losses.MeanSquaredError()(one, other)
exact = float(((truth - said) ** 2).mean())
dtypes = [
    keras.backend.standardize_dtype(x.dtype)
    for x in (one, ops.divide(one, other), ops.divide_no_nan(one, other), loss)
]
for name, dtype in zip(("inputs", "divide", "divide_no_nan", "mean squared error"), dtypes):
    print(f"{name}: {dtype}")
away = abs(float(loss) - exact) / exact
print(f"the loss is {away:.1e} of its value away from that of numpy")
sys.exit(not (dtypes == ["float64"] * 2 + ["float32"] * 2 and away > 1e-10))
PYTHON
"$folder/venv/bin/python" "$folder/loss.py"
