"""Files at URLs: fetched many at once, tried again where that may help, and told apart by version.

`reasons.py` knows which failures may pass and says in words what is wrong; `patience.py` says how
often and when to try again; `http.py` asks web servers and `stores.py` all other places that fsspec
knows; `fetching.py` joins them; `ahead.py` fetches files before they are needed, no more at once
than `gates.py` lets through; `kept.py` keeps files on disk while a run lasts; `urls.py` says which
URLs a loader may open.
"""
