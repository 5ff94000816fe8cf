"""Letters of every script are drawn with a font that has them, or shown as code points that say
which letters they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from test_plots import assert_texts_lie_inside_and_apart, png_of, texts_of

import multimodal_gen as mg
from multimodal_gen.cli.results import _name_units
from multimodal_gen.inspection import letters
from multimodal_gen.inspection.layout import Card, draw_cards
from multimodal_gen.inspection.letters import NO_FONT, fonts, lacks_letters, readable

# Of scripts that matplotlib's own font lacks, in the private use area as no machine has a font for
# these.
ALIEN = "\ue123\ue124"


def make_font(path: Path, family: str, characters: str) -> Path:
    """A font whose letters are solid squares."""
    names = [".notdef", "space", *(f"u{ord(one):04X}" for one in characters)]
    pen = TTGlyphPen(None)
    for place, point in enumerate([(50, 0), (50, 700), (750, 700), (750, 0)]):
        (pen.lineTo if place else pen.moveTo)(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(
        {32: "space", **dict(zip(map(ord, characters), names[2:], strict=True))}
    )
    empty = TTGlyphPen(None).glyph()
    builder.setupGlyf({name: pen.glyph() if name in names[2:] else empty for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWeightClass=400)
    builder.setupPost()
    builder.save(path)
    return path


def forget() -> None:
    for one in (letters._others, letters._letters_of, letters._drawable):
        one.cache_clear()
    letters._needed.clear()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files of the machine's fonts, to which a test may add; at first only matplotlib's own."""
    files: list[str] = []
    manager = font_manager.fontManager
    own = [font for font in manager.ttflist if font.name.startswith("DejaVu Sans")]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    forget()
    manager._findfont_cached.cache_clear()
    yield files
    forget()
    manager._findfont_cached.cache_clear()


def batch_of(captions: list[str], labels: list[str]) -> mg.MultimodalSequence:
    table = pd.DataFrame({"caption": captions, "label": labels})
    loader = mg.TextLoader.from_texts("caption", table["caption"], output_mode="ngrams")
    target = mg.ClassLabel.from_values("label", table["label"])
    return mg.MultimodalSequence(table, {"caption": loader}, target, batch_size=4)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ümläut € ✓", "plain, ümläut € ✓"),
        ("go \U0001f680\ufe0f now\n中", "go [rocket] now [U+4E2D]"),
        ("赤いマグ x 빨간", "[U+8D64 3044 30DE 30B0] x [U+BE68 AC04]"),
        # A vowel sign stays with its letter, and half a surrogate pair has no font at all.
        ("मेज", "[U+092E 0947 091C]"),
        ("half \ud83d", "half [U+D83D]"),
        ("字" * 20, "[U+" + " ".join(["5B57"] * 12) + " and 8 more]"),
        ("bell \x07", "bell "),
    ],
)
def test_letters_that_no_font_has_are_code_points(
    text: str, shown: str, machine: list[str]
) -> None:
    assert readable(text) == shown
    assert lacks_letters(text) == ("U+" in shown)
    assert fonts() == ["DejaVu Sans"]


def test_a_font_that_was_installed_after_matplotlib_first_ran_is_found_and_drawn_with(
    machine: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine += [
        str(make_font(tmp_path / "last.ttf", "LastResort Everything", "猫犬中")),
        str(make_font(tmp_path / "square.ttf", "Square Letters", "猫犬")),
        str(make_font(tmp_path / "thai.ttf", "Another Script", "แมว")),
        str(tmp_path / "no-font.ttf"),
    ]
    Path(machine[-1]).write_bytes(b"not a font")
    assert readable("猫 แมว 中") == "猫 แมว [U+4E2D]"
    assert fonts() == ["DejaVu Sans", "Another Script", "Square Letters"]
    figure = mg.show_batch(batch_of(["猫", "x", "y", "z"], ["犬", "b", "c", "d"]))
    assert_texts_lie_inside_and_apart(figure)
    assert not any("code points" in text for text in texts_of(figure))
    # The square of a letter: seven tenths of its size on each side, all ink, in bold letters too.
    ink = (png_of(figure) < 100).all(axis=-1)
    solid = np.lib.stride_tricks.sliding_window_view(ink, (6, 6)).all(axis=(2, 3))
    assert solid.sum() >= 2
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_pictures_say_that_letters_are_shown_as_code_points(machine: list[str]) -> None:
    captions = [f"a {ALIEN} mug", "one", "two", "three"]
    figure = mg.show_batch(batch_of(captions, ["a", "b", ALIEN, "c"]))
    shown = " ".join(texts_of(figure))
    assert NO_FONT in shown and "a [U+E123 E124] mug" in shown
    assert_texts_lie_inside_and_apart(figure)
    confusion = mg.plot_confusion([ALIEN, "b"], ["b", "b"], [ALIEN, "b"])
    assert "code points" in " ".join(texts_of(confusion))
    assert_texts_lie_inside_and_apart(confusion)
    assert NO_FONT not in " ".join(texts_of(mg.show_batch(batch_of(["a mug"] * 4, list("abcd")))))
    # Letters that stand only in the title count too, as the name of a column of numbers does.
    title = " ".join(texts_of(draw_cards([Card(texts=[("a", "black", "normal")])], 1, ALIEN)))
    assert title.startswith("[U+E123 E124]. ") and "code points" in title


def test_names_of_targets_and_units_on_curves_are_drawn_like_all_texts(
    machine: list[str], tmp_path: Path
) -> None:
    machine.append(str(make_font(tmp_path / "square.ttf", "Square Letters", "价格")))
    figure = mg.plot_history({"loss": [2.0, 1.0], f"价格{ALIEN}_loss": [2.0, 1.0]})
    _name_units(figure, "价格 in $ or $")
    # What the font lacks would be a warning, and so an error, here.
    png_of(figure)
    shown = texts_of(figure)
    assert "价格[U+E123 E124] loss" in shown and "in squared 价格 in $ or $" in shown
