"""The page about a run and its model card: what they say, and that nothing of a table is markup."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import markdown
import numpy as np
import pandas as pd
import pytest
from browser import Browser
from test_audit import SILENT
from test_audit import shop as audited
from test_audit_page import ATTACK, Page
from test_cli import train, write_shop
from test_explain_page import explained

import multimodal_gen as mg
from multimodal_gen.bundle.explaining.page import page as explanations_page
from multimodal_gen.cli.parts import Parts
from multimodal_gen.cli.report.card import card, plain
from multimodal_gen.cli.report.data import Column, Data, data_of
from multimodal_gen.cli.report.facts import Facts, Known
from multimodal_gen.cli.report.mistakes import Mistake, Mistakes, mistakes_of
from multimodal_gen.cli.report.page import page
from multimodal_gen.cli.report.sections import report_of
from multimodal_gen.cli.report.writing import write_report
from multimodal_gen.cli.reporter import Remembering
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.inspection.confusion import plot_confusion

HOSTILE = [
    ATTACK,
    "a | b || c",
    "`code` ``",
    "![x](https://example.org/x.png) [y](javascript:alert(1))",
    "line\nbreak\r\n\n# heading\n- point\n1. one\n\n---\n",
    "*bold* _it_ ~~gone~~ $x$ &lt; \\",
    "\ud800 broken \x00\x07\u202e",
    "<!-- --> {{ x }} ::: --- === \u2028 \u2029",
]


def settings_of(label: str, caption: str) -> dict[str, Any]:
    return {
        "table": f"tables/{ATTACK}.csv",
        "folder": f"runs/{ATTACK}",
        "image": ("image",),
        "caption": (caption,),
        "label": (label,),
        "target": "class",
        "group": "a | group",
        "image_size": (64, 64),
        "ablate": True,
        "cache": f"cache/{ATTACK}",
        "seed": 0,
        "epochs": None,
    }


def by_class(names: list[str]) -> dict[str, dict[str, float]]:
    shares = {}
    for share in ("precision", "recall", "f1"):
        shares |= {share: 0.5, f"{share}_low": 0.25, f"{share}_high": 0.75}
    return {name: {"rows": 4, **shares} for name in names}


def importance_of(caption: str) -> dict[str, Any]:
    lines = [
        {"input": "image", "column": None, "lost": 0.3, "low": 0.2, "high": 0.4},
        {"input": "image", "column": caption, "lost": 0.0, "low": -0.1, "high": 0.1},
    ]
    found = {"main": ["balanced_accuracy"], "scores": {"balanced_accuracy": lines}}
    return {"rows": 20, "groups": 20, "repeats": 5, "by_class": [], **found}


def facts_with(names: list[str], label: str = "label", caption: str = "caption") -> Facts:
    """Facts of a run with these classes, whose rows are all said to be the next class."""
    count = len(names)
    counts = np.roll(np.eye(count, dtype="int64") * 4, 1, axis=1)
    (one, lost) = explained(of=names[0], predicted=names[0])
    mistakes = [Mistake(f"{names[0]} (90%)", f"{names[1]} (3%)", own) for own in (one, lost)]
    interval = {"balanced_accuracy": [0.1, 0.3], "log_loss": [1.0, 2.0]}
    scores = {"balanced_accuracy": 0.2, "log_loss": 1.5, "epochs": 3, "seconds": 12.4}
    difference = {"of": "both", "than": "image", "value": 0.2, "other": 0.1, "difference": 0.1}
    difference |= {"low": -0.1, "high": 0.3, "rows": 9, "groups": 9}
    details = {
        "score": "balanced_accuracy",
        "shown": ["balanced_accuracy"],
        "scores": {"both": scores, "image": scores},
        "intervals": {"both": interval, "image": interval},
        "by_class": {"both": by_class(names)},
        "differences": {"balanced_accuracy": difference},
        "calibration": {"both": {"error": 0.04, "low": 0.02, "high": 0.06, "chance": 0.01}},
        "importance": importance_of(caption),
        "rows": {"train": 70, "validation": 10, "test": 20},
        "groups": {"test": 7},
        "classes": names,
        "versions": {"multimodal_gen": "0.1", "keras": "3", ATTACK: "<b>1</b>"},
        "date": "2026-11-28T11:30:00+00:00",
    }
    columns = [Column(caption, "--caption", 1, 17), Column(label, "--label", 0, None)]
    data = Data("ab" * 16, columns, dict.fromkeys(names, 9))
    known = Known(settings_of(label, caption), data, f"by column {ATTACK!r}", HOSTILE, 2)
    found = Mistakes("0 of 20 rows right", 20, mistakes, "those of 32 rows")
    metrics = {"both": 0.2, "image": 0.2, "details": details}
    inputs = {"image": ["photo"], caption: [caption]}
    return Facts(known, metrics, inputs, 12_345, (2, 3), counts, None, found, "both")


def texts_of(text: str) -> str:
    return " ".join("".join(Page(text).texts).split())


def test_nothing_of_a_table_is_markup_on_the_page_or_in_the_card(tmp_path: Path) -> None:
    report = report_of(facts_with(HOSTILE, ATTACK, HOSTILE[3]), tmp_path)
    text = page(report, tmp_path)
    found = Page(text)
    own = "html head meta title style body h1 h2 h3 p nav a section div table thead tbody tr th td"
    own = f"{own} ul li code img b i span"
    assert {tag for tag, _ in found.tags} <= set(own.split())
    assert not any(key.startswith("on") for _, one in found.tags for key in one)
    assert all(one["src"].startswith("data:image/") for tag, one in found.tags if tag == "img")
    assert all(one["href"].startswith("#") for tag, one in found.tags if tag == "a")
    assert sum(tag == "style" for tag, _ in found.tags) == 1
    assert ATTACK in texts_of(text) and "default-src 'none'" in text
    text.encode("utf-8")

    rendered = markdown.markdown(card(report), extensions=["tables"])
    made = Page(rendered)
    own = "h1 h2 p strong table thead tbody tr th td ul li code"
    assert {tag for tag, _ in made.tags} <= set(own.split())
    shown = texts_of(rendered)
    for one in HOSTILE[:4]:
        assert " ".join(one.replace("`", "").split()) in shown.replace("`", ""), one
    # Each line of a table has as many cells as its heading.
    for block in card(report).strip().split("\n\n"):
        if block.startswith("|"):
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.split("\n")}
            assert len(bars) == 1, block


@pytest.mark.parametrize(
    "text", [*HOSTILE, "- a", "1) b", "12. c", "+ d", "1.5 e", "====", "    indented", "a\tb"]
)
def test_a_text_in_the_card_is_shown_as_it_is_in_one_line(text: str) -> None:
    line = plain(text)
    assert "\n" not in line
    made = Page(markdown.markdown(line))
    assert [tag for tag, _ in made.tags] in (["p"], [])
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
    clean = "".join(one for one in " ".join(clean.split()) if one.isprintable())
    assert "".join(made.texts) == clean.strip()


def test_sections_come_in_the_order_of_a_reader_and_what_there_is_none_of_is_left_out(
    tmp_path: Path,
) -> None:
    facts = facts_with(["a", "b"])
    titles = [one.title for one in report_of(facts, tmp_path).sections]
    assert titles == [
        "Scores",
        "Scores by class",
        "Which classes are mistaken for which",
        "Worst mistakes",
        "Calibration",
        "What inputs are worth",
        "Training",
        "Data",
        "Split",
        "What is odd about the table",
        "Settings",
        "Versions",
    ]
    details = {**facts.metrics["details"], "by_class": {}, "calibration": {}, "importance": None}
    errors = pd.DataFrame([[1.0, 2.0, 3.0, 4.0]], columns=["mean", "half", "most", "all"])
    number = replace(
        facts, confusion=None, errors=errors, metrics={**facts.metrics, "details": details}
    )
    titles = [one.title for one in report_of(number, tmp_path).sections]
    assert titles[:4] == ["Scores", "Errors", "Worst mistakes", "Training"]


def test_the_page_says_the_score_with_its_interval_first_and_notes_in_full(tmp_path: Path) -> None:
    facts = facts_with(["a", "b"])
    (tmp_path / "report.html").write_text("old")
    write_report(tmp_path, facts)
    text = texts_of((tmp_path / "report.html").read_text("utf-8"))
    first = "Balanced accuracy: 0.200 (95 % interval 0.100 to 0.300), on 20 test rows."
    told = (
        "12,345 parameters",
        "Kept is epoch 2 of 3",
        "Training took 12 seconds",
        "no difference that 9 rows can show",
        "These intervals come from 7 groups of 'a | group': with so few,",
        "2 of 20 wrong rows",
        "is 0.040 (95 % interval 0.020 to 0.060)",
        "lost of the balanced accuracy",
        "2 more rows could not be read",
        "not: multimodal-gen audit on",
        "cache/",
        "made on 2026-11-28 with multimodal_gen 0.1.",
        "from image (photo)",
    )
    written = (tmp_path / "model_card.md").read_text("utf-8")
    for said in (first, *told):
        assert said in text, said
        assert said.split("multimodal")[0] in texts_of(markdown.markdown(written)), said
    assert "said a (90%), 10% without inputs; true: b (3%)" in text
    assert "| a (90%) | b (3%) | 10% |" in written.replace("\\", "")
    # Without a value, an option has no place.
    assert "--epochs" not in text and "--seed0" in text and "--ablateon" in text


@pytest.mark.parametrize(
    ("wrong", "shown", "said"),
    [
        (1, 1, "Here is 1 wrong row. Orange"),
        (3, 1, "Here is 1 of 3 wrong rows. Orange"),
        (2, 2, "Here are 2 wrong rows, the most confident first."),
        (0, 1, "Here is 1 row that it is least sure of, which is right."),
        (0, 2, "Here are 2 rows that it is least sure of, none of them wrong."),
        (None, 1, "Here is 1 row. Orange"),
        (None, 2, "Here are 2 rows, the largest error first."),
        (0, 0, "None: 1 of 1 row right."),
    ],
)
def test_rows_that_are_explained_are_said_in_singular_and_plural(
    tmp_path: Path, wrong: int | None, shown: int, said: str
) -> None:
    facts = facts_with(["a", "b"])
    rows = facts.mistakes.rows[:shown]
    found = Mistakes("1 of 1 row right", wrong, rows, "those of 32 rows of the background")
    text = texts_of(page(report_of(replace(facts, mistakes=found), tmp_path), tmp_path))
    assert said in text
    if shown:
        assert 'in its place (the "background"): those of 32 rows of the training data.' in text


def test_an_input_is_named_with_its_columns_if_they_are_called_otherwise() -> None:
    facts = facts_with(["a", "b"])
    inputs = {"image": ["photo"], "caption": ["caption"], "number": [*"abcdef"]}
    facts = replace(facts, inputs=inputs)
    assert [facts.called(name) for name in (*inputs, "both")] == [
        "image (photo)",
        "caption",
        "number (a, b, c, d, 2 more columns)",
        "both",
    ]


def test_the_digest_is_that_of_the_cells_and_their_parts() -> None:
    table = pd.DataFrame({"a": ["x", "y", "z", None], "b": [1, 2, 3, 4], "c": [0, 0, 1, 1]})
    settings = RunSettings(
        **{
            **dict.fromkeys(RunSettings.__dataclass_fields__),
            "image": (),
            "images": (),
            "captions": (),
            "category": (),
            "date": (),
            "caption": ("a",),
            "number": ("b",),
            "label": ("c",),
            "target": "class",
            "fractions": (0.5, 0.25, 0.25),
            "fusion": "joint",
            "text": "ngrams",
        }
    )
    target = mg.ClassLabel.from_values("c", table)
    parts = Parts(table[:2], table[2:3], table[3:])
    one = data_of(settings, parts, target)
    assert one == data_of(settings, Parts(*(part.copy() for part in parts)), target)
    assert one.columns[0] == Column("a", "--caption", 1, 3)
    assert one.classes == {"0": 2, "1": 0}
    other = data_of(settings, Parts(table[:1], table[1:3], table[3:]), target)
    assert other.digest != one.digest
    assert data_of(settings, Parts(*(part.assign(other=1) for part in parts)), target) == one


def test_what_is_noted_and_warned_of_is_remembered_and_passed_on() -> None:
    class Told:
        def __init__(self) -> None:
            self.said: list[str] = []

        def say(self, line: str) -> None:
            self.said.append(line)

    told = Told()
    reporter = Remembering(told)
    reporter.say("10 rows")
    reporter.say("note: a caption")
    with pytest.warns(mg.LeakageWarning, match="twice"), reporter.warnings():
        warnings.warn("twice", mg.LeakageWarning, stacklevel=1)
    assert reporter.notes == ["a caption", "twice"]
    assert told.said == ["10 rows", "note: a caption"]


class Fixed(mg.Bundle):
    """Says the same of every row, whatever the model would."""

    said: Any

    def _outputs(self, sequence: Any, verbose: int) -> Any:
        return np.tile(np.float32(self.said), (len(sequence.table), 1))


def worst(target: mg.Target, said: list[float], table: pd.DataFrame) -> Mistakes:
    inputs = {"x": mg.NumericLoader("x", mean=[0.0], scale=[1.0])}
    bundle = Fixed(mg.models.build_fusion_classifier(inputs, target), inputs, target)
    bundle.said = said
    return mistakes_of(bundle, table, bundle.predict(table), table)


def test_mistakes_of_classes_labels_and_numbers_are_explained_where_they_are_wrong() -> None:
    table = pd.DataFrame({"x": np.arange(12.0), "y": ["a", "b"] * 6, "n": np.arange(12.0) ** 2})
    table = table.assign(m=1.0, tags=[["p"], ["p", "q"]] * 6)
    found = worst(mg.ClassLabel("y", ["a", "b"]), [0.8, 0.2], table)
    assert (found.wrong, len(found.rows)) == (6, 6)
    assert (found.rows[0].said, found.rows[0].true) == ("a (80%)", "b (20%)")
    found = worst(mg.ClassLabel("y", ["a", "b"]), [0.8, 0.2], table[::2])
    assert (found.wrong, len(found.rows)) == (0, 4)
    found = worst(mg.MultiLabel("tags", ["p", "q", "r"]), [0.9, 0.1, 0.6], table)
    # The label that is most off, of a row that has it.
    assert found.rows[0].explanation.of == "q" and found.rows[0].explanation.row == 1
    assert (found.rows[0].said, found.rows[0].true) == ("p, r", "p, q")
    found = worst(mg.NumericTarget(["m", "n"]), [1.0, 0.0], table)
    assert (found.wrong, found.rows[0].explanation.row) == (None, 11)
    assert found.rows[0].explanation.of == "n"
    assert (found.rows[0].said, found.rows[0].true) == (
        "m: said 1, is 1; n: said 0, is 121",
        "off by 0, 121",
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shop = write_shop(tmp_path_factory.mktemp("shop"))
    table = pd.read_csv(shop)
    # One picture in two parts, and a caption that both have.
    table.loc[39, ["image", "caption"]] = table.loc[0, ["image", "caption"]].to_numpy()
    table.to_csv(shop, index=False)
    with warnings.catch_warnings():
        # Shown, as to people, and no error.
        warnings.simplefilter("default", mg.LeakageWarning)
        code, _, errors = train(shop, shop.parent / "runs")
    assert code == 0 and "several parts" in errors
    return shop.parent / "runs" / "shop"


def test_a_run_writes_the_page_and_the_card(run: Path) -> None:
    text = (run / "report.html").read_text("utf-8")
    shown = texts_of(text)
    assert "label from image and caption" in shown and "on 10 test rows" in shown
    assert "several parts" in shown and "a caption that training rows have too" in shown
    assert "split by column 'split'" in shown
    # The pictures of confusion, calibration and curves, and two of each explained row.
    assert text.count("<div class='card picture") == 3
    assert text.count("<img") == 3 + 2 * text.count("<div class='card case'>")
    written = (run / "model_card.md").read_text("utf-8")
    assert "](curves.png)" in written and written.startswith("# label from image and caption\n")


PAGES = ("report", "audit", "explanations")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, run: Path) -> dict[str, Path]:
    """A report on 43 classes of long names, an audit, and explanations."""
    folder = tmp_path_factory.mktemp("pages")
    words = "the main colour of the product as it is photographed, and its shades"
    names = [f"{place} {words}, {'x' * 60}" for place in range(43)]
    facts = facts_with([*names, *HOSTILE])
    truth = [name for name in names for _ in range(4)]
    plot_confusion(truth, truth[2:] + truth[:2], names).savefig(folder / "confusion.png")
    (folder / "curves.png").write_bytes((run / "curves.png").read_bytes())
    write_report(folder, facts)
    table = audited(folder)
    table.loc["row-3", ["image", "caption"]] = [table.loc["row-1", "image"], ATTACK]
    loader = mg.ImageLoader("image", directory=folder, image_size=(16, 16))
    mg.audit(table, {"image": loader}, **SILENT).write_page(folder / "audit.html")
    shown = explanations_page(explained(), f"Why {ATTACK}")
    (folder / "explanations.html").write_text(shown, "utf-8")
    return {name: folder / f"{name}.html" for name in PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_a_browser_shows_a_page_at_any_width_without_a_word_or_a_request(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    for width in (360, 1200):
        browser.open(pages[name], width, dark=width == 360)
        assert browser.run("innerWidth") == width
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run(
            "[...document.querySelectorAll('.wide')].every(one => one.scrollWidth <= "
            "one.clientWidth)"
        )
        assert browser.run("document.images.length") > 0
        assert browser.run("[...document.images].every(one => one.complete && one.naturalWidth)")
        assert browser.requests == [pages[name].as_uri()]
        assert browser.complaints == []
    assert browser.printed().startswith(b"%PDF")


def test_a_browser_would_tell_of_what_a_page_must_not_do(browser: Browser, tmp_path: Path) -> None:
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    (tmp_path / "bad.html").write_text(f"{policy}<img src='https://example.org/x.png'>")
    browser.open(tmp_path / "bad.html", 360)
    assert any("Content Security Policy" in one for one in browser.complaints)
    meta = "<meta name='viewport' content='width=device-width'>"
    (tmp_path / "wide.html").write_text(f"{meta}<div style='width: 700px'>x</div>")
    browser.open(tmp_path / "wide.html", 360)
    assert browser.run("document.documentElement.scrollWidth") > 700
