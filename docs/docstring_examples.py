"""Docstrings give examples as plain code under "Example:".

On the pages they are blocks of Python.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^Example:\n((?:[ \t]+\S.*\n?|[ \t]*\n)+)", re.MULTILINE)


def with_fences(text: str) -> str:
    """A docstring whose example is a fenced block of code."""

    def fence(match: re.Match[str]) -> str:
        code = textwrap.dedent(match[1]).strip("\n")
        return "**Example**\n\n" + f"```python\n{code}\n```\n\n"

    return _EXAMPLE.sub(fence, text)


class Examples(griffe.Extension):
    """Has mkdocstrings see docstrings with fences."""

    def on_object(self, *, obj: griffe.Object, loader: Any, **kwargs: Any) -> None:
        """Called once for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = with_fences(obj.docstring.value)
