"""What becomes of every branch and every function of `keras.applications`: saved, exported,
quantised, on each backend.

Each model is built with random weights in its head, at the smallest size of picture that it takes.
What was saved or exported is loaded and run on the same rows, in another number than it was
exported with, and compared with the model. A model that crashes or takes too long ends only its own
process. Results are kept in a file, so that a sweep can be resumed, and `--write` puts the table
into a page, between two marks. What was not measured, or took too long, is named.

    python -m benchmarks.exports --results exports.json --write docs/models.md

Needs tensorflow, onnx, onnxruntime, ai-edge-litert, and as converters tf2onnx (tensorflow),
jax2onnx (jax), onnxscript and litert-torch (torch); what a missing one would do is not measured.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

BACKENDS = ("tensorflow", "jax", "torch")
CHECKS = ("keras", "tf_saved_model", "onnx", "litert", "int8")
TITLES = ("model", "`.keras`", "SavedModel", "ONNX", "LiteRT", "int8, in a bundle")
NOT_MEASURED = "not measured"
MARKS = ("<!-- exports: begin -->", "<!-- exports: end -->")
BRANCHES = ("ImageBranch", "TokenBranch", "TokenBranch with blocks", "NgramBranch", "VectorBranch")
# By size, so that a sweep that is cut short has the models that are used.
_NAMES = """
MobileNetV3Small MobileNetV2 MobileNet MobileNetV3Large EfficientNetB0 EfficientNetV2B0
NASNetMobile DenseNet121 ResNet50 ResNet50V2 ConvNeXtTiny Xception InceptionV3 VGG16 VGG19
EfficientNetB1 EfficientNetB2 EfficientNetV2B1 EfficientNetV2B2 EfficientNetB3 EfficientNetV2B3
DenseNet169 DenseNet201 EfficientNetB4 EfficientNetV2S ResNet101 ResNet101V2 ConvNeXtSmall
EfficientNetB5 InceptionResNetV2 EfficientNetB6 EfficientNetV2M ResNet152 ResNet152V2
EfficientNetB7 NASNetLarge ConvNeXtBase EfficientNetV2L ConvNeXtLarge ConvNeXtXLarge
"""
APPLICATIONS = tuple(_NAMES.split())
SIZES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}


def build(name: str) -> tuple[Any, list[Any]]:
    """A model of this name, and three rows for it."""
    import keras
    import numpy as np

    import multimodal_gen as mg
    from multimodal_gen import models
    from multimodal_gen.loaders.base import ArraySpec

    rng = np.random.default_rng(0)
    if name in APPLICATIONS:
        size = SIZES.get(name, 32)
        spec = ArraySpec((size, size, 3), "uint8", "image")
        branch: Any = models.BackboneBranch(getattr(keras.applications, name))
    else:
        spec, branch = {
            "ImageBranch": (ArraySpec((32, 32, 3), "uint8", "image"), models.ImageBranch()),
            "TokenBranch": (
                ArraySpec((12,), "int32", "tokens", vocabulary_size=50),
                models.TokenBranch(),
            ),
            "TokenBranch with blocks": (
                ArraySpec((12,), "int32", "tokens", vocabulary_size=50),
                models.TokenBranch(blocks=1),
            ),
            "NgramBranch": (
                ArraySpec((9, 2), "int32", "ngrams", vocabulary_size=50),
                models.NgramBranch(),
            ),
            "VectorBranch": (ArraySpec((7,), "float32", "vector"), models.VectorBranch()),
        }[name]
    shape = (3, *spec.shape)
    if spec.kind == "vector":
        rows = rng.normal(size=shape)
    else:
        rows = rng.integers(1, 256 if spec.kind == "image" else 50, shape)
    if spec.kind == "ngrams":
        rows[..., 1] = rng.integers(0, 2**16, shape[:-1])
    keras.utils.set_random_seed(0)
    target = mg.ClassLabel("label", ["a", "b", "c"])
    model = models.build_fusion_classifier({"x": spec}, target, branches={"x": branch})
    head = model.get_layer("x_head")
    head.set_weights([rng.normal(size=weight.shape, scale=0.3) for weight in head.get_weights()])
    return model, [rows.astype(spec.dtype)]


@functools.lru_cache(maxsize=1)
def prepare(name: str) -> tuple[Any, list[Any], list[Any]]:
    """A model of this name, rows for it, and what it says of them. It serves all checks: building
    takes longest.
    """
    import numpy as np

    model, rows = build(name)
    expected = [np.asarray(model.predict(rows, verbose=0))]
    # Of tokens another number than the model was exported with, as captions have.
    if rows[0].ndim == 2 and name.startswith("Token"):
        rows.append(rows[0][:, :7])
        expected.append(np.asarray(model.predict([rows[1]], verbose=0)))
    return model, rows, expected


def check(name: str, kind: str, folder: Path) -> str:
    """What became of one model in one format: "yes", or why not."""
    import keras
    import numpy as np

    model, rows, expected = prepare(name)
    path = folder / "model"
    if kind == "keras":
        model.save(f"{path}.keras")
        loaded = keras.saving.load_model(f"{path}.keras")
        found = [loaded.predict([one], verbose=0) for one in rows]
    elif kind == "int8":
        from multimodal_gen.bundle.model_file import check_quantized

        # It changes the model that the other checks have.
        prepare.cache_clear()
        model.quantize("int8")
        found = [np.asarray(model.predict([one], verbose=0)) for one in rows]
        worst = _furthest(found, expected)
        model.save(f"{path}.keras")
        check_quantized(model, Path(f"{path}.keras"))
        return "yes" if worst < 0.05 else f"off by {worst:.2f}"
    else:
        place = str(path) + {"onnx": ".onnx", "litert": ".tflite"}.get(kind, "")
        model.export(place, format=kind, verbose=False)
        found = [run(kind, place, one) for one in rows]
        if any(one.shape != other.shape for one, other in zip(found, expected, strict=True)):
            # Compared all the same, one row would pass for three.
            return "WRONG shape"
    worst = _furthest(found, expected)
    if worst < 1e-3:
        return "yes"
    # Rounding alone may move the outputs of a deep network whose weights are random.
    return (
        "runs" if moved_by_rounding(model, rows, expected) > worst / 10 else f"WRONG by {worst:.2f}"
    )


def moved_by_rounding(model: Any, rows: list[Any], expected: list[Any]) -> float:
    """How far a model's outputs move if each of its weights does by a millionth of itself."""
    import numpy as np

    rng, weights = np.random.default_rng(0), model.get_weights()
    model.set_weights([one * (1 + 1e-6 * rng.normal(size=one.shape)) for one in weights])
    found = [np.asarray(model.predict([one], verbose=0)) for one in rows]
    model.set_weights(weights)
    return _furthest(found, expected)


