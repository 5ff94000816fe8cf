"""Pictures at URLs: tried again, told apart, fetched many at once, cached by version."""

from __future__ import annotations

import io
import pickle
import re
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app
from multimodal_gen.loaders.remote import ahead as ahead_module
from multimodal_gen.loaders.remote import fetching, gates, http, patience
from multimodal_gen.loaders.remote.ahead import ahead
from multimodal_gen.loaders.remote.kept import keeping_files
from tests.web_server import WebServer, serving

pytest.importorskip("aiohttp", reason="the extra 'http' is not installed")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setattr(patience, "_PATIENCE", patience.Patience())
    monkeypatch.setattr(fetching, "VERSIONS", fetching.Versions())


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving({f"{number}.png": picture(number) for number in range(64)}, 0.02) as one:
        yield one


def loader(server: WebServer, **options: object) -> mg.ImageLoader:
    return mg.ImageLoader("image", image_size=(8, 8), protocols=["http"], **options)


def sequence(
    server: WebServer, way: str, rows: int = 64, **options: object
) -> mg.MultimodalSequence:
    table = pd.DataFrame({"image": [f"{server.url}/{way}/{row}.png" for row in range(rows)]})
    return mg.MultimodalSequence(
        table, {"image": loader(server)}, batch_size=16, inputs_as="array", **options
    )


def pixels(data: mg.MultimodalSequence) -> np.ndarray:
    return np.concatenate([batch[0] for batch in data])


def test_a_picture_is_one_request_and_the_same_pixels_as_from_a_file(
    server: WebServer, tmp_path: Path
) -> None:
    (tmp_path / "3.png").write_bytes(server.files["3.png"])
    expected = mg.ImageLoader("image", image_size=(8, 8)).read(tmp_path / "3.png")
    for way in ("ok", "late", "moved", "unnamed", "nohead"):
        found = loader(server).read(f"{server.url}/{way}/3.png")
        np.testing.assert_array_equal(found, expected)
        assert server.requests["GET", f"/{way}/3.png"] == 1
    assert not any(method == "HEAD" for method, _ in server.requests)


def test_what_may_pass_is_tried_again(server: WebServer) -> None:
    assert loader(server).read(f"{server.url}/first503/1.png").shape == (8, 8, 3)
    assert server.requests["GET", "/first503/1.png"] == 3


@pytest.mark.parametrize(
    ("way", "tries", "reason"),
    [
        ("404", 1, "there is no such file: the server answers 404 Not Found. Check the URL"),
        ("410", 1, "there is no such file: the server answers 410 Gone"),
        ("401", 1, "may not be read: the server answers 401 Unauthorized. It may need a login"),
        ("403", 1, "may not be read: the server answers 403 Forbidden"),
        ("400", 1, "cannot be read: the server answers 400 Bad Request. Fix it, or drop the row"),
        ("429", 4, "the server answers 429 Too Many Requests, in each of 4 tries within 0 seconds"),
        ("500", 4, "the server answers 500 Internal Server Error, in each of 4 tries"),
        ("503", 4, "the server answers 503 Service Unavailable, in each of 4 tries.*again later"),
        ("cut", 4, "payload is not completed.*in each of 4 tries"),
        ("page", 1, "a web page came in place of the file"),
    ],
)
def test_an_error_says_what_happened(server: WebServer, way: str, tries: int, reason: str) -> None:
    url = f"{server.url}/{way}/1.png"
    with pytest.raises(mg.LoadError, match=f"path '{url}': .*{reason}"):
        loader(server).read(url)
    assert server.requests["GET", f"/{way}/1.png"] == tries


def test_hosts_that_do_not_answer_are_not_missing_files(server: WebServer) -> None:
    for url in ("http://127.0.0.1:1/a.png", "http://no-such-host.invalid/a.png"):
        with pytest.raises(mg.LoadError, match="in each of 4 tries") as found:
            loader(server).read(url)
        assert "no such file" not in str(found.value)


