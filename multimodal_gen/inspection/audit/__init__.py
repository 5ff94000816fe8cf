"""Look at every cell of a table before training does: what cannot be read, what is odd, what is
there twice.

Read `gathering.py` first, which puts it together; `findings.py` lists what may be found, `parts.py`
says which part a row is in, and `report.py` holds what came out. `reading.py` reads the cells,
pictures with `pictures.py` and `endings.py`, and keeps `records.py`; `looks.py`, `texts.py`,
`labels.py` and `sides.py` find what is odd; `clusters.py` finds what appears twice, with
`neighbours.py` for candidates and `alike.py` to confirm them; `page.py` draws the page,
`dropping.py` chooses the rows of the clean table, and `writing.py` writes it.
"""

from multimodal_gen.inspection.audit.gathering import audit
from multimodal_gen.inspection.audit.report import Audit

__all__ = ["Audit", "audit"]
