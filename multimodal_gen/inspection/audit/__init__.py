"""Examines every cell of a table before training: unreadable cells, odd ones, and duplicates.

Read `auditing.py` first, what an audit is given, then `gathering.py`, which combines the steps;
`findings.py` lists the kinds of problems, `parts.py` says which part a row is in, and `report.py`
holds the result. `items.py` takes the pictures out of the cells, `picture_reading.py` reads them on
threads, and `reading.py` all other cells; `pictures.py` decodes and hashes one picture,
`endings.py` finds truncated files, and `records.py` keeps the results on disk; `captions.py` reads
captions again for whoever needs them. Odd cells are found by `looks.py` (pictures), `texts.py`
(captions), `labels.py` (labels), `sides.py` (words such as left and right), `extremes.py` (numbers
far from all others), `outliers.py` (rows far from all others), `misfits.py` (pictures with the
caption of another) and `unlikely.py` (labels that are likely wrong, by predictions). Duplicates are
found by `clusters.py`, with the numbers of `digests.py` for equal contents and candidates from
`neighbours.py` that `alike.py` confirms; `near_texts.py` finds captions that are nearly the same,
and `whole_rows.py` compares all inputs of a row at once. `page.py` writes the HTML page,
`dropping.py` chooses the rows of the clean table, and `writing.py` writes it.
"""

from multimodal_gen.inspection.audit.auditing import audit
from multimodal_gen.inspection.audit.report import Audit

__all__ = ["Audit", "audit"]
