"""What the pages of this package share: their style, and how texts and pictures get into HTML.

A page is one file that a browser shows without any other, on a phone, on paper and in the dark.
Everything from a table is escaped, so a caption or a class name is never markup.
"""

from __future__ import annotations

import base64
import html
import io
import re

import numpy as np
from PIL import Image

# The rules that all pages have.
STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #667085; --line: #d9dee7; --card: #fff;
  --page: #f5f6f8; --mark: #b42318; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3;
  --line: #333b49; --card: #1c212b; --page: #12151b; --mark: #f97066; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem clamp(.8rem, 3vw, 1.5rem) 4rem;
  background: var(--page); color: var(--ink); font: 15px/1.55 system-ui, sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .2rem; }
h2, h3 { break-after: avoid; }
p { margin: .3rem 0 1rem; color: var(--soft); }
a { color: inherit; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .3rem 1.2rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr, img { break-inside: avoid; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  break-inside: avoid; overflow-wrap: anywhere; }
@media print { :root { color-scheme: light; --page: #fff; } body { padding: 0; font-size: 13px; }
  * { print-color-adjust: exact; } }
.card img { object-fit: contain; background: #fff; border-radius: 4px; }
"""


def document(title: str, body: str, style: str) -> str:
    """A whole page.

    Args:
        title: Its title, as plain text.
        body: What is in it, as HTML.
        style: The rules of this page beside those that all pages have.
    """
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{safe(title)}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        # Even if something is not escaped, the browser runs no script and loads nothing.
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">"
        f"<style>{STYLE}{style}</style></head><body>{body}</body></html>\n"
    )


def safe(text: object) -> str:
    """A text as HTML that shows it."""
    # Lone surrogates, left over from broken decoding, have no UTF-8.
    return html.escape(str(text).encode("utf-8", "backslashreplace").decode("utf-8"))


def said(sentence: str) -> str:
    """A sentence of this package as HTML, with code where it has backticks."""
    return re.sub("`([^`<>]+)`", r"<code>\1</code>", safe(sentence))


def picture(pixels: np.ndarray, kind: str = "PNG") -> str:
    """Pixels as an `<img>` that holds them.

    Args:
        pixels: `(height, width, 3) uint8`, or as Pillow takes them.
        kind: "PNG", or "JPEG" for photos.
    """
    buffer = io.BytesIO()
    # Of a PNG, the quality means nothing.
    Image.fromarray(pixels).save(buffer, kind, quality=80)
    return embedded(buffer.getvalue(), f"image/{kind.lower()}")


def embedded(content: bytes, kind: str, words: str = "") -> str:
    """The bytes of a picture's file as an `<img>` that holds them.

    Args:
        content: The bytes.
        kind: Such as "image/png".
        words: What is said instead where pictures are not seen.
    """
    data = base64.b64encode(content).decode()
    return f"<img alt='{safe(words)}' src='data:{kind};base64,{data}'>"
