"""The running version of a package, as written into bundles and the scores of a run."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version


def running_version(name: str) -> str:
    """The version of a package that can be imported.

    A package that was copied onto `sys.path` has no metadata, and one that was installed twice may
    have those of the other copy. So the package's own `__version__` comes first.

    Args:
        name: Its import name.

    Returns:
        Its version, or "unknown" if neither the package nor its metadata have it.
    """
    found = getattr(importlib.import_module(name), "__version__", None)
    if found is not None:
        return str(found)
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
