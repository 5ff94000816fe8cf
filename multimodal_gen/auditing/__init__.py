"""Look at every cell of a table before training does: what cannot be read, what is odd, what is there twice.

`gathering.py` puts it together and `report.py` holds what came out. `reading.py` reads the cells, pictures with
`pictures.py` and `endings.py`, and keeps `records.py`; `looks.py`, `texts.py` and `labels.py` find what is odd;
`clusters.py` finds what is there twice, with `neighbours.py` for candidates and `alike.py` to confirm them; `page.py`
draws the page.
"""

from multimodal_gen.auditing.gathering import audit
from multimodal_gen.auditing.report import Audit

__all__ = ["Audit", "audit"]