def _furthest(found: list[Any], expected: list[Any]) -> float:
    import numpy as np

    # What is not a number is not near anything.
    pairs = zip(found, expected, strict=True)
    return max(float(np.nan_to_num(np.abs(one - other), nan=np.inf).max()) for one, other in pairs)


def run(kind: str, path: str, rows: Any) -> Any:
    """The outputs of an exported model for these rows."""
    import numpy as np

    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return session.run(None, {session.get_inputs()[0].name: rows})[0]
    if kind == "tf_saved_model":
        import tensorflow as tf

        # In a variable: its own go with it.
        served = tf.saved_model.load(path)
        return np.asarray(served.serve([rows]))
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, rows.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, rows)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def work(jobs: list[str]) -> None:
    """Do these jobs, "model/check", one after the other, and print a line of JSON after each, and
    after each build.
    """
    import warnings

    warnings.simplefilter("ignore")
    for job in jobs:
        name, kind = job.rsplit("/", 1)
        try:
            with tempfile.TemporaryDirectory() as folder:
                prepare(name)
                print(f"\nBUILT {name}", flush=True)
                result = check(name, kind, Path(folder))
        except ImportError as error:
            result = f"not tried: {error}"
        except Exception as error:
            result = f"fails: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"\nRESULT {json.dumps([job, result])}", flush=True)


