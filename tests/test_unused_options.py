"""Options of `train` that would be accepted and then not used are refused."""

from __future__ import annotations

from typing import Any

import pytest

from multimodal_gen.cli.settings import RunSettings
from tests.cli_settings import settings

OTHERS = (0.6, 0.2, 0.2)


def run_settings(**more: Any) -> RunSettings:
    own = {"folder": "run", "fusion": "joint", "positive": None, "epochs": 1, "ablate": False}
    return RunSettings(**vars(settings()) | own | more)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folds": 5, "fractions": OTHERS}, "--folds divides all rows.*0.6,0.2,0.2"),
        ({"split": "part", "fractions": OTHERS}, "column 'part' names their parts.*0.6,0.2,0.2"),
        ({"cache_limit": 5000}, "name its folder with --cache, or.*--cache-limit of 5,000 bytes"),
    ],
)
def test_an_option_that_another_one_leaves_unused_is_refused(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        run_settings(**changes)


def test_options_that_are_used_are_accepted() -> None:
    assert run_settings(folds=5).fractions == (0.7, 0.1, 0.2)
    assert run_settings(fractions=OTHERS).fractions == OTHERS
    assert run_settings(cache="kept", cache_limit=500).cache_limit == 500
