"""The endpoint: right answers in order, limits, what strangers may not do, the page, its end."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pandas as pd
import pytest
from browser import Browser
from conftest import make_picture_table
from test_export import shaken
from typer.testing import CliRunner

import multimodal_gen as mg
from benchmarks import soak
from benchmarks.http_client import Server, form
from benchmarks.marks import answer_of, picture_of, row_of, write_marks
from multimodal_gen import serving
from multimodal_gen.bundle.exporting.engines import open_network
from multimodal_gen.bundle.exporting.manifest import read_manifest
from multimodal_gen.cli.app import app
from multimodal_gen.serving.endpoint import page
from multimodal_gen.serving.endpoint.app import Endpoint, Limits
from multimodal_gen.serving.endpoint.columns import RequestError, columns_of, rows_of
from multimodal_gen.serving.endpoint.explaining import explainer_of
from multimodal_gen.serving.endpoint.server import opened, server_of

JSON = {"Content-Type": "application/json"}


@contextmanager
def running(endpoint: Endpoint) -> Iterator[int]:
    """Run an endpoint on a thread of this process until the end of the block."""
    ready = threading.Event()
    server = server_of(endpoint.app(), endpoint.limits.seconds, ready.set)
    with opened("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        assert ready.wait(120)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(
    port: int,
    path: str,
    body: Any = None,
    headers: dict[str, str] = JSON,
    method: str | None = None,
) -> tuple[int, Any, Any]:
    """The status of an answer, what it says, and its headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = body if isinstance(body, bytes | None) else json.dumps(body)
        used = method or ("GET" if body is None else "POST")
        connection.request(used, path, sent, {} if body is None else headers)
        answer = connection.getresponse()
        content = answer.read()
        plain = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(content) if plain else content.decode(), answer.headers
    finally:
        connection.close()


def ask_form(port: int, files: dict[str, bytes], fields: dict[str, str]) -> tuple[int, Any]:
    head, _, body = form("/predict", files, fields).partition(b"\r\n\r\n")
    kind = re.search(rb"Content-Type: ([^\r]+)", head)
    assert kind is not None
    status, said, _ = ask(port, "/predict", body, {"Content-Type": kind[1].decode()})
    return status, said


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_marks(tmp_path_factory.mktemp("marks") / "export")


@pytest.fixture(scope="module")
def port(marks: Path) -> Iterator[int]:
    limits = Limits(batch_size=4, queue=8, seconds=5.0, body=100_000)
    hosts = frozenset({"127.0.0.1"})
    with running(Endpoint(serving.load(marks), limits, hosts=hosts, threads=2)) as port:
        yield port


def test_rows_are_answered_in_their_order_also_from_many_clients(port: int) -> None:
    status, said, headers = ask(port, "/predict", {"rows": [row_of(3), row_of(70_001)]})
    assert (status, said) == (200, {"rows": [answer_of(3), answer_of(70_001)]})
    assert headers["X-Content-Type-Options"] == "nosniff"

    def asked(mark: int) -> bool:
        found = ask(port, "/predict", {"rows": [row_of(mark)]})
        return found[0] == 503 or found[1] == {"rows": [answer_of(mark)]}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(asked, range(100, 200)))
    _, metrics, _ = ask(port, "/metrics")
    rows = re.search(r"batch_rows_sum (\d+)", metrics)
    batches = re.search(r"batch_rows_count (\d+)", metrics)
    assert rows is not None and batches is not None
    assert int(rows[1]) > int(batches[1])


def test_a_form_is_one_row_and_an_empty_field_is_missing(port: int) -> None:
    found = ask_form(port, {"picture": picture_of(9)}, {"mark": "9"})
    assert found == (200, {"rows": [answer_of(9)]})
    status, said = ask_form(port, {"picture": picture_of(9)}, {"mark": ""})
    assert status == 200
    assert "column 'mark'" in said["rows"][0]["error"]


