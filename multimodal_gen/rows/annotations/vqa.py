"""Questions about pictures with their answers, in the two .json files of VQA
(https://visualqa.org/download.html).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.errors import TableError, shown
from multimodal_gen.rows.annotations.noting import Found, need
from multimodal_gen.rows.annotations.sections import Sections, read_sections
from multimodal_gen.rows.annotations.source import Format, Source

_QUESTION = ("question_id", "image_id", "question")
_ANSWER = ("question_id", "multiple_choice_answer")
# What tells the names of the two files of a pair apart, as in
# v2_OpenEnded_mscoco_val2014_questions.json and v2_mscoco_val2014_annotations.json.
_APART = re.compile("openended|multiplechoice|questions|annotations|[^a-z0-9]")


def _has_questions(sections: Sections) -> bool:
    return set(_QUESTION) <= sections.columns("questions")


def _has_answers(sections: Sections) -> bool:
    return set(_ANSWER) <= sections.columns("annotations")


def _fits(source: Source) -> bool:
    return _has_questions(source.json) or _has_answers(source.json)


def _read(source: Source) -> Found:
    # A row per question, in the order of their file.
    own = source.sections
    if "questions" in own.tables:
        questions, answers = own, _beside(source.path, "annotations")
    else:
        need(own.tables, ["annotations"], "A file of VQA without questions")
        answers = own
        other = _beside(source.path, "questions")
        if other is None:
            raise TableError(
                "These are the answers; the questions are in another file, which must lie in the "
                "same folder and be called alike, as v2_mscoco_val2014_annotations.json and "
                "v2_OpenEnded_mscoco_val2014_questions.json are."
            )
        questions = other
    need(questions.columns("questions"), _QUESTION, "The list 'questions' of VQA")
    rows = questions.tables["questions"]
    _check_ids(rows, "questions")
    rows.insert(0, "image", [_file_of(questions, one) for one in rows["image_id"].tolist()])
    rows.insert(1, "question", rows.pop("question"))
    found = Found(rows)
    found.blanks("question", "entry")
    if answers is None:
        subset = str(questions.values.get("data_subtype", ""))
        said = "there are no answers"
        if subset.startswith("test"):
            found.notes.append(f"{said}, as in the files of a test")
        else:
            found.problems.append(f"{said}, as no file of answers is beside this one")
        return found
    need(answers.columns("annotations"), _ANSWER, "The list 'annotations' of VQA")
    _add_answers(found, answers.tables["annotations"])
    return found


def _add_answers(found: Found, answers: pd.DataFrame) -> None:
    _check_ids(answers, "annotations")
    rows = found.table
    at = np.asarray(pd.Index(answers["question_id"]).get_indexer(pd.Index(rows["question_id"])))
    answers = answers.rename(columns={"multiple_choice_answer": "answer"})
    if "answers" in answers:
        answers["answers"] = [_texts(one) for one in answers["answers"].tolist()]
    taken = answers.reindex(at).reset_index(drop=True)
    rows.insert(2, "answer", taken["answer"])
    for name in taken.columns:
        if name not in rows:
            rows[name] = taken[name]
    first = rows["question_id"].iloc[np.flatnonzero(at < 0)[:3]].tolist()
    found.problem(int((at < 0).sum()), "question", "has no answer", "have no answer", first)
    left = np.setdiff1d(np.arange(len(answers)), at)
    found.problem(
        len(left),
        "answer",
        "is to no question of the file and is left out",
        "are to no question of the file and are left out",
        answers["question_id"].iloc[left[:3]].tolist(),
    )


def _texts(answers: Any) -> Any:
    # The ten answers that people gave, without how sure they were.
    if not isinstance(answers, list):
        return answers
    return [one.get("answer") if isinstance(one, dict) else one for one in answers]


def _check_ids(rows: pd.DataFrame, name: str) -> None:
    twice = rows["question_id"].duplicated()
    if twice.any():
        entry = int(twice.argmax())
        raise TableError(
            f"Entry {entry + 1:,} of {name!r} has the question_id of another entry: "
            f"{shown(rows['question_id'].tolist()[entry])}. Remove one of them."
        )


def _beside(path: Path, name: str) -> Sections | None:
    # The other file of a pair: that of the same name but for the words that tell them apart.
    alike = [
        one
        for one in sorted(path.parent.glob("*.json"))
        if one != path and name in one.name.lower() and _stem(one) == _stem(path)
    ]
    if len(alike) > 1:
        raise TableError(
            f"Several files of {name} could belong to this one: {[one.name for one in alike]}. "
            "Move the others elsewhere."
        )
    return read_sections(alike[0]) if alike else None


def _stem(path: Path) -> str:
    return _APART.sub("", path.stem.lower())


def _file_of(questions: Sections, image_id: Any) -> str:
    # The name of a picture follows from the set that the whole file is about.
    kind = str(questions.values.get("data_type"))
    # Both parts of a test are about the same pictures.
    subset = str(questions.values.get("data_subtype")).replace("test-dev", "test")
    made = {"mscoco": ("COCO", "jpg"), "abstract_v002": ("abstract_v002", "png")}.get(kind)
    if made is None or not isinstance(image_id, int) or "data_subtype" not in questions.values:
        raise TableError(
            "The names of the pictures cannot be told: they follow from 'data_type', which must be "
            "'mscoco' or 'abstract_v002', 'data_subtype', and the numbers of the pictures. Make "
            "the table with `pd.DataFrame(json.load(open(path))['questions'])` and add its column "
            f"`image`. Received: data_type={kind!r}, data_subtype={subset!r}, "
            f"image_id={shown(image_id)}"
        )
    return f"{made[0]}_{subset}_{image_id:012d}.{made[1]}"


FORMATS = (Format("vqa", "VQA questions and answers", _fits, _read),)
