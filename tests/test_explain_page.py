"""Explanations for people: cards, the page, and the command that writes it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_cli import call, train, write_shop

import multimodal_gen as mg
from multimodal_gen.bundle.explaining.cards import bars_of
from multimodal_gen.bundle.explaining.explanations import Explanations
from multimodal_gen.bundle.explaining.page import page
from multimodal_gen.bundle.explaining.results import Explanation, Word
from multimodal_gen.bundle.explaining.tints import number, overlay, pieces
from multimodal_gen.cli.explain import rows_named


def explained(**other: object) -> Explanations:
    """One row with a picture, a text, a long class name and columns; and one with an error."""
    text = "a <b>r\u00f6d</b> mug & \u7ea2 \U0001f44d\U0001f3fd"
    words = [Word("r\u00f6d", 5, 8, 0, 0.4), Word("\u7ea2", 19, 20, 0, -0.1)]
    given = {
        "predicted": "<script>alert(1)</script>" + "very long " * 30,
        "of": "<script>alert(1)</script>" + "very long " * 30,
        "value": 0.9,
        "baseline": 0.1,
        "inputs": pd.DataFrame(
            {"share": [0.5, 0.3], "alone": [0.5, 0.2], "needed": [0.6, 0.3]},
            index=["image", "cap<i>tion"],
        ),
        "words": {"cap<i>tion": words},
        "texts": {"cap<i>tion": [text]},
        "heat": {"image": [np.linspace(-1, 1, 80, dtype="float32").reshape(8, 10)]},
        "pictures": {"image": [np.full((8, 10, 3), 90, "uint8")]},
        "columns": {
            f"column {place}" * 9: float("nan") if place == 2 else 0.01 * place
            for place in range(20)
        },
        **other,
    }
    rows = [Explanation("row <0>", **given), Explanation("row 1", error="no <file> 'x.png'")]
    return Explanations(rows, pd.Index(["row <0>", "row 1"]), "blank ones")


class Tags(HTMLParser):
    """The names of the tags of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_nothing_of_the_table_is_markup_on_the_page_and_no_letter_is_lost() -> None:
    found = explained()
    tags = Tags()
    tags.feed(page(found, "Why <u>"))
    assert not {"script", "u", "file"} & set(tags.names)
    assert tags.names.count("img") == 2
    # One word in bold face of HTML for each word; the caption's own <b> is text.
    assert tags.names.count("b") == 2
    for said in (found[0].texts["cap<i>tion"][0], "row <0>", "no <file> 'x.png'", "unknown"):
        assert said in tags.text
    assert "default-src 'none'" in page(found, "Why")


def test_pieces_of_a_text_are_the_text() -> None:
    one = explained()[0]
    (text,), words = one.texts["cap<i>tion"], one.words["cap<i>tion"]
    parts = list(pieces(text, words))
    assert "".join(part for part, _ in parts) == text
    assert [part for part, weight in parts if weight is not None] == ["r\u00f6d", "\u7ea2"]


def test_heat_is_orange_for_and_blue_against_and_grey_where_there_is_none() -> None:
    heat = np.array([[1.0, -1.0, 0.0]])
    red, green, blue = overlay(np.full((1, 3, 3), 128, "uint8"), heat)[0].astype(int).T
    assert red[0] > blue[0] + 50 and blue[1] > red[1] + 50
    assert red[2] == green[2] == blue[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.482, "+0.48"),
        (-0.0041, "-0.004"),
        (1234.5, "+1,234"),
        (float("nan"), "unknown"),
    ],
)
def test_numbers_are_short_and_have_a_sign(value: float, text: str) -> None:
    assert number(value) == text


def test_a_card_is_as_high_as_what_is_in_it_and_every_row_has_one() -> None:
    found = explained()
    figure, one = found.show(), found.show(rows=1)
    assert figure.get_figheight() > one.get_figheight() + 0.4
    # Both pictures, the one as it is and the one with its heat.
    assert len(one.axes) == 2
    said = " ".join(text.get_text() for text in figure.texts)
    assert "no <file> 'x.png'" in said and "+0.50" in said
    bare = explained(pictures={}, heat={}, words={}, texts={}, columns={})[:1].show()
    assert bare.axes == []
    assert bare.get_figwidth() < figure.get_figwidth()
    with pytest.raises(ValueError, match="`rows` must be"):
        found.show(rows=0)


