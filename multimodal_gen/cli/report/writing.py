"""Write the report of a run: `report.html` and `model_card.md`."""

from __future__ import annotations

from pathlib import Path

from multimodal_gen.cli.report.card import card
from multimodal_gen.cli.report.facts import Facts
from multimodal_gen.cli.report.page import page
from multimodal_gen.cli.report.sections import report_of

# The names of its files.
REPORTS = ("report.html", "model_card.md")


def write_report(folder: Path, facts: Facts) -> None:
    """Write the page and the model card; the pictures that they show are in the folder already.

    Args:
        folder: The folder of the run.
        facts: What is known of it.
    """
    report = report_of(facts, folder)
    for name, text in zip(REPORTS, (page(report, folder), card(report)), strict=True):
        (folder / name).write_text(text, "utf-8")
