"""Reads every file of a folder with several image loaders, and prints what became of each as a line
of JSON.

A process of its own, so that its memory is that of the loaders: `python tests/read_torture.py
FOLDER`.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import multimodal_gen as mg

SETTINGS = {
    "plain": {"image_size": (64, 64)},
    "large": {
        "image_size": (300, 1000),
        "color_mode": "rgba",
        "crop_to_aspect_ratio": True,
        "dtype": "float32",
    },
    "padded": {"image_size": (17, 40), "color_mode": "grayscale", "pad_to_aspect_ratio": True},
}


# Other work on the machine makes a read slower: one that takes so many seconds is repeated, and the
# least of so many counts.
LONG, TRIES = 2.0, 3


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The most memory in bytes since `reset_peak`."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    warnings.simplefilter("error")
    folder = Path(sys.argv[1])
    loaders = {
        (decoder, name): mg.ImageLoader("image", directory=folder, decoder=decoder, **settings)
        for decoder in ("pillow", "turbo")
        for name, settings in SETTINGS.items()
    }
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        cell = str(path.relative_to(folder))
        for (decoder, name), loader in loaders.items():
            reset_peak()
            kind, reason, mean, seconds = "", "", -1.0, float("inf")
            for _ in range(TRIES):
                start = time.process_time()
                try:
                    array = loader.read(cell)
                    fits = array.shape == loader.spec.shape and array.dtype == loader.spec.dtype
                    kind, mean = "array" if fits else "wrong", float(array.mean(dtype=np.float64))
                except mg.LoadError as error:
                    kind = "LoadError" if error.path == str(path) else "unnamed"
                    reason = error.reason
                except BaseException as error:
                    kind, reason = type(error).__name__, str(error)
                seconds = min(seconds, time.process_time() - start)
                if seconds < LONG:
                    break
            found = {
                "path": cell,
                "decoder": decoder,
                "settings": name,
                "kind": kind,
                "reason": reason,
                "mean": mean,
            }
            print(  # noqa: T201
                json.dumps({**found, "seconds": seconds, "bytes": peak()}),
                flush=True,
            )


if __name__ == "__main__":
    main()