def test_a_host_that_is_down_is_not_waited_for_with_each_picture(server: WebServer) -> None:
    for row in range(10):
        with pytest.raises(mg.LoadError):
            loader(server).read(f"{server.url}/503/{row}.png")
    assert server.requests["GET", "/503/7.png"] == 4
    assert server.requests["GET", "/503/9.png"] == 1
    # As soon as it answers, there are tries again.
    loader(server).read(f"{server.url}/ok/1.png")
    loader(server).read(f"{server.url}/first503/1.png")


def test_no_more_than_the_limit_is_read_of_a_file_without_end(server: WebServer) -> None:
    with pytest.raises(mg.LoadError, match="more than 16,777,2.. bytes"):
        loader(server, max_pixels=10).read(f"{server.url}/endless/1.png")


def test_a_batch_is_fetched_at_once_whatever_threads_there_are(server: WebServer) -> None:
    data = sequence(server, "late", threads=1)
    found = pixels(data)
    np.testing.assert_array_equal(found, pixels(sequence(server, "ok")))
    assert 8 < server.busiest <= gates.REQUESTS_TO_A_HOST
    assert all(count == 1 for count in server.requests.values())
    assert not ahead()._entries


def test_a_host_that_stands_still_does_not_hold_up_another(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "REQUESTS_TO_A_HOST", 4)
    monkeypatch.setattr(ahead(), "_gates", None)
    images = loader(server)
    with serving(server.files, 0.5) as still:
        slow = [f"{still.url}/late/{row}.png" for row in range(16)]
        quick = [f"{server.url}/ok/{row}.png" for row in range(64)]
        for url in (*slow, *quick):
            images.fetch_ahead(url)
        for url in quick:
            images.read(url)
        assert sum(still.requests.values()) == still.busiest == 4
        for url in slow:
            images.read(url)
        assert still.busiest == 4 and server.busiest <= 4
    assert not ahead()._gates._hosts


