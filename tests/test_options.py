"""The declarations of the command line's options, which hold with every version of typer that
setup.cfg allows.
"""

from __future__ import annotations

import inspect
from typing import Annotated, get_args, get_type_hints

import typer
from typer.models import OptionInfo

from multimodal_gen.cli.app import app


def _options(one: typer.Typer) -> list[tuple[str, str, OptionInfo]]:
    found = []
    for command in one.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            found += [
                (command.callback.__name__, name, part)
                for part in get_args(hint)
                if isinstance(part, OptionInfo)
            ]
    return found


def _endangered(found: list[tuple[str, str, OptionInfo]]) -> list[str]:
    return [
        f"{command} --{name}"
        for command, name, option in found
        # In an annotation typer has the first flag in the place of the default.
        if option.metavar == name.upper() and not str(option.default).startswith("--")
    ]


def test_an_option_whose_metavar_is_its_own_name_declares_its_flag() -> None:
    found = _options(app)
    assert len(found) > 50
    assert not _endangered(found)


def test_the_look_at_options_finds_one_that_typer_027_would_lose() -> None:
    strange = typer.Typer()

    @strange.command()
    def paint(colour: Annotated[str, typer.Option(metavar="COLOUR")] = "red") -> None:
        del colour

    assert inspect.signature(paint).parameters
    assert _endangered(_options(strange)) == ["paint --colour"]
