#!/usr/bin/env bash
# Keras on jax or torch imports TensorFlow when a model is saved, if TensorFlow is installed: the
# first `model.save` of a process takes seconds longer and leaves hundreds of megabytes in use, for
# nothing.
#
# Seen with keras 3.15.1, jax 0.10.2 and tensorflow-cpu 2.21.0, Linux, Python 3.11. Keras looks
# whether each object of a model's configuration is a `tf.TensorShape`, and asks for that whether
# TensorFlow is available, which imports it. Training and prediction do not.
#
# So a process that saves checkpoints needs that memory besides its own, forks and containers that
# were measured while training are too small at the first checkpoint, and lines of TensorFlow's log
# appear in a program that does not use it. An environment without TensorFlow avoids it.
#
# Exits 0 while that is so, and 1 when saving leaves TensorFlow alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "keras==3.15.1" "jax[cpu]==0.10.2" "tensorflow-cpu==2.21.0"
cat >"$folder/save.py" <<'PYTHON'
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np


def megabytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile("sgd", "mse")
model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
model.predict(np.ones((8, 4)), verbose=0)
before = "tensorflow" in sys.modules
for number in (1, 2):
    start, held = time.perf_counter(), megabytes()
    model.save(f"{sys.argv[1]}/model{number}.keras")
    taken, more = time.perf_counter() - start, megabytes() - held
    print(f"save {number}: {taken:.2f} s, {more:.0f} MB more")
after = "tensorflow" in sys.modules
print(f"keras {keras.__version__} on {keras.backend.backend()}")
print(f"tensorflow imported: {before} after fit and predict, {after} after save")
sys.exit((before, after) != (False, True))
PYTHON
"$folder/venv/bin/python" "$folder/save.py" "$folder" 2>"$folder/errors" || {
  status=$?
  cat "$folder/errors" >&2
  exit "$status"
}
