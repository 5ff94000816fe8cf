"""A process that converts a model on another backend: a saved model is the same on all of them.

python -m multimodal_gen.bundle.exporting.child FORMAT FOLDER
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_gen.bundle.exporting.manifest import Network, network_of
from multimodal_gen.spec import ArraySpec

# What the process is given in its folder: the model, and what it takes. What it writes beside the
# network: what that takes and puts out, or why there is none.
MODEL, _SPECS, _RESULT = "model.keras", "specs.json", "converted.json"
# Seconds. Large networks of `keras.applications` take minutes.
_LONGEST = 1800


def convert_on(
    backend: str, specs: Mapping[str, ArraySpec], inputs_as: str, form: str, folder: Path
) -> Network:
    """Convert a saved model on a backend, in a process of its own.

    Args:
        backend: "tensorflow", "jax" or "torch".
        specs: Name -> spec of all that the model takes, in its order.
        inputs_as: How it takes them.
        form: A key of `FILES`.
        folder: Where the model is, as `MODEL`, and the network is written.

    Raises:
        ValueError: If it cannot be converted there; it says why.
    """
    given = {
        "inputs_as": inputs_as,
        "specs": {name: [list(one.shape), one.dtype] for name, one in specs.items()},
    }
    (folder / _SPECS).write_text(json.dumps(given), "utf-8")
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, form, str(folder)],
                env={
                    **os.environ,
                    "KERAS_BACKEND": backend,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    # What is compared are the results of processors.
                    "CUDA_VISIBLE_DEVICES": "",
                    "TF_CPP_MIN_LOG_LEVEL": "2",
                },
                stdout=said,
                stderr=said,
                stdin=subprocess.DEVNULL,
                timeout=_LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"the converter took more than {_LONGEST:,} seconds") from None
        result = folder / _RESULT
        if not result.exists():
            said.seek(0)
            last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            raise ValueError(f"the converter ended with status {done.returncode}: {last}")
    found = json.loads(result.read_text("utf-8"))
    result.unlink()
    if "error" in found:
        raise ValueError(found["error"])
    return network_of(found)


def main() -> None:
    """Convert the model in the folder that the command line names, and write the result."""
    form, folder = sys.argv[1], Path(sys.argv[2])
    # Importing the models registers their layers, which the file names.
    import multimodal_gen.models  # noqa: F401
    from multimodal_gen.bundle.exporting.converting import convert
    from multimodal_gen.bundle.model_file import load_model

    given = json.loads((folder / _SPECS).read_text("utf-8"))
    specs = {
        name: ArraySpec(tuple(shape), dtype) for name, (shape, dtype) in given["specs"].items()
    }
    found: dict[str, Any]
    try:
        model = load_model(folder / MODEL, None)
        found = convert(model, specs, given["inputs_as"], form, folder).to_json()
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    (folder / _RESULT).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
