"""Feed tables of images, captions and labels to Keras models: fast, repeatable, honest about bad
data.

`__init__.pyi` lists the public names and where each is made. They are imported on first use, so
that reading a table does not wait for Keras. Keras takes TensorFlow where nothing names another
backend; where TensorFlow is not installed and jax or torch is, importing this package names that
one in `KERAS_BACKEND`.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from typing import Any

from multimodal_gen._version import __version__ as __version__
from multimodal_gen.sequence.keras_inside.backends import missing_backend, name_backend


def _listed() -> dict[str, str]:
    # Public name -> the module that has it.
    # Read from the stub, so that type checkers and imports share one list.
    stub = pkgutil.get_data(__name__, "__init__.pyi")
    assert stub is not None
    statements = [one for one in ast.parse(stub).body if isinstance(one, ast.ImportFrom)]
    names = {name.asname or name.name: str(one.module) for one in statements for name in one.names}
    del names["__version__"]
    return names


# Before any module imports Keras, which reads the variable once.
name_backend()
_HOMES = _listed()

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    if home == __name__:
        # One of the modules: importing it sets the name.
        home = f"{home}.{name}"
    try:
        module = importlib.import_module(home)
    except ImportError as error:
        missing = missing_backend(error)
        if missing is None:
            raise
        raise missing from error
    value = module if home == f"{__name__}.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
