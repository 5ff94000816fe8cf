"""Which URLs a loader may open, and how it comes to their content."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import unquote

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.remote.ahead import ahead
from multimodal_gen.loaders.remote.fetching import VERSIONS, Remote
from multimodal_gen.loaders.remote.kept import kept_files
from multimodal_gen.loaders.remote.reasons import FetchError

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_LOCAL = ("file", "local")


def protocol_of(path: str) -> str | None:
    """The scheme of a URL, such as "https"; None for a path."""
    if "://" not in path:
        return None
    found = _URL.match(path)
    return found[1] if found else None


class Urls:
    """The URLs that a loader may open.

    Args:
        directory: A URL that cells may not leave, or a folder, or None.
        protocols: What other URLs may begin with.

    Raises:
        ValueError: If a protocol is not a word, or names local files.
    """

    def __init__(self, directory: str | None, protocols: str | Sequence[str] | None) -> None:
        self.protocols = () if protocols is None else tuple(protocols)
        words = not isinstance(protocols, str) and all(
            isinstance(one, str) for one in self.protocols
        )
        if not words or not all(
            _URL.fullmatch(f"{one}://") and one not in _LOCAL for one in self.protocols
        ):
            raise ValueError(
                '`protocols` must be a list of URL schemes, such as ["https", "s3"]; '
                f"local files are named by paths. Received: protocols={protocols!r}"
            )
        remote = directory is not None and protocol_of(directory) is not None
        self.directory = directory if remote else None

    @property
    def any_allowed(self) -> bool:
        """Whether any URL may be opened."""
        return bool(self.protocols) or self.directory is not None

    def read(self, url: str, most: int) -> bytes:
        """The content of a file.

        Args:
            url: Its URL.
            most: Bytes that it may have.

        Raises:
            LoadError: If it may not be opened, cannot be had, or is too large.
        """
        protocol, kept = self._checked(url), kept_files()
        content = None if kept is None else kept.get(url)
        if content is None:
            try:
                content = ahead().take(url, most)
                if content is None:
                    content = Remote(protocol, url).fetch(most)
            except FetchError as error:
                raise LoadError(f"{error}.", path=url) from error
            # One that is too large is not whole.
            if kept is not None and len(content) <= most:
                kept.put(url, content)
        if len(content) > most:
            raise too_large(url, most)
        return content

    def fetch_ahead(self, url: str, most: int, needed: Callable[[], bool] | None = None) -> None:
        """Start to fetch what `read` will be asked for, if its store can do that.

        Args:
            url: The URL; of one that may not be opened, nothing is fetched.
            most: As in `read`.
            needed: As in `Ahead.begin`.
        """
        # `read` will say what is wrong.
        with suppress(LoadError, FetchError):
            remote, kept = Remote(self._checked(url), url), kept_files()
            if remote.is_async and (kept is None or url not in kept):
                ahead().begin(remote, most, needed)

    def version(self, url: str) -> str | None:
        """What changes with the content of a file; None if its server does not say.

        Raises:
            LoadError: If it may not be opened, or there is no such file.
        """
        protocol = self._checked(url)
        known, version = VERSIONS.get(url)
        if known:
            return version
        try:
            remote = Remote(protocol, url)
            ahead().wait(remote)
            return remote.version()
        except FetchError as error:
            raise LoadError(f"{error}.", path=url) from error

    def _checked(self, url: str) -> str:
        # Returns the protocol of a URL that may be opened.
        protocol = protocol_of(url) or ""
        if self.directory and url.startswith(f"{self.directory.rstrip('/')}/"):
            # Some servers take "%2e" for a dot.
            if ".." in re.split(r"[/\\]", unquote(url)):
                raise LoadError(
                    f"the URL leaves the directory of this loader, {self.directory!r}.", path=url
                )
            return protocol
        if protocol.lower() not in self.protocols:
            listed = f"it lists only {', '.join(self.protocols)}"
            listed = listed if self.protocols else "it lists none"
            if protocol.lower() in _LOCAL:
                hint = "Name the file by its path."
            else:
                hint = f'Download the files. In Python, `protocols=["{protocol}"]` opens them.'
            raise LoadError(
                "the cell is a URL, and a loader opens only those whose scheme it lists; "
                f"{listed}. {hint}",
                path=url,
            )
        return protocol


def too_large(path: str, most: int) -> LoadError:
    """The error of a file of more bytes than may be read."""
    return LoadError(
        f"the file has more than {most:,} bytes, the most that is read for this loader. Shrink "
        "it, drop the row, or raise the limit, `max_pixels` or `max_seconds`.",
        path=path,
    )
