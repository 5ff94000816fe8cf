"""What the endpoint takes and gives, as an OpenAPI document made from the inputs of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multimodal_gen._version import __version__
from multimodal_gen.serving.endpoint.columns import FILE, NUMBERS, TEXT, Column

_REASONS = {
    400: "The body is not JSON, or not a form.",
    408: "The request did not arrive in time.",
    413: "The body is too large.",
    415: "The content type is neither JSON nor a form.",
    421: "The host goes by another name.",
    422: "The body is not what it must be; the text names the row and the column.",
    500: "The model failed.",
    503: "Too many rows wait already. Try again after `Retry-After` seconds.",
    504: "There was no answer in time.",
}
_JSON = "application/json"


def described(
    name: str,
    columns: Mapping[str, Column],
    given: Sequence[tuple[str, bool]],
    most: int,
    explains: bool,
) -> dict[str, Any]:
    """The document.

    Args:
        name: What the model is called.
        columns: The columns of a row.
        given: The columns of a prediction, and whether each is the probability of a class.
        most: Rows of a request.
        explains: Whether predictions are explained.
    """
    row = {
        "type": "object",
        "additionalProperties": False,
        "properties": {one.name: _json_schema(one) for one in columns.values()},
        "description": f"A column that is left out, or null, is a missing cell.{_needed(columns)}",
    }
    prediction = {
        "type": "object",
        "required": [one for one, _ in given],
        "properties": {
            one: {"type": ["number", "null"]} if probable else {} for one, probable in given
        },
    }
    error = {
        "type": "object",
        "required": ["error"],
        "additionalProperties": False,
        "properties": {"error": {"type": "string"}},
    }
    numbers = {
        "anyOf": [
            {"type": "number"},
            {"type": "array", "items": {"$ref": "#/components/schemas/Numbers"}},
        ]
    }
    paths = {
        "/predict": {"post": _post("Predict rows", columns, most, _predictions())},
        "/health": {"get": _get("Whether predictions are made", _JSON, {503: "They are not."})},
        "/metrics": {"get": _get("Counters, as Prometheus reads them", "text/plain")},
        "/openapi.json": {"get": _get("This document", _JSON)},
        "/": {"get": _get("A page for people", "text/html")},
    }
    if explains:
        page = {"description": "A page.", "content": {"text/html": {}}}
        paths["/explain"] = {"post": _post("Explain the prediction of one row", columns, 1, page)}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"multimodal-gen: {name}", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {"Row": row, "Prediction": prediction, "Error": error, "Numbers": numbers}
        },
    }


def _needed(columns: Mapping[str, Column]) -> str:
    # Not `required`, as such a row costs no other one: it has an error in the answer.
    names = [repr(one.name) for one in columns.values() if not one.optional]
    return f" A row needs {', '.join(names)}, or it has an error." if names else ""


def _json_schema(column: Column) -> dict[str, Any]:
    if column.many:
        item = _json_schema(Column(column.name, column.kind, picture=column.picture))
        return {"type": ["array", "null"], "items": item}
    if column.kind == FILE:
        kind = "image/*" if column.picture else "application/octet-stream"
        return {
            "type": ["string", "null"],
            "contentEncoding": "base64",
            "contentMediaType": kind,
            "description": "The content of a file as base64; never a path or a URL.",
        }
    if column.kind == NUMBERS:
        return {"anyOf": [{"$ref": "#/components/schemas/Numbers"}, {"type": "null"}]}
    if column.kind == TEXT:
        return {"type": ["string", "null"]}
    return {"type": ["string", "number", "boolean", "null"]}


def _form_schema(column: Column) -> dict[str, Any]:
    if column.many:
        item = _form_schema(Column(column.name, column.kind))
        return {"type": "array", "items": item}
    if column.kind == FILE:
        return {"type": "string", "format": "binary"}
    if column.kind == NUMBERS:
        return {"$ref": "#/components/schemas/Numbers"}
    return {"type": "string"}


def _post(
    summary: str, columns: Mapping[str, Column], most: int, answer: dict[str, Any]
) -> dict[str, Any]:
    rows = {
        "type": "object",
        "required": ["rows"],
        "additionalProperties": False,
        "properties": {
            "rows": {
                "type": "array",
                "minItems": 1,
                "maxItems": most,
                "items": {"$ref": "#/components/schemas/Row"},
            }
        },
    }
    form = {
        "type": "object",
        "additionalProperties": False,
        "properties": {one.name: _form_schema(one) for one in columns.values()},
        "description": f"One row; an empty field is a missing cell.{_needed(columns)}",
    }
    texts = {
        one.name: {"contentType": "text/plain"} for one in columns.values() if one.kind != FILE
    }
    content = {
        _JSON: {"schema": rows},
        "multipart/form-data": {"schema": form, "encoding": texts},
    }
    responses = {"200": answer, **{str(status): _error(status) for status in _REASONS}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": responses,
    }


def _predictions() -> dict[str, Any]:
    # In the order of the request; a row that cannot be predicted costs no other one.
    either = {
        "anyOf": [
            {"$ref": "#/components/schemas/Prediction"},
            {"$ref": "#/components/schemas/Error"},
        ]
    }
    rows = {
        "type": "object",
        "required": ["rows"],
        "properties": {"rows": {"type": "array", "items": either}},
    }
    return {
        "description": "A prediction for each row, in their order, or why there is none.",
        "content": {_JSON: {"schema": rows}},
    }


def _get(summary: str, kind: str, more: Mapping[int, str] | None = None) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": summary, "content": {kind: {}}}}
    for status, reason in {421: _REASONS[421], **(more or {})}.items():
        responses[str(status)] = {"description": reason, "content": {_JSON: {}}}
    return {"summary": summary, "responses": responses}


def _error(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    found: dict[str, Any] = {
        "description": _REASONS[status],
        "content": {_JSON: {"schema": schema}},
    }
    if status == 503:
        found["headers"] = {"Retry-After": {"schema": {"type": "string"}}}
    return found
