#!/usr/bin/env bash
# fsspec's `open` of a web address raises FileNotFoundError for a server that is busy (503), refuses
# (403) or asks for patience (429), where `cat_file` of the same address raises the status.
#
# Seen with fsspec 2026.9.0 and aiohttp 3.14.5 on Linux, Python 3.11. `open` asks for the size of the
# file first, and makes FileNotFoundError of whatever goes wrong there.
#
# So a loader that drops rows whose file "does not exist" drops good rows for ever when a server
# restarts, and nothing in the type or the text of the error tells the one from the other.
#
# Exits 0 while that is so, and 1 when `open` tells a missing file from a busy server.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "fsspec==2026.9.0" "aiohttp==3.14.5"
cat >"$folder/ask.py" <<'PYTHON'
import http.server
import sys
import threading

import fsspec


class Busy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(int(self.path.strip("/")))

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


def error_of(read, *arguments):
    try:
        read(*arguments)
    except Exception as error:
        return error


def opened(system, url):
    with system.open(url, "rb") as file:
        file.read()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
system, hidden, told = fsspec.filesystem("http"), True, True
for status in (404, 403, 429, 503):
    url = f"http://127.0.0.1:{server.server_port}/{status}"
    by_open, by_cat = error_of(opened, system, url), error_of(system.cat_file, url)
    print(f"{status}: open {type(by_open).__name__}, cat_file {type(by_cat).__name__}", end=" ")
    print(getattr(by_cat, "status", ""))
    hidden &= isinstance(by_open, FileNotFoundError)
    told &= status == 404 or getattr(by_cat, "status", None) == status
sys.exit(not (hidden and told))
PYTHON
"$folder/venv/bin/python" "$folder/ask.py"