def sweep(backend: str, jobs: list[str], limit: float, results: dict[str, str], keep: Path) -> None:
    """Run jobs in a process of their own, and in another one after a crash or a step that takes too
    long.

    Steps are building a model, and each check of it.
    """
    jobs = [job for job in jobs if f"{backend}/{job}" not in results]
    while jobs:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.exports", "--work", *jobs],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
        )
        assert process.stdout is not None
        timer = threading.Timer(limit, process.kill)
        timer.start()
        built = ""
        for line in process.stdout:
            if not line.startswith(("RESULT ", "BUILT ")):
                continue
            timer.cancel()
            if line.startswith("BUILT "):
                built = line.removeprefix("BUILT ").rstrip()
                timer = threading.Timer(limit, process.kill)
                timer.start()
                continue
            job, result = json.loads(line.removeprefix("RESULT "))
            results[f"{backend}/{job}"] = result
            keep.write_text(json.dumps(results, indent=1), encoding="utf-8")
            print(f"{backend} {job}: {result[:150]}", flush=True)
            jobs.remove(job)
            timer = threading.Timer(limit, process.kill)
            timer.start()
        timer.cancel()
        if process.wait() and jobs:
            # A negative code is of a signal: ours, after the limit, or that of a crash.
            late = process.returncode == -signal.SIGKILL
            result = f"over {limit:g} s" if late else "fails: the process crashed"
            name = jobs[0].rsplit("/", 1)[0]
            # What could not be built in time cannot be checked in time.
            ended = (
                [job for job in jobs if job.rsplit("/", 1)[0] == name]
                if late and built != name
                else jobs[:1]
            )
            for job in ended:
                results[f"{backend}/{job}"] = result
                print(f"{backend} {job}: {result}", flush=True)
                jobs.remove(job)
            keep.write_text(json.dumps(results, indent=1), encoding="utf-8")


def table(results: dict[str, str]) -> str:
    """The results as a table in Markdown: a line for each model, in each cell the backends and what
    became of them.

    Models of which nothing was measured are named below it.
    """
    lines = [f"| {' | '.join(TITLES)} |", "|---" * len(TITLES) + "|"]
    left = []
    for name in (*BRANCHES, *APPLICATIONS):
        cells = [
            {one: _short(results.get(f"{one}/{name}/{kind}")) for one in BACKENDS}
            for kind in CHECKS
        ]
        if all(result == NOT_MEASURED for cell in cells for result in cell.values()):
            left.append(f"`{name}`")
        else:
            lines.append(f"| `{name}` | {' | '.join(map(_cell, cells))} |")
    if left:
        lines += ["", f"Nothing was measured of {', '.join(left)}."]
    return "\n".join(lines)


def _short(result: str | None) -> str:
    # A missing package says nothing of the model.
    if result is None or result.startswith("not tried"):
        return NOT_MEASURED
    return "no" if result.startswith("fails") else result


def _cell(found: dict[str, str]) -> str:
    # Backends with the same result together.
    short: dict[str, list[str]] = {}
    for backend, result in found.items():
        short.setdefault(result, []).append(backend)
    return "; ".join(f"{', '.join(backends)}: {result}" for result, backends in short.items())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument(
        "--results", type=Path, default=Path("exports.json"), help="results, resumed if it is there"
    )
    parser.add_argument("--backends", nargs="*", default=BACKENDS, choices=BACKENDS)
    parser.add_argument(
        "--models", nargs="*", default=[*BRANCHES, *APPLICATIONS], help="names, all by default"
    )
    parser.add_argument("--checks", nargs="*", default=CHECKS, choices=CHECKS)
    parser.add_argument(
        "--limit", type=float, default=240, help="seconds a step may take (default 240)"
    )
    parser.add_argument("--write", type=Path, help="page whose table between the marks is replaced")
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return
    results = (
        json.loads(arguments.results.read_text(encoding="utf-8"))
        if arguments.results.exists()
        else {}
    )
    jobs = [f"{name}/{kind}" for name in arguments.models for kind in arguments.checks]
    for backend in arguments.backends:
        sweep(backend, jobs, arguments.limit, results, arguments.results)
    if arguments.write is not None:
        page = arguments.write.read_text(encoding="utf-8")
        before, after = page.partition(MARKS[0])[0], page.partition(MARKS[1])[2]
        page = f"{before}{MARKS[0]}\n{table(results)}\n{MARKS[1]}{after}"
        arguments.write.write_text(page, encoding="utf-8")
    else:
        print(table(results))


if __name__ == "__main__":
    main()