def test_a_bad_row_has_the_words_of_predict_and_costs_no_other_row(port: int, marks: Path) -> None:
    broken = b"GIF89a" + b"\0" * 20
    rows = [row_of(1), row_of(2, broken), {**row_of(3), "mark": "many"}, {"mark": 4}, row_of(5)]
    status, said, _ = ask(port, "/predict", {"rows": rows})
    assert status == 200
    assert (said["rows"][0], said["rows"][4]) == (answer_of(1), answer_of(5))
    cells = [{"picture": picture_of(1), "mark": 1}, {"picture": broken, "mark": 2}]
    cells += [{"picture": picture_of(3), "mark": "many"}, {"mark": 4}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = serving.load(marks).predict(cells)["error"].tolist()
    assert [one["error"] for one in said["rows"][1:4]] == expected[1:]
    # Alone, none of them fails the request.
    for place in (1, 2, 3):
        status, alone, _ = ask(port, "/predict", {"rows": [rows[place]]})
        words = expected[place].replace(f"index {place}", "index 0")
        assert (status, alone) == (200, {"rows": [{"error": words}]})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b'{"rows": [{"mark": NaN}]}', 400, "NaN is not JSON"),
        (b"[" * 5000, 400, "nested too deeply"),
        (b"{}", 422, "must be"),
        ([], 422, "Received: []"),
        ({"rows": []}, 422, "at least one row"),
        ({"rows": [1]}, 422, "Row 0 must be an object"),
        ({"rows": [{"mark": 1}], "more": 1}, 422, "must be"),
        ({"rows": [{"mark": 1}, {"marks": 1}]}, 422, "Row 1: the columns are 'picture', 'mark'"),
        ({"rows": [{"mark": [1]}]}, 422, "'mark' must be a text, a number"),
        ({"rows": [{"picture": 5}]}, 422, "'picture' must be the content of a file as base64"),
        ({"rows": [{"mark": 1}] * 9}, 422, "may have 8 rows"),
        (b" " * 100_001, 413, "100,000 bytes"),
    ],
)
def test_what_is_no_request_is_refused_with_its_reason(
    port: int, body: Any, status: int, words: str
) -> None:
    found, said, _ = ask(port, "/predict", body)
    assert (found, words in said["error"]) == (status, True), said


def test_other_types_methods_paths_and_hosts_are_refused(port: int) -> None:
    assert ask(port, "/predict", b"x", {"Content-Type": "text/plain"})[0] == 415
    assert ask(port, "/predict", b"x", {"Content-Type": "multipart/form-data"})[0] == 400
    assert ask(port, "/predict", method="GET")[0] == 405
    assert ask(port, "/nowhere")[:2] == (404, {"error": "Not Found"})
    # A page of somebody else whose name leads to this machine.
    status, said, _ = ask(port, "/predict", b"", {**JSON, "Host": "evil.example"})
    assert (status, said["error"]) == (421, "this host is not called that")
    assert ask(port, "/health")[:2] == (200, {"status": "ok"})
    _, described, _ = ask(port, "/openapi.json")
    schemas = described["components"]["schemas"]
    assert list(schemas["Row"]["properties"]) == ["picture", "mark"]
    assert "A row needs 'picture', 'mark', or it has an error" in schemas["Row"]["description"]
    assert schemas["Prediction"]["required"] == ["mark.mark", "mean.mean"]
    assert "/explain" not in described["paths"]


class Opening(mg.Loader):
    """A loader of somebody's own that opens whatever a cell names."""

    spec = mg.ArraySpec((1,), "float32", "vector")

    def __init__(self, column: str) -> None:
        self.column = column

    def read(self, cell: Any) -> np.ndarray:
        return np.array([len(Path(cell).read_bytes())], "float32")


def test_headers_without_an_end_are_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as one:
        one.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        sent = 0
        with suppress(ConnectionError):
            while sent < 2**24 and not select.select([one], [], [], 0)[0]:
                sent += one.send(b"X-Long: " + b"a" * 4096 + b"\r\n")
        assert sent < 2**22
    assert ask(port, "/health")[0] == 200