def test_a_server_that_stops_in_the_middle_is_asked_again(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_NEXT_BYTES", 0.2)
    found = loader(server).read(f"{server.url}/stall/1.png")
    np.testing.assert_array_equal(found, loader(server).read(f"{server.url}/ok/1.png"))
    assert server.requests["GET", "/stall/1.png"] == 2


def test_half_a_picture_that_a_server_calls_whole_is_an_error_of_its_row(
    server: WebServer,
) -> None:
    data = sequence(server, "ok")
    expected = pixels(data)
    table = data.table.copy()
    table.loc[9, "image"] = f"{server.url}/short/9.png"
    spoiled = mg.MultimodalSequence(
        table, data.inputs, batch_size=16, inputs_as="array", on_error="blank"
    )
    # What comes after the stated length is taken for no other row's picture.
    found = pixels(spoiled)
    assert [row for row in range(64) if (found[row] != expected[row]).any()] == [9]
    assert list(spoiled.failures["index"]) == [9]


def test_a_column_of_urls_is_pictures_where_urls_may_be_opened(server: WebServer) -> None:
    urls = pd.DataFrame({"image": [f"{server.url}/ok/{row}.png" for row in range(64)]})
    names = pd.DataFrame({"image": [f"{row}.png" for row in range(64)]})
    gone = pd.DataFrame({"image": [f"{server.url}/404/{row}.png" for row in range(64)]})
    cases = [
        (urls, "http://", "image", "64 paths of pictures"),
        (urls, server.url, "image", "64 paths of pictures"),
        (names, f"{server.url}/ok", "image", "64 paths of pictures"),
        (urls, None, "ignored", "say so with the directory http://"),
        (urls, "https://", "ignored", "5 of 5 looked for cannot be read: .*it lists none"),
        (gone, "http://", "ignored", "5 of 5 looked for cannot be read: .*404 Not Found"),
    ]
    for table, directory, kind, why in cases:
        row = mg.infer_columns(table, directory=directory).loc["image"]
        assert row["taken_as"] == kind and re.search(why, row["why"]), dict(row)


def test_each_file_is_fetched_once_where_it_is_kept(server: WebServer, tmp_path: Path) -> None:
    folder, data = tmp_path / "fetched", sequence(server, "ok", rows=6)
    # Room for three of the pictures.
    room = 3 * max(map(len, server.files.values()))
    with keeping_files(folder, room):
        assert np.array_equal(pixels(data), pixels(data))
        assert len(list(folder.iterdir())) == 3
    asked = [server.requests["GET", f"/ok/{row}.png"] for row in range(6)]
    assert sorted(asked) == [1, 1, 1, 2, 2, 2]
    assert not folder.exists()
    pixels(data)
    assert sum(server.requests.values()) == 15


def test_the_command_line_opens_urls_if_it_is_told_to(server: WebServer, tmp_path: Path) -> None:
    table = tmp_path / "urls.csv"
    urls = [f"{server.url}/ok/{row}.png" for row in range(64)]
    pd.DataFrame({"image": urls, "label": ["a", "b"] * 32}).to_csv(table, index=False)
    given = ["train", str(table), "--image", "image", "--runs", str(tmp_path / "runs")]
    refused = CliRunner().invoke(app, given, env={"COLUMNS": "1000"})
    assert refused.exit_code == 2, refused.output
    assert "None of the 64 rows can be loaded: --directory http:// opens them" in refused.output
    audited = CliRunner().invoke(
        app, ["audit", str(table), "--directory", "http://", "--out", str(tmp_path / "found")]
    )
    assert audited.exit_code == 0, audited.output
    assert "64 paths of pictures" in audited.output
    problems = pd.read_csv(tmp_path / "found" / "problems.csv")
    assert not (problems["kind"] == "missing").any()


def test_bad_urls_cost_their_rows_only(server: WebServer) -> None:
    data = sequence(server, "ok", on_error="blank", max_error_rate=1.0)
    table = data.table.copy()
    table.loc[5, "image"] = f"{server.url}/404/5.png"
    table.loc[20, "image"] = f"{server.url}/page/20.png"
    table.loc[30, "image"] = "ftp://somewhere/30.png"
    table.loc[31, "image"] = table.loc[30, "image"] = f"{server.url}/first503/30.png"
    spoiled = mg.MultimodalSequence(
        table, data.inputs, batch_size=16, inputs_as="array", on_error="blank", max_error_rate=1.0
    )
    found, expected = pixels(spoiled), pixels(data)
    same = [row for row in range(64) if (found[row] == expected[row]).all()]
    assert same == [row for row in range(64) if row not in (5, 20, 31)]
    assert list(spoiled.failures["index"]) == [5, 20]
    np.testing.assert_array_equal(found[31], expected[30])


def test_what_is_not_taken_is_bounded_and_forgotten(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead_module, "MOST_WAITING", 400)
    images, own = loader(server), ahead()
    urls = [f"{server.url}/ok/{row}.png" for row in range(64)]
    for url in urls:
        images.fetch_ahead(url)
    deadline = time.monotonic() + 60
    while not all(one.future.done() for one in own._entries.values()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    fetched = sum(count for (method, _), count in server.requests.items() if method == "GET")
    assert fetched < 64
    # Those that were not fetched ahead are fetched when they are read.
    for url in urls:
        images.read(url)
    assert not own._entries and own._waiting == 0
    for url in urls[:3]:
        images.fetch_ahead(url)
    monkeypatch.setattr(ahead_module, "_FORGOTTEN", -1.0)
    while not all(one.future.done() for one in own._entries.values()):
        time.sleep(0.01)
    time.sleep(0.05)
    images.fetch_ahead(urls[5])
    assert [url for url, _ in own._entries] == [urls[5]]
    images.read(urls[5])
    assert own._waiting == 0


def test_the_cache_knows_a_picture_by_its_version(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(way: str) -> tuple[np.ndarray, int, int]:
        # As in a new process: no version is known.
        fresh = fetching.Versions()
        for module in ("fetching", "urls"):
            monkeypatch.setattr(f"multimodal_gen.loaders.remote.{module}.VERSIONS", fresh)
        server.requests.clear()
        data = sequence(server, way, cache=tmp_path / "cache")
        found = pixels(data)
        np.testing.assert_array_equal(pixels(data), found)
        heads = sum(count for (method, _), count in server.requests.items() if method == "HEAD")
        return found, sum(server.requests.values()) - heads, heads

    cold, gets, heads = run("ok")
    # Two epochs; the answer to the first GET tells the version.
    assert gets == 64 and heads <= 64
    warm, gets, heads = run("ok")
    np.testing.assert_array_equal(warm, cold)
    assert gets == 0 and heads >= 64
    server.files["7.png"], server.versions["7.png"] = picture(1000), 2
    changed, gets, _ = run("ok")
    assert gets == 1
    assert [row for row in range(64) if (changed[row] != cold[row]).any()] == [7]
    # A server that tells no version, or does not answer HEAD, has nothing kept in vain.
    _, gets, _ = run("unnamed")
    assert gets == 128


def test_a_store_that_keeps_threads_waiting_is_tried_again_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = fsspec.filesystem("memory")
    system.pipe("/shop/a.png", picture(1))
    failures = iter([ConnectionResetError("reset by peer"), TimeoutError()])
    whole = type(system).cat_file

    def breaking(self: object, *arguments: object, **options: object) -> bytes:
        for error in failures:
            raise error
        return whole(self, *arguments, **options)

    monkeypatch.setattr(type(system), "cat_file", breaking)
    images = mg.ImageLoader("image", image_size=(8, 8), protocols=["memory"])
    assert images.read("memory://shop/a.png").shape == (8, 8, 3)
    assert next(failures, None) is None
    with pytest.raises(mg.LoadError, match="there is no such file"):
        images.read("memory://shop/b.png")


def test_loaders_with_urls_are_pickled_and_several_items_are_fetched(server: WebServer) -> None:
    many = mg.ManyLoader(pickle.loads(pickle.dumps(loader(server))), at_most=2, training="all")
    urls = [f"{server.url}/late/{row}.png" for row in range(8)]
    cells = [urls[row : row + 2] for row in (0, 2, 4, 6)]
    table = pd.DataFrame({"image": cells})
    data = mg.MultimodalSequence(table, {"image": many}, batch_size=4, threads=1)
    started = time.monotonic()
    images, mask = data[0][0]
    assert images.shape == (4, 2, 8, 8, 3) and mask.sum() == 8
    assert server.busiest > 1, time.monotonic() - started


def test_loaders_of_local_files_have_nothing_fetched_ahead(server: WebServer) -> None:
    local, remote = mg.ImageLoader("image"), loader(server)
    below = mg.ImageLoader("image", directory=f"{server.url}/ok")
    assert not local.fetches and remote.fetches and below.fetches
    assert not mg.ManyLoader(local, at_most=2).fetches
    assert mg.ManyLoader(remote, at_most=2).for_training().fetches


def test_a_loader_of_ones_own_is_told_of_a_batch_before_its_first_cell_is_read() -> None:
    asked: list[tuple[str, str]] = []

    class Asking(mg.Loader):
        column = "image"
        spec = mg.ArraySpec((1,), "float32", "vector")
        fetches = True

        def fetch_ahead(self, cell: str, needed: object = None) -> None:
            asked.append(("ahead", cell))

        def read(self, cell: str) -> np.ndarray:
            asked.append(("read", cell))
            return np.ones(1, "float32")

    table = pd.DataFrame({"image": list("abcd")})
    mg.MultimodalSequence(table, {"x": Asking()}, batch_size=4, threads=1)[0]
    assert asked == [(way, cell) for way in ("ahead", "read") for cell in "abcd"]
