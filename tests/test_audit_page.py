"""The page of an audit and its command: nothing of the table becomes markup, and nothing is lost on
the way.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_audit import SILENT, shop
from test_cli import assert_refused, call

import multimodal_gen as mg
from multimodal_gen.cli.part_checks import warn_of_leakage
from multimodal_gen.inspection.audit.writing import CleanTable

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'--><style>"


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_captions_labels_columns_and_names_of_files_are_never_markup(tmp_path: Path) -> None:
    table = shop(tmp_path)
    name = "images/<script>alert(1)<∕script>.jpg"
    Image.new("RGB", (60, 80), (9, 9, 9)).save(tmp_path / name)
    table.loc["row-0", ["image", "caption", "label"]] = [name, ATTACK, ATTACK]
    table.loc["row-1", "image"] = f"images/{ATTACK}.jpg"
    table = table.rename(index={"row-0": ATTACK}, columns={"caption": ATTACK})
    inputs = {
        "image": mg.ImageLoader("image", directory=tmp_path, image_size=(16, 16)),
        "text": mg.TextLoader.from_texts(ATTACK, table[ATTACK]),
    }
    report = mg.audit(
        table, inputs, mg.ClassLabel.from_values("label", table["label"]), split="split", **SILENT
    )
    report.write_page(tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    names = {tag for tag, _ in page.tags}
    assert "script" not in names and names <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "h1",
            "h2",
            "p",
            "table",
            "tr",
            "td",
            "a",
            "ul",
            "li",
        ),
        *("div", "img", "b", "code"),
    }
    assert all(
        one["src"].startswith("data:image/jpeg;base64,") for tag, one in page.tags if tag == "img"
    )
    assert not any(key.startswith("on") for _, one in page.tags for key in one)
    assert any(ATTACK in text for text in page.texts)
    assert sum(tag == "style" for tag, _ in page.tags) == 1


def test_the_page_shows_pictures_counts_and_copies_side_by_side(tmp_path: Path) -> None:
    table = shop(tmp_path)
    table.loc["row-3", "image"] = table.loc["row-1", "image"]
    table.loc["row-5", "image"] = "images/gone.jpg"
    inputs = {"image": mg.ImageLoader("image", directory=tmp_path, image_size=(16, 16))}
    report = mg.audit(table, inputs, **SILENT)
    report.write_page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "3 problems in 24 rows" in text and "no picture" in text
    assert text.count("class='group'") == 1 and text.count("data:image/jpeg") == 2
    assert "index &#x27;row-3&#x27;" in text and "http:" not in text and "https:" not in text
    assert (
        str(report).splitlines()[0] == "3 problems in 24 rows"
        and repr(report) == "Audit(3 problems in 24 rows)"
    )


def test_the_page_says_missing_and_shows_names_of_arguments_as_code(tmp_path: Path) -> None:
    table = shop(tmp_path).astype(object)
    table.loc["row-3", "caption"], table.loc["row-4", "caption"] = float("nan"), None
    table.loc["row-5", "caption"], table.loc["row-6", "caption"] = 7, "`a <b>`"
    table.loc["row-6", "image"] = "images/gone.jpg"
    inputs = {
        "image": mg.ImageLoader("image", directory=tmp_path, image_size=(16, 16)),
        "caption": mg.TextLoader.from_texts("caption", ["a red mug"]),
    }
    report = mg.audit(table, inputs, **SILENT)
    report.write_page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert (
        text.count("<b>caption</b> (missing)") == 2 and "nan" not in text and "None</" not in text
    )
    assert "<code>missing=&quot;blank&quot;</code>" in text
    # What the table has between backticks is its own.
    assert "<b>caption</b> `a &lt;b&gt;`" in text


def test_naughty_strings_pass_through_without_loss(real_data: Path, tmp_path: Path) -> None:
    lines = (real_data / "naughty_strings.txt").read_text("utf-8").split("\n")
    strings = [line for line in lines if line and not line.startswith("#")]
    (tmp_path / "images").mkdir()
    files = []
    for row, text in enumerate(strings):
        name = f"images/{row} {text.replace('/', '∕')[:40]}.png".replace("\0", "")
        Image.effect_noise((24, 24), 60 + row % 50).save(tmp_path / name)
        files.append(name)
    column = strings[-1]
    # A blank label is a missing one.
    labels = [text if text.strip() else f"blank {row}" for row, text in enumerate(strings)]
    table = pd.DataFrame({"image": files, column: strings, "label": labels})
    inputs = {
        "image": mg.ImageLoader("image", directory=tmp_path, image_size=(16, 16)),
        "text": mg.TextLoader.from_texts(column, table[column]),
    }
    names = sorted(set(labels))
    report = mg.audit(table, inputs, mg.ClassLabel("label", names), **SILENT)
    assert not set(report.counts) & {"unreadable", "corrupt", "unseen label"}
    assert set(report.problems.loc[report.problems["kind"] == "missing", "column"]) == set()
    report.write_page(tmp_path / "page.html")
    report.write_problems(tmp_path / "problems.csv")
    again = pd.read_csv(tmp_path / "problems.csv", keep_default_na=False)
    assert again["message"].tolist() == report.problems["message"].tolist()
    assert Page((tmp_path / "page.html").read_text("utf-8")).tags[-1][0] in (
        "div",
        "b",
        "li",
        "img",
    )
    for suffix in (".jsonl", ".parquet", ".csv", ".tsv"):
        CleanTable(tmp_path, table, tmp_path / f"out{suffix}").write(np.ones(len(table), bool))
        back = mg.read_table(tmp_path / f"out{suffix}")
        assert (
            back[column].tolist() == strings and back.columns.tolist() == table.columns.tolist()
        ), suffix


def test_the_command_writes_its_files_and_ends_with_1_where_there_are_problems(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path)
    table.loc["row-5", "image"] = "images/gone.jpg"
    table.to_csv(tmp_path / "shop.csv", index=False)
    columns = (
        "--image",
        "image",
        "--caption",
        "caption",
        "--split",
        "split",
        "--out",
        tmp_path / "out",
    )
    code, printed, errors = call(
        "audit", tmp_path / "shop.csv", *columns, "--drop", tmp_path / "clean.jsonl"
    )
    assert (code, errors) == (1, "")
    assert "12 train, 12 test" in printed and "1 problem in 24 rows" in printed
    problems = pd.read_csv(tmp_path / "out" / "problems.csv")
    assert problems[["index", "column", "kind"]].values.tolist() == [[5, "image", "missing"]]
    assert (tmp_path / "out" / "audit.html").read_text("utf-8").startswith("<!doctype html>")
    clean = mg.read_table(tmp_path / "clean.jsonl")
    assert len(clean) == 23 and clean["caption"].tolist() == table["caption"].drop("row-5").tolist()
    code, printed, _ = call("audit", tmp_path / "clean.jsonl", *columns)
    assert code == 0 and "0 problems in 23 rows" in printed


def test_what_training_takes_for_blank_is_no_problem_and_duplicates_come_as_a_column(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path)
    table.loc["row-3", "caption"] = None
    table.loc["row-7", "image"] = table.loc["row-6", "image"]
    table.loc["row-7", "label"] = table.loc["row-6", "label"]
    table.loc["row-7", "caption"] = "another view of it"
    table.to_csv(tmp_path / "shop.csv", index=False)
    arguments = (
        "--image",
        "image",
        "--caption",
        "caption",
        "--out",
        tmp_path / "out",
        "--drop",
        tmp_path / "clean.csv",
    )
    _, printed, _ = call("audit", tmp_path / "shop.csv", *arguments)
    assert len(mg.read_table(tmp_path / "clean.csv")) == 23
    columns = ("--missing", "blank", "--group-column", "copies")
    code, printed, _ = call("audit", tmp_path / "shop.csv", *arguments, *columns)
    assert code == 1 and "caption: 1 row has no value, and is blank in training" in " ".join(
        printed.split()
    )
    assert set(pd.read_csv(tmp_path / "out" / "problems.csv")["kind"]) == {"duplicate"}
    clean = mg.read_table(tmp_path / "clean.csv")
    assert (
        len(clean) == 24
        and clean["copies"][6] == clean["copies"][7]
        and clean["copies"].nunique() == 23
    )
    elsewhere = [
        tmp_path / "again.csv" if one == tmp_path / "clean.csv" else one for one in arguments
    ]
    assert_refused(
        call("audit", tmp_path / "clean.csv", *elsewhere, *columns),
        "The table already has this column",
    )
    assert_refused(
        call("audit", tmp_path / "shop.csv", "--image", "image", *columns),
        "--group-column needs --drop",
    )


def test_what_the_warning_of_copies_in_given_parts_advises_takes_them_out_of_training(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path)
    training = table.index[table["split"] == "train"][0]
    tested = table.index[table["split"] != "train"][0]
    os.link(tmp_path / table.loc[training, "image"], tmp_path / "images" / "copy.jpg")
    table.loc[tested, "image"] = "images/copy.jpg"
    parts = [table[table["split"] == name] for name in ("train", table.loc[tested, "split"])]
    with pytest.warns(
        mg.LeakageWarning, match="`multimodal-gen audit --drop FILE`, with the same `--split`"
    ):
        warn_of_leakage(parts, ["image"], str(tmp_path), given=True)
    table.to_csv(tmp_path / "shop.csv", index=False)
    files = ("--out", tmp_path / "out", "--drop", tmp_path / "clean.csv")
    call("audit", tmp_path / "shop.csv", "--image", "image", "--split", "split", *files)
    clean = mg.read_table(tmp_path / "clean.csv")
    assert table.loc[training, "image"] not in set(clean["image"])
    assert "images/copy.jpg" in set(clean["image"])
    warn_of_leakage(
        [clean[clean["split"] == one] for one in clean["split"].unique()], ["image"], str(tmp_path)
    )


def test_wrong_words_to_the_command_are_one_sentence(tmp_path: Path) -> None:
    shop(tmp_path).to_csv(tmp_path / "shop.csv", index=False)
    start = ("audit", tmp_path / "shop.csv", "--caption", "caption", "--out", tmp_path / "out")
    assert_refused(call(*start, "--drop", "x.xlsx"), "--drop must end in one of .csv")
    assert_refused(call(*start, "--ignore", "blurry"), "--ignore must contain kinds of problems")
    assert_refused(call(*start, "--split", "part"), "no such column.* Received: --split part")


@pytest.mark.skipif(sys.platform == "win32", reason="sends the signal of Ctrl-C")
def test_ctrl_c_says_where_the_audit_goes_on_from(tmp_path: Path) -> None:
    table = pd.concat([shop(tmp_path)] * 400, ignore_index=True)
    table.to_csv(tmp_path / "shop.csv", index=False)
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from multimodal_gen.cli import main; main()"
    state = tmp_path / "out" / "state.bin"
    line = [sys.executable, "-c", code, "audit", str(tmp_path / "shop.csv"), "--image", "image"]
    line += ["--out", str(tmp_path / "out")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=dict(os.environ), **pipes) as process:
        until = time.monotonic() + 60
        while not (state.exists() and state.stat().st_size > 100_000) and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "Stopped.\n")
    assert "the same command resumes from there" in " ".join(printed.split())
    header = json.loads(state.read_bytes()[:256])
    assert (
        header["file"] == "multimodal_gen audit"
        and not (tmp_path / "out" / "problems.csv").exists()
    )
