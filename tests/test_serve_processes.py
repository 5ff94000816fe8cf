"""`multimodal-gen serve --processes`: several processes that answer at one address."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from test_cli import assert_refused, call
from test_serve import ask, wait_for

from benchmarks.http_client import Server
from benchmarks.marks import answer_of, row_of, write_marks
from multimodal_gen.serving.endpoint.metrics import WIDTH, Metrics
from multimodal_gen.serving.endpoint.server import opened_for


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_marks(tmp_path_factory.mktemp("marks") / "export")


def test_several_processes_answer_and_are_counted_as_one(marks: Path) -> None:
    with Server(marks, "--processes", "2") as server:
        assert "an export of the format onnx, in 2 processes at http://" in server.said
        assert len(server.answering()) == 2
        # Each on a connection of its own, of which the system gives some to either.
        for mark in range(40):
            status, said, _ = ask(server.port, "/predict", {"rows": [row_of(mark)]})
            assert (status, said) == (200, {"rows": [answer_of(mark)]})
        assert ask(server.port, "/predict", {"rows": "none"})[0] == 422
        for _ in range(8):
            # Whoever answers knows the counters of both.
            _, metrics, _ = ask(server.port, "/metrics")
            assert 'requests_total{path="/predict",status="200"} 40\n' in metrics
            assert 'requests_total{path="/predict",status="422"} 1\n' in metrics
            assert 'rows_total{outcome="predicted"} 40\n' in metrics
            assert "\nmultimodal_gen_waiting_rows 0\n" in metrics
        children = server.answering()
        code, said = server.stop()
        assert code == 0 and said.strip() == "Ended. 49 requests, 40 rows predicted."
        assert not [one for one in children if Path(f"/proc/{one}").exists()]


def test_if_a_process_ends_by_itself_the_others_end_too(
    marks: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Server(marks, "--processes", "2") as server:
        first, second = server.answering()
        os.kill(first, signal.SIGKILL)
        assert server.process.wait(60) == 1
        said = f"Error: process {first} has ended with the status -9; the others were ended."
        assert said in capfd.readouterr().err
        wait_for(lambda: not Path(f"/proc/{second}").exists())


def test_processes_end_with_the_one_that_has_started_them(marks: Path) -> None:
    with Server(marks, "--processes", "2") as server:
        children = server.answering()
        server.process.kill()
        wait_for(lambda: not [one for one in children if Path(f"/proc/{one}").exists()])


def test_a_model_that_cannot_be_loaded_is_told_once(tmp_path: Path, marks: Path) -> None:
    for file in marks.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"none")
    alone, several = (
        call("serve", tmp_path, "--port", 0, *more) for more in ((), ("--processes", "2"))
    )
    assert_refused(alone, "model.onnx")
    assert several == alone


def test_counters_of_several_processes_add_up() -> None:
    numbers = bytearray(2 * 8 * WIDTH)
    first, second = Metrics(numbers, 0), Metrics(numbers, 1)
    first.answered("/predict", 200, 0.02)
    second.answered("/predict", 200, 40.0)
    second.answered("/health", 200, 0.001)
    first.predicted(3, 1)
    second.ran(4)
    first.waits(5)
    second.waits(2)
    assert first.text() == second.text()
    found = dict(re.findall(r"^multimodal_gen_(\S+) (\S+)$", first.text(), re.MULTILINE))
    assert found['requests_total{path="/predict",status="200"}'] == "2"
    assert (found["waiting_rows"], found['rows_total{outcome="failed"}']) == ("7", "1")
    assert (found["batch_rows_sum"], found["batch_rows_count"]) == ("4", "1")
    assert found['request_seconds_bucket{le="30.0"}'] == "1"
    assert found['request_seconds_bucket{le="+Inf"}'] == found["request_seconds_count"] == "2"
    assert float(found["request_seconds_sum"]) == pytest.approx(40.02)
    assert second.in_words() == "3 requests, 3 rows predicted."


@pytest.mark.parametrize("processes", [1, 2])
def test_who_has_connected_before_the_end_is_answered_and_others_cannot_connect(
    marks: Path, processes: int
) -> None:
    body = json.dumps({"rows": [row_of(5)]}).encode()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/json\r\n\r\n"
    ).encode()
    with Server(marks, "--processes", str(processes)) as server:
        address = "127.0.0.1", server.port
        with socket.create_connection(address) as late, socket.create_connection(address) as half:
            half.sendall(head)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            late.sendall(head + body)
            assert said_in(late) == {"rows": [answer_of(5)]}

            def is_refused() -> bool:
                try:
                    with socket.create_connection(address):
                        return False
                except ConnectionRefusedError:
                    return True

            # While one request is still arriving.
            wait_for(is_refused)
            half.sendall(body)
            assert said_in(half) == {"rows": [answer_of(5)]}
        assert server.process.wait(60) == 0


def said_in(client: socket.socket) -> Any:
    """The JSON of an answer; the server closes the connection after it."""
    answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("count", [1, 3])
def test_no_answer_waits_for_the_client_to_confirm_its_head(count: int) -> None:
    async def accepted(listening: socket.socket) -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                one = transport.get_extra_info("socket")
                found.set_result(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        server = await asyncio.get_running_loop().create_server(Protocol, sock=listening)
        async with server:
            with socket.create_connection(listening.getsockname()):
                return await asyncio.wait_for(found, 30)

    with opened_for(count, "127.0.0.1", 0) as sockets:
        for one in set(sockets):
            # The others would get some of the connections.
            assert asyncio.run(accepted(one))
            one.close()
