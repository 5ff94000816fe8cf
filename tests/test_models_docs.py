"""The examples of docs/models.md run, top to bottom."""

import re
from pathlib import Path


def test_the_examples_of_the_models_page_run():
    page = (Path(__file__).parent.parent / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    exec(compile("\n".join(blocks), "docs/models.md", "exec"), {})
