"""What is fuzzed: where it starts, how it is spoiled, and what it may do.

A case is a folder of files.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import multimodal_gen as mg
from fuzz.mutate import spoil_bytes, spoil_json

Case = dict[str, bytes]
ROOT = Path(__file__).parent.parent


class Images:
    """The image loader with both decoders and several settings."""

    def __init__(self) -> None:
        self.seeds = [{"picture": content} for content in _pictures()]
        settings = (
            {"image_size": (8, 8)},
            {"image_size": (40, 17), "color_mode": "rgba", "crop_to_aspect_ratio": True},
            {
                "image_size": (17, 40),
                "color_mode": "grayscale",
                "pad_to_aspect_ratio": True,
                "dtype": "float32",
            },
        )
        self.loaders = [
            mg.ImageLoader("picture", decoder=decoder, **one)  # type: ignore[arg-type]
            for decoder in ("pillow", "turbo")
            for one in settings
        ]

    def spoil(self, case: Case, rng: random.Random) -> Case:
        """A case made of another one."""
        return {"picture": spoil_bytes(case["picture"], rng, [rng.choice(self.seeds)["picture"]])}

    def run(self, folder: Path) -> float:
        """Read a case, and say how many seconds the slowest loader took; raises whatever should not
        be raised.
        """
        slowest = 0.0
        for loader in self.loaders:
            start = time.monotonic()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with contextlib.suppress(mg.LoadError):
                    array = loader.read(str(folder / "picture"))
                    slowest = max(slowest, time.monotonic() - start)
                    if array.shape != loader.spec.shape or array.dtype != loader.spec.dtype:
                        raise TypeError(f"{array.shape} {array.dtype} in place of {loader.spec}")
                    # What is decoded must not depend on what was in memory before.
                    if array.tobytes() != loader.read(str(folder / "picture")).tobytes():
                        raise TypeError("another picture when read again")
                slowest = max(slowest, (time.monotonic() - start) / 2)
        return slowest


class Bundles:
    """`load_bundle` of a small bundle: its JSON, its zip, its weights."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _save_bundle(Path(folder))
            self.seeds = [{path.name: path.read_bytes() for path in Path(folder).iterdir()}]

    def spoil(self, case: Case, rng: random.Random) -> Case:
        """A case made of another one."""
        name = rng.choice([*sorted(case), "model.keras"])
        content = case[name]
        if name.endswith(".json") and rng.random() < 0.8:
            return {**case, name: spoil_json(content, rng)}
        if name == "model.keras" and rng.random() < 0.8:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members = {one: archive.read(one) for one in archive.namelist()}
            inner = rng.choice(["config.json", "config.json", "model.weights.h5"])
            if inner == "config.json":
                members[inner] = spoil_json(members[inner], rng)
            else:
                members[inner] = spoil_bytes(members[inner], rng, [content])
            packed = io.BytesIO()
            with zipfile.ZipFile(
                packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            ) as archive:
                for one, inside in members.items():
                    archive.writestr(one, inside)
            return {**case, name: packed.getvalue()}
        return {**case, name: spoil_bytes(content, rng, list(case.values()))}

    def run(self, folder: Path) -> float:
        """Load a case, and say how many seconds it took; raises whatever should not be raised."""
        start = time.monotonic()
        with warnings.catch_warnings():
            # Keras warns of much that is odd in a description.
            warnings.simplefilter("ignore")
            with contextlib.suppress(mg.BundleError):
                mg.load_bundle(folder)
        return time.monotonic() - start


TARGETS: dict[str, Callable[[], Images | Bundles]] = {"images": Images, "bundles": Bundles}


def _pictures() -> list[bytes]:
    """Two of the sample pictures, and a small one in every format and mode that Pillow writes."""
    from PIL import Image

    found = [path.read_bytes() for path in sorted((ROOT / "sample_data" / "images").iterdir())[:2]]
    rows, columns = np.mgrid[0:24, 0:32]
    picture = Image.fromarray(
        np.stack([rows * 10, columns * 7, rows * columns % 256], -1).astype("uint8")
    )
    exif = Image.Exif()
    exif[274] = 6
    Image.init()
    for kind in sorted(set(Image.SAVE) - {"PDF", "EPS", "PALM", "WMF", "BUFR", "GRIB", "HDF5"}):
        for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16", "I", "F", "CMYK"):
            for options in ({}, {"exif": exif}, {"progressive": True}, {"compression": "tiff_lzw"}):
                file = io.BytesIO()
                with contextlib.suppress(Exception), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    picture.convert(mode).save(file, kind, **options)
                    found.append(file.getvalue())
    return list(dict.fromkeys(found))


def _save_bundle(folder: Path) -> None:
    import keras
    import pandas as pd

    table = pd.DataFrame(
        {"text": ["red mug", "blue mug", "red cup"], "label": ["x", "y", "x"], "a": [1.0, 2.0, 3.0]}
    )
    inputs = {
        "image": mg.ImageLoader("image", image_size=(8, 8)),
        "text": mg.TextLoader.from_texts("text", table["text"], sequence_length=4),
        "words": mg.TextLoader.from_texts("text", table["text"], output_mode="ngrams"),
        "numbers": mg.NumericLoader.from_values("a", table["a"]),
    }
    target = mg.ClassLabel.from_values("label", table["label"])
    keras.utils.set_random_seed(0)
    mg.Bundle(mg.build_fusion_classifier(inputs, target), inputs, target).save(folder)
    assert json.loads((folder / "bundle.json").read_text())["format"] == 1
