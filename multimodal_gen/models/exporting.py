"""What exporting a model needs: the converter that Keras calls, which is a package of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from typing import Any

import keras

# (format, backend) -> the module that Keras imports, and what to install. Where Keras does not
# export, it says so itself.
_CONVERTERS = {
    ("onnx", "tensorflow"): ("tf2onnx", "tf2onnx"),
    ("onnx", "jax"): ("jax2onnx", "jax2onnx"),
    ("onnx", "torch"): ("onnxscript", "onnxscript"),
    ("litert", "torch"): ("litert_torch", "litert-torch"),
    ("tf_saved_model", "jax"): ("tensorflow", "tensorflow"),
}
# Format -> the backends from which Keras exports to it, the best first: of tensorflow's converters
# least is known to be wrong.
_BACKENDS = {
    "onnx": ("tensorflow", "torch", "jax"),
    "tf_saved_model": ("tensorflow", "jax"),
    "litert": ("tensorflow", "torch"),
}
# As in `keras.Model.export`.
_DEFAULT_FORMAT = "tf_saved_model"


def check_converter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse an export whose converter is not installed.

    Args:
        args: The positional arguments of `keras.Model.export`.
        kwargs: Its named ones.

    Raises:
        ImportError: If the converter is missing; it names the package.
    """
    wanted = kwargs.get("format", args[1] if len(args) > 1 else _DEFAULT_FORMAT)
    backend = keras.backend.backend()
    module, package = _CONVERTERS.get((wanted, backend), (None, None))
    if module is not None and importlib.util.find_spec(module) is None:
        raise ImportError(
            f"Exporting to {wanted!r} from {backend} needs {package}: pip install {package}. "
            "A bundle is the same on every backend, so it can also be loaded and exported on "
            f"another one. Received: format={wanted!r}"
        )


def backends_for(wanted: str, own: str) -> list[str]:
    """The backends on which an export can be tried: those that are installed with their converter.

    Args:
        wanted: The format, as in `keras.Model.export`.
        own: The backend that comes first.
    """
    able = sorted(_BACKENDS[wanted], key=lambda one: one != own)
    return [
        one
        for one in able
        if all(
            importlib.util.find_spec(module) is not None
            for module in (one, *_CONVERTERS.get((wanted, one), ())[:1])
        )
    ]


def other_converters(wanted: str, tried: Collection[str]) -> list[str]:
    """What to install for a converter that was not tried.

    Args:
        wanted: The format, as in `keras.Model.export`.
        tried: The backends whose converters were.
    """
    return [
        f"{_CONVERTERS[wanted, one][1]} with {one}" if (wanted, one) in _CONVERTERS else one
        for one in _BACKENDS[wanted]
        if one not in tried
    ]
