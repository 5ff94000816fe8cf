"""Asks stores such as s3 for a file, or for its version, as fsspec does."""

from __future__ import annotations

from typing import Any

from multimodal_gen.loaders.remote.http import Answer


def is_async(system: Any) -> bool:
    """Whether a file system of fsspec can fetch many files on one thread."""
    return bool(getattr(system, "async_impl", False))


async def get(system: Any, url: str, most: int) -> Answer:
    """Fetch a file from an asynchronous store.

    Args:
        system: A file system of fsspec.
        url: The URL.
        most: Bytes after which no more is read.
    """
    path = system._strip_protocol(url)
    return Answer(await system._cat_file(path, start=0, end=most + 1), None)


def get_now(system: Any, url: str, most: int) -> Answer:
    """As `get`, from a store that keeps the thread waiting."""
    return Answer(system.cat_file(system._strip_protocol(url), start=0, end=most + 1), None)


async def version_of(system: Any, url: str) -> str | None:
    """The version of a file in an asynchronous store: its size, time, and what else it says."""
    return _version(await system._info(system._strip_protocol(url)))


def version_now(system: Any, url: str) -> str | None:
    """As `version_of`, of a store that keeps the thread waiting."""
    return _version(system.info(system._strip_protocol(url)))


def _version(info: dict[str, Any]) -> str | None:
    # Stores have names of their own for a digest, a generation and a time.
    told = {name: info[name] for name in sorted(info) if name not in ("name", "Key", "type")}
    # A size alone does not tell two files apart.
    return str(told) if any(value and name != "size" for name, value in told.items()) else None
