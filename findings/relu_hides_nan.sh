#!/usr/bin/env bash
# A NaN that goes into Dense(activation="relu") comes out as 0 in `fit` and `predict` of Keras on
# tensorflow, and as NaN where the same model is called by itself.
#
# Seen with tensorflow 2.21.0 and keras 3.15.1 on Linux x86-64, Python 3.11, on a processor. In a
# graph, a product, a bias and a ReLU become one operation of oneDNN, which gives 0 for NaN. Called
# eagerly, compiled by XLA (`jit_compile=True`), without a bias, or with TF_ENABLE_ONEDNN_OPTS=0, the
# NaN stays. On an AMD EPYC with AVX-512, the same happens in `predict` where the ReLU is a layer of its
# own behind Dense.
#
# So one row whose features are not numbers trains and predicts as if they were zeros, with a loss
# that looks normal: a check for a loss that is NaN (`TerminateOnNaN`) sees nothing, and
# `model(x)` does not agree with `model.predict(x)`.
#
# Exits 0 while that is so, and 1 when `predict` gives NaN too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "tensorflow-cpu==2.21.0" "keras==3.15.1"
cat >"$folder/hide.py" <<'PYTHON'
import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np

keras.utils.set_random_seed(0)
numbers = keras.Input((1,))
# The logarithm of a negative number, as of a price that was entered with a minus.
features = keras.layers.Lambda(keras.ops.log)(numbers)
hidden = keras.layers.Dense(4, activation="relu")(features)
model = keras.Model(numbers, keras.layers.Dense(1)(hidden))
x, y = np.array([[1.0], [2.0], [-3.0]], "float32"), np.ones((3, 1), "float32")
found = {}
for name, settings in {"graph": {"jit_compile": False}, "XLA": {"jit_compile": True}}.items():
    model.compile("sgd", "mse", **settings)
    found[name] = [float(model.predict(x, verbose=0)[2, 0]), float(model.evaluate(x, y, verbose=0))]
found["called"] = [float(model(x)[2, 0])]
for name, (output, *loss) in found.items():
    print(f"{name}: output of the row {output}", f"loss {loss[0]}" if loss else "")
hidden_in_graph = np.isfinite(found["graph"]).all()
seen_elsewhere = np.isnan(found["called"] + found["XLA"]).all()
sys.exit(not (hidden_in_graph and seen_elsewhere))
PYTHON
"$folder/venv/bin/python" "$folder/hide.py"