def test_no_loader_gets_a_text_that_it_could_open(tmp_path: Path, port: int) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture_of(1))
    picture = mg.ImageLoader("a", directory=tmp_path, image_size=(4, 4))
    by_function = mg.FunctionEncoder(lambda cells: np.zeros((len(cells), 2)), 2, name="f")
    loaders = {
        "a picture": picture,
        "several": mg.ManyLoader(picture, at_most=2, separator=";"),
        "encoded": mg.EncodedLoader(picture, by_function),
        "any function": mg.EncodedLoader("a", by_function),
        "an array": mg.ArrayLoader("a", shape=(1,), directory=tmp_path),
        "somebody's own": Opening("a"),
    }
    texts = [secret.name, str(secret), f"file://{secret}", "https://example.org/x.png"]
    cells = [*texts, [texts[0]], {"path": str(secret)}, {"bytes": None, "path": str(secret)}]
    for name, loader in loaders.items():
        columns = columns_of({"x": loader})
        for cell in cells:
            read = None
            with suppress(RequestError):
                read = rows_of([{"a": cell}], columns)
            # Refused, or taken for base64, which it is not.
            assert read is None or (list(read.errors) == [0] and "a" not in read.cells[0]), name
    assert ask_form(port, {}, {"picture": str(secret), "mark": "1"})[0] == 422
    # Bytes are what they are, and texts reach those that only read them.
    text = mg.TextLoader.from_texts("a", ["red", "blue"], sequence_length=2)
    assert rows_of([{"a": "/etc/passwd"}], columns_of({"x": text})).cells == [{"a": "/etc/passwd"}]


def test_columns_are_what_loaders_read(tmp_path: Path) -> None:
    numbers = mg.NumericLoader(("b", "c"), mean=[0, 0], scale=[1, 1])
    gaps = mg.NumericLoader(("f", "g"), mean=[0, 0], scale=[1, 1], missing="flag")
    words = mg.TextLoader.from_texts("d", ["red"], sequence_length=2)
    inputs = {
        "pictures": mg.ManyLoader(mg.ImageLoader("a", image_size=(4, 4)), at_most=2),
        "numbers": numbers,
        "gaps": gaps,
        "brand": mg.CategoryLoader("h", ["red"]),
        "words": words,
        "kind": mg.CategoryLoader("d", ["red"]),
        "vector": mg.ArrayLoader("e", shape=(2,), missing="blank"),
    }
    columns = columns_of(inputs)
    assert {name: (one.kind, one.many) for name, one in columns.items()} == {
        "a": ("file", True),
        "b": ("value", False),
        "c": ("value", False),
        "d": ("text", False),
        "e": ("numbers", False),
        "f": ("value", False),
        "g": ("value", False),
        "h": ("value", False),
    }
    # A number that is missing is refused unless the loader was told what it stands for.
    assert {name for name, one in columns.items() if one.optional} == {"e", "f", "g", "h"}
    picture = base64.b64encode(b"12").decode()
    read = rows_of([{"a": [picture, None], "b": 1, "d": "x", "e": [1, [2.5]]}], columns)
    assert read.cells == [{"a": [b"12", None], "b": 1, "d": "x", "e": [1, [2.5]]}]
    pair = columns_of({name: mg.ImageLoader(name, image_size=(4, 4)) for name in ("front", "back")})
    said = rows_of([{"front": "?", "back": "!"}], pair).errors[0]
    assert re.fullmatch(r"[^;]*'front'[^;]*; [^;]*'back'[^;]*", said)
    with pytest.raises(ValueError, match="only one thing in a column"):
        columns_of(
            {"x": mg.ImageLoader("a", image_size=(4, 4)), "y": mg.CategoryLoader("a", ["b"])}
        )


class Waiting(mg.NumericLoader):
    """Reads a number once it may."""

    gate = threading.Event()
    seen: ClassVar[list[float]] = []

    def read(self, cell: Any) -> np.ndarray:
        if cell is not None:
            Waiting.seen.append(cell)
            assert Waiting.gate.wait(60)
        return super().read(cell)


