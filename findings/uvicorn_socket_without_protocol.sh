#!/usr/bin/env bash
# A server of uvicorn on a socket that was opened without naming its protocol, as by Python's
# `socket.socket()`, takes 40 ms for an answer that it gives in 1 ms on a socket of IPPROTO_TCP.
#
# Seen with uvicorn 0.54.0 on Python 3.11, Linux. asyncio sets TCP_NODELAY for a connection only if
# its socket says IPPROTO_TCP. A connection says what its listening socket says, and for
# `socket.socket(AF_INET, SOCK_STREAM)` that is 0. uvicorn sends the head and the body of an answer
# each by itself, so the body waits until the client has confirmed the head, which clients that keep
# a connection delay.
#
# So whoever hands sockets of their own to `uvicorn.Server.run(sockets=...)`, such as one for each
# process with SO_REUSEPORT, has an endpoint that is idle most of the time and looks slow.
#
# Exits 0 while that is so, and 1 when both sockets answer equally fast.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "uvicorn==0.54.0"
cat >"$folder/ask.py" <<'PYTHON'
import http.client
import socket
import statistics
import sys
import threading
import time

import uvicorn


async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def milliseconds(protocol):
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http="h11", lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    client = http.client.HTTPConnection(*listening.getsockname())
    taken = []
    for _ in range(60):
        start = time.perf_counter()
        client.request("GET", "/")
        assert client.getresponse().read() == b"ok"
        taken.append(1000 * (time.perf_counter() - start))
    client.close()
    server.should_exit = True
    thread.join()
    return statistics.median(taken)


named, unnamed = milliseconds(socket.IPPROTO_TCP), milliseconds(0)
print(f"uvicorn {uvicorn.__version__}, python {sys.version.split()[0]}, {sys.platform}")
print(f"IPPROTO_TCP: an answer in {named:.1f} ms (median of 60)")
print(f"0:           an answer in {unnamed:.1f} ms")
sys.exit(unnamed < 10 * named)
PYTHON
"$folder/venv/bin/python" "$folder/ask.py"
