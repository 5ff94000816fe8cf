"""Annotations that others have made: each format becomes a table of pictures with what is said
about them.

Read `reading.py` first: it finds the format and tells what it found. `source.py` is a file as
formats look at it, and what a format is; `noting.py` is what is told, `sections.py` reads large
.json files, and `grouping.py` makes one row of several. Then the formats: `coco.py`, `flickr.py`,
`open_images.py`, `vqa.py`, `lines_of_json.py` (Localized Narratives and Hateful Memes), `urls.py`
(Conceptual Captions and LAION), and `side_cars.py` (folders).
"""
