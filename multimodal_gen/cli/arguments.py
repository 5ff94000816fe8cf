"""Gives a command the options that select table, columns and rows, with their defaults.

A command names the options it takes, and gets their values as one mapping, `data`, with the fields
of `DataSettings`. Options that it does not take have their defaults there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from multimodal_gen.cli import image_options, many_options, option_values, options, text_options
from multimodal_gen.cli.option_words import (
    AugmentWord,
    BlankWord,
    MissingWord,
    TargetWord,
    TextWord,
)
from multimodal_gen.cli.settings import FRACTIONS, with_commas


class _Shared(NamedTuple):
    # The declaration of an option, its default, and the function that makes a setting of its value.
    declared: Any
    default: Any
    convert: Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


def _word(value: Any) -> str:
    return str(value.value)


def _columns(value: Any) -> tuple[str, ...]:
    return tuple(value or ())


_SHARED = {
    "image": _Shared(options.Image, None, _columns),
    "images": _Shared(many_options.Images, None, _columns),
    "caption": _Shared(options.Caption, None, _columns),
    "captions": _Shared(many_options.Captions, None, _columns),
    "item_separator": _Shared(many_options.ItemSeparator, None, _as_it_is),
    "number": _Shared(options.Number, None, _columns),
    "category": _Shared(options.Category, None, _columns),
    "date": _Shared(options.Date, None, _columns),
    "date_format": _Shared(options.DateFormat, None, _as_it_is),
    "missing": _Shared(options.Missing, BlankWord.ERROR, _word),
    "number_missing": _Shared(options.NumberMissing, MissingWord.ERROR, _word),
    "label": _Shared(options.Label, ["label"], _columns),
    "target": _Shared(options.Target, TargetWord.CLASS, _word),
    "separator": _Shared(options.Separator, None, _as_it_is),
    "directory": _Shared(options.Directory, None, option_values.folder_of_pictures),
    "split": _Shared(options.Split, None, _as_it_is),
    "split_names": _Shared(options.SplitNames, None, option_values.words),
    "fractions": _Shared(options.Shares, with_commas(FRACTIONS), option_values.shares),
    "group": _Shared(options.Group, None, _as_it_is),
    "image_size": _Shared(image_options.ImageSize, None, option_values.size_in_pixels),
    "image_encoder": _Shared(image_options.ImageEncoder, None, _as_it_is),
    "image_weights": _Shared(image_options.ImageWeights, None, _as_it_is),
    "also_pixels": _Shared(image_options.AlsoPixels, False, _as_it_is),
    "text": _Shared(text_options.TextMode, TextWord.NGRAMS, _word),
    "text_encoder": _Shared(text_options.TextEncoder, None, _as_it_is),
    "augment": _Shared(image_options.Augment, AugmentWord.DEFAULT, _word),
    "batch_size": _Shared(options.BatchSize, 64, _as_it_is),
    "seed": _Shared(options.Seed, 0, _as_it_is),
}
_INPUTS = (
    "image",
    "images",
    "caption",
    "captions",
    "item_separator",
    "number",
    "category",
    "date",
    "date_format",
    "missing",
    "number_missing",
)
_TARGET = ("label", "target", "separator")
_ROWS = ("directory", "split", "split_names", "fractions", "group")
# An audit has its own --split, which takes any words and has no shares to draw.
AUDITED = (*_INPUTS, *_TARGET, "directory", "image_size", "text")
PREVIEWED = (*_INPUTS, *_TARGET, *_ROWS, "image_size", "text", "augment", "seed")
# Numbers are not cached: reading one costs less than looking it up.
CACHED = (
    *("image", "images", "caption", "captions", "item_separator", "missing", *_TARGET, *_ROWS),
    *(
        "image_size",
        "image_encoder",
        "image_weights",
        "also_pixels",
        "text",
        "text_encoder",
        "augment",
        "seed",
    ),
)
TRAINED = tuple(_SHARED)


def takes(*names: str, **defaults: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command shared options instead of its parameter `data`.

    Args:
        names: The options, by their names in `DataSettings`.
        defaults: Defaults that differ from those of the other commands, by name.
    """
    defaults = {name: shared.default for name, shared in _SHARED.items()} | defaults

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        shown: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            # Keyword-only parameters may have a default before others without one.
            own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
            shown += (
                [_parameter(name, defaults[name]) for name in names]
                if parameter.name == "data"
                else own
            )

        def run(**given: Any) -> Any:
            values = {
                name: given.pop(name) if name in names else defaults[name] for name in _SHARED
            }
            data = {name: _SHARED[name].convert(value) for name, value in values.items()}
            # An encoder of any size has a default of its own.
            data["encoder_size"] = None if values["image_size"] is None else data["image_size"]
            return command(**given, data={"table": given["table"], **data})

        # The attributes that typer reads.
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        return run

    return decorate


def _parameter(name: str, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_SHARED[name].declared
    )
