"""The page for people: a form with a field for each column, and room for the answer.

It loads nothing from elsewhere, and its policy allows only the one script and the one style that
are in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from multimodal_gen.inspection.pages import STYLE, safe
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.serving.endpoint.columns import FILE, NUMBERS, TEXT, Column
from multimodal_gen.serving.endpoint.page_script import SCRIPT

# Fields for the items of a cell that may hold several texts.
_ITEMS = 3
_STYLE = f"""{STYLE}
body {{ max-width: 60rem; }}
form, #answer {{ padding: 1rem; margin: 0 0 1rem; }}
label, .drop {{ display: block; margin: 0 0 1rem; }}
label > span, .drop > span {{ display: block; color: var(--soft); margin: 0 0 .2rem; }}
input, textarea, button {{ font: inherit; color: inherit; max-width: 100%; }}
input:not([type=file]), textarea {{ width: 100%; padding: .5rem; background: var(--page);
  border: 1px solid var(--line); border-radius: 6px; }}
.drop {{ padding: 1rem; border: 2px dashed var(--line); border-radius: 8px; cursor: pointer; }}
.over, .drop:focus-within {{ border-color: #3b6fd4; }}
.shown {{ display: flex; flex-wrap: wrap; gap: .5rem; }}
.shown img {{ max-width: 100%; max-height: 14rem; margin: .7rem 0 0; }}
button {{ padding: .5rem 1.4rem; margin: 0 .5rem 0 0; border-radius: 6px; cursor: pointer;
  border: 1px solid #3b6fd4; background: #2f5fbd; color: #fff; }}
button + button {{ background: none; color: inherit; }}
#answer:empty {{ display: none; }}
#answer[aria-busy] {{ opacity: .5; }}
.fact {{ display: flex; flex-wrap: wrap; gap: .6rem; align-items: baseline; margin: 0 0 .6rem; }}
.fact strong {{ color: var(--ink); font-size: 1.25rem; }}
#answer h2 {{ margin-top: .4rem; }}
.bar {{ display: grid; grid-template-columns: minmax(3rem, 1fr) 2fr 3.2rem; gap: .6rem;
  align-items: center; font-size: .9rem; }}
.bar .name {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
.room {{ height: .7rem; background: var(--line); border-radius: 4px; overflow: hidden; }}
.room i {{ display: block; height: 100%; background: #3b6fd4; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.bad {{ color: var(--mark); }}
iframe {{ width: 100%; min-height: 20rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card); }}
[hidden] {{ display: none; }}
"""
# Of the answer of /explain, which is shown inside the page.
EXPLAINED = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "frame-ancestors 'self'"
)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


POLICY = (
    f"default-src 'none'; script-src 'sha256-{_digest(SCRIPT)}'; "
    f"style-src 'sha256-{_digest(_STYLE)}'; img-src blob: data:; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(
    name: str,
    columns: Mapping[str, Column],
    target: Target | Mapping[str, Target] | None,
    explains: bool,
) -> str:
    """The page as HTML.

    Args:
        name: What the model is called.
        columns: The columns of a row.
        target: The target of the model, several by name, or None.
        explains: Whether predictions are explained.
    """
    fields = "".join(map(_field, columns.values()))
    targets = safe(json.dumps(_targets(target)))
    button = (
        "<button formaction='explain' formmethod='post' formenctype='multipart/form-data' "
        "formtarget='why'>Explain</button>"
        if explains
        else ""
    )
    frame = (
        "<iframe id='why' name='why' title='Explanation' sandbox='allow-same-origin' hidden>"
        "</iframe>"
        if explains
        else "<p id='why'>Explanations need the run itself with Keras instead of its export.</p>"
    )
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{safe(name)}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<link rel='icon' href='data:,'><style>{_STYLE}</style></head><body>"
        f"<h1>{safe(name)}</h1><p>Fill in a row, and see what the model predicts.</p>"
        f"<form class='card' data-targets='{targets}'>{fields}"
        f"<button>Predict</button>{button}</form>"
        f"<div id='answer' class='card' role='status'></div>{frame}"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _targets(target: Target | Mapping[str, Target] | None) -> list[dict[str, Any]]:
    # What of a prediction belongs together, and which of its columns are probabilities.
    if not isinstance(target, Mapping):
        names = [] if target is None else list(map(str, target.class_names))
        return [{"name": "", "prefix": "", "classes": names}]
    return [
        {"name": name, "prefix": f"{name}.", "classes": list(map(str, one.class_names))}
        for name, one in target.items()
    ]


def _field(column: Column) -> str:
    name = safe(column.name)
    above = f"<span>{name}{' (optional)' if column.optional else ''}</span>"
    if column.kind == FILE:
        several = " multiple" if column.many else ""
        kinds = " accept='image/*'" if column.picture else ""
        words = "Drop a picture here, or choose one." if column.picture else "Choose a file."
        return (
            f"<label class='drop'>{above}<span>{words}</span>"
            f"<input type='file' name='{name}'{kinds}{several}><span class='shown'></span></label>"
        )
    if column.kind == TEXT and not column.many:
        return f"<label>{above}<textarea name='{name}' rows='2'></textarea></label>"
    hint = " placeholder='such as [0.1, 2]'" if column.kind == NUMBERS else ""
    box = f"<input name='{name}'{hint}>"
    return f"<label>{above}{box * (_ITEMS if column.many else 1)}</label>"