def test_a_full_queue_a_slow_model_and_clients_that_hang_up(marks: Path) -> None:
    network = read_manifest(marks)
    loaded = serving.load(marks)
    inputs = {**loaded.inputs, "mark": Waiting("mark", mean=[0.0], scale=[1.0])}
    model = serving.Served(network, open_network(marks, network), inputs, loaded.target)
    before = set(threading.enumerate())
    Waiting.gate.clear()
    Waiting.seen.clear()
    endpoint = Endpoint(model, Limits(batch_size=1, queue=2, seconds=5.0, body=10_000))
    with running(endpoint) as port, ThreadPoolExecutor(4) as pool:

        def asked(mark: int) -> tuple[int, Any, Any]:
            return ask(port, "/predict", {"rows": [row_of(mark)]})

        first = pool.submit(asked, 1)
        wait_for(lambda: Waiting.seen == [1])
        # Nobody waits for this one any more when its turn comes.
        with socket.create_connection(("127.0.0.1", port)) as gone:
            body = json.dumps({"rows": [row_of(2)]}).encode()
            head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            gone.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
            wait_for(lambda: endpoint.batcher.waiting == 1)
        wait_for(lambda: endpoint.metrics.requests("/predict", 499) == 1)
        second, third = pool.submit(asked, 3), pool.submit(asked, 4)
        wait_for(lambda: {job.cells[0]["mark"] for job in endpoint.batcher._jobs} == {3, 4})
        full = asked(5)
        assert (full[0], full[2]["Retry-After"]) == (503, "1")
        assert [one.result()[0] for one in (first, second, third)] == [504] * 3
        Waiting.gate.set()
        assert asked(6)[1] == {"rows": [answer_of(6)]}
        assert Waiting.seen == [1, 6]
        # One that never comes to its end.
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
            assert b" 408 " in slow.recv(1000)
    # Those of readers end after half a second without work.
    wait_for(lambda: set(threading.enumerate()) <= before)


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_short_soak_mixes_nothing_up_and_ends_in_order(marks: Path) -> None:
    with Server(marks, *soak.OPTIONS) as server:
        assert "For this machine only" in server.said
        # Who asks cannot change the loaders, so there is no advice for Python.
        told = ask(server.port, "/predict", {"rows": [{}]})[1]["rows"][0]["error"]
        assert re.fullmatch(r"(Cannot load index 0, column '\w+': [^`;]+(; |$)){2}", told), told
        before = server.status("Threads")
        seen, status, said = asyncio.run(soak.soak(server, 3, 8, []))
    assert status == 0
    assert said.startswith("Ended. ")
    assert seen["answered at the end"] == 16
    assert seen["rows checked"] > 50
    assert seen["threads after"] <= before
    assert {"good", "form", "broken", "cancelled"} <= set(seen)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> mg.Bundle:
    """A bundle of pictures, captions and kinds, the folder of its pictures beside it."""
    folder = tmp_path_factory.mktemp("pictures")
    table = make_picture_table(folder)
    inputs = {
        "image": mg.ImageLoader("image", directory=folder, image_size=(16, 16)),
        "caption": mg.TextLoader.from_texts("caption", table["caption"], output_mode="ngrams"),
        "label": mg.CategoryLoader("<kind>", ["a", "b"]),
    }
    target = mg.ClassLabel.from_values("label", table["label"])
    return mg.Bundle(shaken(mg.build_fusion_classifier(inputs, target)), inputs, target)


@pytest.fixture(scope="module")
def by_keras(bundle: mg.Bundle) -> Iterator[int]:
    # As the command line does.
    even = keras.backend.backend() != "torch"
    endpoint = Endpoint(
        bundle,
        Limits(batch_size=4),
        name="mugs </script><b>",
        even=even,
        explain=explainer_of(bundle),
    )
    with running(endpoint) as port:
        yield port


