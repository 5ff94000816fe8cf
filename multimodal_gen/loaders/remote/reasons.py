"""Why a file at a URL did not come: in words, and whether another try may help."""

from __future__ import annotations

import socket
from http import HTTPStatus

# Too early, too many requests, and servers that are down or busy. Other answers stay as they are.
_PASSING = (408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529)
# How a page begins that a server sends in place of a file, such as one to log in.
_PAGES = (b"<!doctype html", b"<html")


class FetchError(Exception):
    """A file at a URL cannot be had; its text is a sentence without the final full stop."""


class PassingError(FetchError):
    """The same request may succeed later.

    Args:
        reason: What is wrong.
        wait: Seconds after which the server wants to be asked again, if it says so.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def reason_of_status(status: int, wait: float = 0.0) -> FetchError | None:
    """What the status of an answer means; None if it brings the file.

    Args:
        status: The number, such as 404.
        wait: Seconds of the header "Retry-After", or 0.
    """
    if status < 300:
        return None
    name = next((f" {one.phrase}" for one in HTTPStatus if one == status), "")
    answer = f"the server answers {status}{name}"
    if status in (404, 410):
        return FetchError(f"there is no such file: {answer}. Check the URL, or drop the row")
    if status in (401, 403, 407):
        return FetchError(
            f"the file may not be read: {answer}. It may need a login, or a link that has not "
            "expired"
        )
    if status in _PASSING:
        return PassingError(answer, wait)
    return _other(answer)


def reason_of(error: Exception) -> FetchError:
    """What an exception of fsspec, aiohttp or a store means."""
    if isinstance(error, FetchError):
        return error
    status = getattr(error, "status", None) or getattr(error, "code", None)
    if isinstance(status, int) and status >= 400:
        return reason_of_status(status) or _other(_words(error))
    if isinstance(error, FileNotFoundError):
        return FetchError("there is no such file. Check the URL, or drop the row")
    if isinstance(error, PermissionError):
        return FetchError(
            f"the file may not be read: {_words(error)}. Check keys and rights of the store"
        )
    if isinstance(error, TimeoutError):
        return PassingError("no answer came in time")
    if isinstance(error, ImportError):
        return FetchError(f"a library is needed to read such URLs: {_words(error)}")
    if _is_unknown_host(error):
        return PassingError("the host is not known, or the name service does not answer")
    if _is_unsafe(error):
        return FetchError(f"the connection is not safe: {_words(error)}")
    if _breaks_off(error) or isinstance(error, OSError):
        return PassingError(_words(error))
    return _other(_words(error))


def page_instead(content: bytes) -> FetchError | None:
    """The error of a web page that came in the place of a file; None if it is not one."""
    if content[:512].lstrip().lower().startswith(_PAGES):
        return FetchError(
            "a web page came in place of the file, such as one to log in, or one that says that "
            "nothing was found. Open the URL in a browser to see it"
        )
    return None


def _other(words: str) -> FetchError:
    return FetchError(f"the URL cannot be read: {words}. Fix it, or drop the row")


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _is_unknown_host(error: Exception) -> bool:
    # aiohttp has the error of the system as a cause.
    return any(isinstance(one, socket.gaierror) for one in (error, error.__cause__))


def _names(error: Exception) -> set[str]:
    # aiohttp is imported only where http is used.
    return {one.__name__ for one in type(error).__mro__}


def _is_unsafe(error: Exception) -> bool:
    return bool(_names(error) & {"ClientSSLError", "SSLError"})


def _breaks_off(error: Exception) -> bool:
    return bool(_names(error) & {"ClientPayloadError", "ClientConnectionError"})
