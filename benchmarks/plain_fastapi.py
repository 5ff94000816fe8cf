"""What an endpoint is without batches: a plain FastAPI handler that predicts one row.

`benchmarks.serve` runs it, where FastAPI is installed. SERVED names the export or the run.
"""

from __future__ import annotations

import base64
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd
from fastapi import FastAPI

from multimodal_gen.serving import load

_folder = Path(os.environ["SERVED"])
if (_folder / "export.json").is_file():
    model: Any = load(_folder)
    turn: AbstractContextManager[Any] = nullcontext()
else:
    from multimodal_gen.bundle import load_bundle

    model = load_bundle(_folder)
    # Keras on jax predicts in one thread at a time: in several, variables are lost.
    turn = Lock()
app = FastAPI()


@app.post("/predict")
def predict(row: dict[str, str]) -> Any:
    """Predict a row, with its picture as base64."""
    cells = {**row, "image": base64.b64decode(row["image"])}
    with turn:
        return model.predict(pd.DataFrame([cells])).to_dict("records")[0]
