"""Which version of a package is running, as it stands in bundles and in the scores of a run."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version


def running_version(name: str) -> str:
    """The version of a package that can be imported.

    A package that was copied onto `sys.path` has no metadata, and one that was installed twice may
    have those of the other copy; so the package itself is asked first.

    Args:
        name: What it is imported as.

    Returns:
        Its version, or "unknown" where neither it nor its metadata say.
    """
    found = getattr(importlib.import_module(name), "__version__", None)
    if found is not None:
        return str(found)
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
