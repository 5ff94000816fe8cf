#!/usr/bin/env bash
# MLflow's callback for Keras writes each validation metric twice in `fit`: as `val_loss` at the step
# of its epoch, and as `validation_loss` at step 0 in every epoch, so that this curve is one column of
# points above step 0.
#
# Seen with mlflow 3.17.2 and keras 3.15.1 on jax 0.10.2, Linux, Python 3.11. The second one comes
# from the end of the evaluation that `fit` runs after each epoch, to which the callback gives no
# step.
#
# So whoever draws or compares `validation_loss` over epochs sees no curve, and runs are ranked by
# its value of the last epoch, not of the one that was kept. `val_loss` has the steps.
#
# Exits 0 while that is so, and 1 when the steps of `validation_loss` are those of the epochs, or it
# is not written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "mlflow==3.17.2" "keras==3.15.1" "jax[cpu]==0.10.2"
cat >"$folder/log.py" <<'PYTHON'
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
import keras
import mlflow
import numpy as np
from mlflow.keras import MlflowCallback

keras.utils.set_random_seed(0)
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/runs.db")
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
features = np.random.default_rng(0).random((32, 2))
target = features.sum(axis=1)
data = features, target
with mlflow.start_run() as run:
    model.fit(*data, validation_data=data, epochs=4, verbose=0, callbacks=[MlflowCallback()])
client = mlflow.MlflowClient()
steps = {
    name: [point.step for point in client.get_metric_history(run.info.run_id, name)]
    for name in ("val_loss", "validation_loss")
}
print(f"mlflow {mlflow.__version__}, keras {keras.__version__}")
print(f"steps of val_loss        {steps['val_loss']}")
print(f"steps of validation_loss {steps['validation_loss']}")
sys.exit(steps != {"val_loss": [0, 1, 2, 3], "validation_loss": [0, 0, 0, 0]})
PYTHON
cd "$folder" && "$folder/venv/bin/python" log.py "$folder" 2>"$folder/errors" || {
  status=$?
  cat "$folder/errors" >&2
  exit "$status"
}
