"""Answers requests over HTTP: an ASGI application on Starlette, which uvicorn runs.

`columns.py` knows what a request may hold in each column, and makes cells of it; `body.py` reads
requests within limits, `requests.py` finds their rows, as JSON or as a form, and `answers.py` makes
JSON of predictions. `batching.py` runs the model in threads, for the rows of all requests that
wait. `app.py` has the routes, `metrics.py` counts what they do, `openapi.py` describes them, and
`page.py` is the page for people, with its script in `page_script.py`; `explaining.py` explains to
them. `server.py` runs all of it until a signal, and `processes.py` several of it at one address.

Nothing here is imported before a command asks for it, as only the extra "serve" installs Starlette.
"""
