"""The settings that a command has by default, for tests of its parts."""

from __future__ import annotations

from typing import Any

from multimodal_gen.cli.settings import DataSettings


def settings(**more: Any) -> DataSettings:
    given: dict[str, Any] = {
        "table": "t.csv",
        "image": (),
        "caption": (),
        "missing": "error",
        "number": (),
        "number_missing": "error",
        "label": ("label",),
        "target": "class",
        "separator": None,
        "directory": None,
        "split": None,
        "split_names": None,
        "fractions": (0.7, 0.1, 0.2),
        "group": None,
        "image_size": (8, 8),
        "text": "ngrams",
        "augment": "default",
        "batch_size": 8,
        "seed": 0,
    }
    return DataSettings(**given | more)