def test_a_bundle_is_served_with_keras_and_explained(bundle: mg.Bundle, by_keras: int) -> None:
    folder = Path(bundle.inputs["image"].get_config()["directory"])
    cells = [
        {"image": (folder / f"{row}.png").read_bytes(), "caption": f"a red mug {row}"}
        for row in range(7)
    ]
    rows = [{**one, "image": base64.b64encode(one["image"]).decode()} for one in cells]
    status, said, _ = ask(by_keras, "/predict", {"rows": [*rows[:3], {"caption": ""}, *rows[3:]]})
    assert status == 200
    assert "column 'image'" in said["rows"].pop(3)["error"]
    table = pd.DataFrame(cells)
    table["<kind>"] = pd.Series([None] * 7, dtype=object)
    expected = bundle.predict(table)
    pd.testing.assert_frame_equal(
        pd.DataFrame(said["rows"]), expected, rtol=1e-4, check_dtype=False
    )
    status, shown, headers = ask(by_keras, "/explain", {"rows": rows[:1]})
    assert (status, shown.count("<img ")) == (200, 2)
    assert headers["Content-Security-Policy"] == page.EXPLAINED
    assert ask(by_keras, "/explain", {"rows": rows[:2]})[0] == 422


DROP = """
(content => {
  const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], "mug.png", {type: "image/png"}));
  document.querySelector(".drop").dispatchEvent(new DragEvent("drop", {dataTransfer: given}));
  document.querySelector("textarea").value = "a red mug";
})(CONTENT)
"""


def test_a_browser_predicts_and_explains_on_the_page(
    browser: Browser, by_keras: int, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{by_keras}/"
    inside = "document.getElementById('why').contentDocument"
    content = json.dumps(base64.b64encode(picture_of(3, 64)).decode())
    for width in (360, 1200):
        browser.open(url, width, dark=width == 360)
        assert browser.run("document.title") == "mugs </script><b>"
        browser.run(DROP.replace("CONTENT", content))
        browser.run("document.forms[0].requestSubmit()")
        wait_for(lambda: browser.run("document.querySelectorAll('.bar').length") == 3)
        assert browser.run("document.querySelector('.fact strong').textContent") in ("x", "y", "z")
        browser.run("document.querySelector('[formaction]').click()")
        wait_for(lambda: browser.run(f"{inside}.querySelectorAll('img').length") == 2)
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run(f"{inside}.documentElement.scrollWidth") <= width
        assert browser.run("[...document.images].every(one => one.complete && one.naturalWidth)")
        own = [one for one in browser.requests if not one.startswith("blob:")]
        assert set(own) == {url, f"{url}predict", f"{url}explain"}
        assert browser.complaints == []
        (tmp_path / f"{width}.png").write_bytes(browser.picture())
    # What is wrong is said on the page.
    browser.open(url, 1200)
    browser.run("document.forms[0].requestSubmit()")
    wait_for(lambda: "column 'image'" in (browser.run("document.body.innerText") or ""))
    assert browser.run("document.querySelector('#answer .bad') !== null")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--queue", "3"], "--queue must hold a batch, so at least 32 rows"),
        (["--timeout", "0"], "--timeout must be more than 0"),
        (["--port", "70000"], "--port must be from 0 to 65535"),
        (["--max-body", "much"], "--max-body must be a size"),
        (["--host", "256.0.0.1"], "This address cannot be opened"),
    ],
)
def test_options_that_cannot_be_are_refused(marks: Path, options: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["serve", str(marks), *options])
    assert done.exit_code == 2
    assert words in done.output


def test_a_port_in_use_is_named_before_a_model_is_loaded(marks: Path) -> None:
    with opened("127.0.0.1", 0) as taken:
        taken.listen()
        number = str(taken.getsockname()[1])
        done = CliRunner().invoke(app, ["serve", str(marks / "nowhere"), "--port", number])
    assert done.exit_code == 2
    assert f"Received: --host 127.0.0.1 --port {number}" in done.output
    # And signals are heard as before.
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_reader_of_exports_needs_no_starlette() -> None:
    code = (
        "import sys, multimodal_gen.serving.served; sys.exit(str([one for one in ('starlette', "
        "'uvicorn', 'multimodal_gen.serving.endpoint') if one in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
