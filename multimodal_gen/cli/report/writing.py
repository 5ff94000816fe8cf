"""Write the report of a run: `report.html` and `model_card.md`."""

from __future__ import annotations

from pathlib import Path

from multimodal_gen.cli.report.card import card
from multimodal_gen.cli.report.facts import Facts
from multimodal_gen.cli.report.page import page
from multimodal_gen.cli.report.sections import report_of


def write_report(folder: Path, facts: Facts) -> None:
    """Write the page and the model card; the pictures that they show are in the folder already.

    Args:
        folder: The folder of the run.
        facts: What is known of it.
    """
    report = report_of(facts, folder)
    (folder / "report.html").write_text(page(report, folder), "utf-8")
    (folder / "model_card.md").write_text(card(report), "utf-8")