def test_rows_are_named_by_numbers_and_ranges() -> None:
    assert rows_named("3, 17,5-7,3", 20) == [3, 17, 5, 6, 7]
    assert rows_named(None, 50) == list(range(20))
    assert rows_named(None, 2) == [0, 1]
    for text in ("a", "1-", "", "-1"):
        with pytest.raises(ValueError, match=f"such as 3,17,40-45. Received: --rows {text}"):
            rows_named(text, 5)
    for text in ("5", "3-9", "4-2"):
        with pytest.raises(ValueError, match=f"from 0 to 4, .* Received: --rows {text}"):
            rows_named(text, 5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shop = write_shop(tmp_path_factory.mktemp("shop"))
    assert train(shop, shop.parent / "runs")[0] == 0
    return shop.parent / "runs" / "shop"


def test_the_command_writes_a_page_about_the_rows_and_says_where(run: Path, tmp_path: Path) -> None:
    shop = run.parent.parent / "shop.csv"
    code, printed, errors = call("explain", run, shop, "--rows", "3,30-32", "--of", "red mug")
    assert (code, errors) == (0, "")
    assert " ".join(printed.split()).startswith("Explained 4 rows: ")
    text = (run / "explanations.html").read_text()
    assert [int(row) for row in re.findall(r"<h2>row (\d+):", text)] == [3, 30, 31, 32]
    assert "<h1>Why red mug</h1>" in text and text.count("<img") == 8
    # The others of the table stand for what is left out.
    assert "those of 32 rows" in text
    broken = mg.read_table(shop)
    broken.loc[1, "image"] = "images/gone.png"
    broken.to_csv(shop.parent / "broken.csv", index=False)
    out = tmp_path / "new" / "why.html"
    code, printed, _ = call("explain", run, shop.parent / "broken.csv", "--out", out)
    printed = " ".join(printed.split())
    assert code == 0 and "Explained 19 rows" in printed
    assert "note: 1 row without a prediction. The first: " in printed and "gone.png" in printed
    assert out.read_text().count("no prediction") == 1


def test_the_command_refuses_what_it_cannot_do_in_one_line(run: Path, tmp_path: Path) -> None:
    shop = run.parent.parent / "shop.csv"
    for more, said in [
        (("--out", tmp_path / "x.png"), "--out must end in .html"),
        (("--rows", "40"), "--rows must name rows from 0 to 39"),
        (("--of", "green mug"), "must be what the target 'label' predicts"),
        (("--target", "price"), "several targets by name"),
    ]:
        code, _, errors = call("explain", run, shop, *more)
        assert (code, errors.count("\n")) == (2, 1)
        assert said in errors
    table = mg.read_table(shop).assign(image="gone.png")
    table.to_csv(tmp_path / "gone.csv", index=False)
    code, printed, _ = call("explain", run, tmp_path / "gone.csv", "--out", tmp_path / "x.html")
    assert code == 1
    assert "20 rows without a prediction" in " ".join(printed.split())


def test_a_column_that_is_all_of_an_input_has_no_second_bar() -> None:
    # The input "caption" is needed for 0.3, and so is the only column of some input.
    one = explained(columns={"width": 0.3, "depth": 0.2})[0]
    assert [name for name, _ in bars_of(one)] == ["image", "cap<i>tion", "depth"]


def test_bars_of_all_rows_have_one_scale() -> None:
    rows = [
        Explanation(
            f"row {share}",
            of="mug",
            value=share,
            baseline=0.0,
            predicted="mug",
            inputs=pd.DataFrame(
                {"share": [share], "alone": [share], "needed": [share]}, index=["image"]
            ),
        )
        for share in (0.8, 0.2)
    ]
    drawn = page(Explanations(rows, pd.Index(["a", "b"]), "blank ones"), "Why")
    assert re.findall(r"style='width:([\d.]+)%'", drawn) == ["50.0", "12.5"]
