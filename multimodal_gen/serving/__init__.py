"""Predicts with what `Bundle.export` wrote, without Keras or a backend.

`served.py` opens an export and predicts; `reading.py` reads the rows, by the loaders of training.
`endpoint/` answers requests over HTTP.

Importing this folder imports next to nothing: pandas, the loaders and the library that runs the
network come with the first name that is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multimodal_gen.serving.served import Served as Served
    from multimodal_gen.serving.served import load as load

__all__ = ["Served", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from multimodal_gen.serving import served

    return getattr(served, name)
