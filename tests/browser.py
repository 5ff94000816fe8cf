"""A real browser without a window, to see what becomes of a page: Chromium, where it is on PATH.

It is spoken to over two pipes in its DevTools protocol, each message JSON that ends in a zero byte.
A page's own policy does not stop what is asked this way.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FOUND = next((found for name in NAMES if (found := shutil.which(name))), None)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
# Moves two pipes to where the browser looks for them, and becomes it.
_START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
_PATIENCE = 120


class Browser:
    """One page in one browser.

    Args:
        folder: Where the browser keeps its own files.
    """

    def __init__(self, folder: Path) -> None:
        assert FOUND is not None
        theirs, self.out = os.pipe()
        self.back, ours = os.pipe()
        for end in (theirs, ours):
            os.set_inheritable(end, True)
        # Not 3 and 4 themselves, which the one would close under the other.
        line = [sys.executable, "-c", _START, str(theirs), str(ours), FOUND, *_FLAGS]
        self.process = subprocess.Popen(
            [*line, f"--user-data-dir={folder}"],
            pass_fds=(theirs, ours),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(ours)
        self.number, self.rest, self.attached = 0, b"", None
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        found = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.attached = found["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.back)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser to do something, and wait until it has."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.attached is not None:
            message["sessionId"] = self.attached
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.back], [], [], max(0.0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            read = os.read(self.back, 1 << 20)
            assert read, "the browser has ended"
            self.rest += read
        message, _, self.rest = self.rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, page: Path | str, width: int, *, dark: bool = False) -> None:
        """Open a page, or a URL, in a window of this many pixels across."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
            self.events.append(self._next())

    def run(self, script: str) -> Any:
        """The value of a script on the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    @property
    def complaints(self) -> list[str]:
        """What the page made the browser say since it was opened."""
        said = [one["params"]["entry"]["text"] for one in self._named("Log.entryAdded")]
        said += [str(one["params"]["args"]) for one in self._named("Runtime.consoleAPICalled")]
        return said + [str(one["params"]) for one in self._named("Runtime.exceptionThrown")]

    @property
    def requests(self) -> list[str]:
        """What was loaded, beside what the page itself holds."""
        urls = [one["params"]["request"]["url"] for one in self._named("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith("data:")]

    def _named(self, method: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one.get("method") == method]

    def picture(self) -> bytes:
        """The whole page as the bytes of a PNG."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    def printed(self) -> bytes:
        """The page on paper, as the bytes of a PDF."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])
