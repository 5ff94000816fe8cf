"""The routes of the endpoint, and what happens to a request from its first byte to its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from multimodal_gen.serving.endpoint import page
from multimodal_gen.serving.endpoint.answers import as_json
from multimodal_gen.serving.endpoint.batching import Batcher, Job, QueueFullError
from multimodal_gen.serving.endpoint.body import Body, Room
from multimodal_gen.serving.endpoint.columns import RequestError, Rows, columns_of
from multimodal_gen.serving.endpoint.metrics import CONTENT_TYPE, Metrics
from multimodal_gen.serving.endpoint.openapi import described
from multimodal_gen.serving.endpoint.requests import read_form, read_rows

# Bodies in memory at once, in units of the largest.
_BODIES = 8
# Of no use to anybody: the client has hung up.
_GONE = 499
# Seconds until it is asked whether the client still waits.
_SOON = 0.1
_HOT = "POST", "/predict"
_Answer = Callable[[Request], Awaitable[Response]]
_log = logging.getLogger(__name__)
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@dataclass(frozen=True)
class Limits:
    """What the endpoint takes at most.

    Args:
        batch_size: Rows that the model runs on at once.
        queue: Rows that wait, and so the rows of a request.
        seconds: How long a client may take to send a request, and then wait for the answer.
        body: Bytes of a request.
    """

    batch_size: int = 32
    queue: int = 256
    seconds: float = 30.0
    body: int = 2**25


class Endpoint:
    """Answers requests with the predictions of a model.

    Args:
        model: A bundle, or an export.
        limits: What it takes at most.
        name: What its page and its description call the model.
        hosts: The names that a request may call this host by, or None for any: a web page of
            somebody else may lead its own name to this machine.
        threads: As in `Batcher`.
        even: As in `Batcher`.
        explain: Makes a page that explains the prediction of a row; None if the model cannot.
        in_words: Makes of an error of a row what the client is told of it.
        metrics: What counts; None for counters of its own.

    Raises:
        ValueError: If its columns cannot be told apart in a request.
    """

    def __init__(
        self,
        model: Any,
        limits: Limits,
        *,
        name: str = "model",
        hosts: frozenset[str] | None = None,
        threads: int = 1,
        even: bool = False,
        explain: Callable[[pd.DataFrame], str] | None = None,
        in_words: Callable[[str], str] = str,
        metrics: Metrics | None = None,
    ) -> None:
        self.explain, self.in_words = explain, in_words
        self.model, self.limits, self.name, self.hosts = model, limits, name, hosts
        self.columns = columns_of(model.inputs)
        self.metrics = metrics or Metrics()
        self.batcher = Batcher(
            model,
            rows=limits.batch_size,
            threads=threads,
            queue=limits.queue,
            even=even,
            ran=self.metrics.ran,
            waits=self.metrics.waits,
        )
        self.room = Room(limits.body, _BODIES * limits.body)

    def app(self) -> ASGIApp:
        """The ASGI application; the model runs between its start-up and its end."""
        predict = self._counted("/predict", self._predict)
        routes = [
            self._route("/predict", self._predict, "POST"),
            self._route("/health", self._health, "GET"),
            self._route("/metrics", self._metrics, "GET"),
            self._route("/openapi.json", self._openapi, "GET"),
            self._route("/", self._page, "GET"),
        ]
        if self.explain is not None:
            routes.append(self._route("/explain", self._explain, "POST"))
        others = Starlette(
            routes=routes,
            lifespan=self._running,
            exception_handlers={HTTPException: _refused},
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            # Starlette's layers would take a sixth of the time of a request.
            if scope["type"] == "http" and (scope["method"], scope["path"]) == _HOT:
                response = await predict(Request(scope, receive, send))
                await response(scope, receive, send)
            else:
                await others(scope, receive, send)

        return app

    @asynccontextmanager
    async def _running(self, app: Starlette) -> AsyncIterator[None]:
        self.batcher.start()
        try:
            yield
        finally:
            self.batcher.close()

    def _route(self, path: str, answer: _Answer, method: str) -> Route:
        return Route(path, self._counted(path, answer), methods=[method])

    def _counted(self, path: str, answer: _Answer) -> _Answer:
        async def counted(request: Request) -> Response:
            start = time.monotonic()
            try:
                self._check_host(request)
                response = await answer(request)
            except RequestError as error:
                response = _error(error.status, str(error))
            except ClientDisconnect:
                response = _error(_GONE, "the client has hung up")
            except Exception:
                _log.exception("%s failed", path)
                response = _error(500, "the model failed; the server's log says why")
            self.metrics.answered(path, response.status_code, time.monotonic() - start)
            return response

        return counted

    def _check_host(self, request: Request) -> None:
        if self.hosts is None:
            return
        named = request.headers.get("host", "")
        host = named if named.endswith("]") else named.rpartition(":")[0] or named
        if host.lower() not in self.hosts:
            raise RequestError(421, "this host is not called that")

    async def _predict(self, request: Request) -> Response:
        with self.room.taken() as body:
            rows = await self._rows(body, request)
            good = [place for place in range(len(rows.cells)) if place not in rows.errors]
            found: Mapping[int, Any] = {}
            if good:
                answers = await self._run(request, [rows.cells[place] for place in good], good)
                found = dict(zip(good, answers, strict=True))
        return self._answered(rows, found)

    async def _rows(self, body: Body, request: Request) -> Rows:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/json", "multipart/form-data"):
            raise RequestError(
                415, "the content type must be application/json, or multipart/form-data"
            )
        try:
            async with asyncio.timeout(self.limits.seconds):
                content = await body.read(request)
        except TimeoutError:
            raise RequestError(
                408, f"the request was not complete within {self.limits.seconds:g} seconds"
            ) from None
        if kind == "application/json":
            return read_rows(content, self.columns, self.limits.queue)
        return await read_form(content, request.headers, self.columns)

    async def _run(
        self, request: Request, cells: list[dict[str, Any]], places: list[int], run: Any = None
    ) -> Any:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        try:
            self.batcher.put(Job(cells, places, answer, run))
        except QueueFullError:
            raise RequestError(503, "too many rows wait already; try again later") from None
        watching: list[asyncio.Task[None]] = []
        # A task for each request would cost more than it saves; most have their answer before.
        watch = partial(self._watch, request, answer)
        later = loop.call_later(
            min(_SOON, self.limits.seconds), lambda: watching.append(loop.create_task(watch()))
        )
        try:
            return await answer
        finally:
            # A job that nobody waits for is left out of the next batch.
            answer.cancel()
            later.cancel()
            for one in watching:
                one.cancel()

    async def _watch(self, request: Request, answer: asyncio.Future[Any]) -> None:
        # Ends the wait for an answer once the client has hung up, or the time is over.
        error: Exception = ClientDisconnect()
        try:
            async with asyncio.timeout(self.limits.seconds - _SOON):
                # Nothing but the news that the client has hung up comes after the body.
                await request.receive()
        except TimeoutError:
            error = RequestError(504, f"no answer within {self.limits.seconds:g} seconds")
        if not answer.done():
            answer.set_exception(error)

    def _answered(self, rows: Rows, found: Mapping[int, Any]) -> Response:
        answers = [found.get(place, rows.errors.get(place)) for place in range(len(rows.cells))]
        failed = sum(isinstance(one, str) for one in answers)
        self.metrics.predicted(len(answers) - failed, failed)
        told = ({"error": self.in_words(one)} if isinstance(one, str) else one for one in answers)
        return _json({"rows": list(told)})

    async def _explain(self, request: Request) -> Response:
        with self.room.taken() as body:
            rows = await self._rows(body, request)
            if len(rows.cells) != 1:
                raise RequestError(
                    422, f"one row is explained at a time. Received: {len(rows.cells)} rows"
                )
            if rows.errors:
                raise RequestError(422, self.in_words(rows.errors[0]))
            shown = await self._run(request, rows.cells, [0], self.explain)
        headers = {**_HEADERS, "Content-Security-Policy": page.EXPLAINED}
        return Response(shown, media_type="text/html", headers=headers)

    async def _openapi(self, request: Request) -> Response:
        given = self.batcher.given
        found = described(
            self.name, self.columns, given, self.limits.queue, explains=self.explain is not None
        )
        return _json(found)

    async def _page(self, request: Request) -> Response:
        shown = page.page(self.name, self.columns, self.model.target, self.explain is not None)
        headers = {**_HEADERS, "Content-Security-Policy": page.POLICY}
        return Response(shown, media_type="text/html", headers=headers)

    async def _health(self, request: Request) -> Response:
        alive = self.batcher.alive
        return _json({"status": "ok" if alive else "stopped"}, 200 if alive else 503)

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type=CONTENT_TYPE, headers=_HEADERS)


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        as_json(value),
        status,
        {**_HEADERS, **(headers or {})},
        media_type="application/json",
    )


def _error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    wait = {"Retry-After": "1"} if status == 503 else {}
    return _json({"error": reason}, status, {**wait, **(headers or {})})


async def _refused(request: Request, error: Exception) -> Response:
    # A path or a method that there is not.
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, error.headers)
