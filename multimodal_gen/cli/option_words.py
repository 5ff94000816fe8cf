"""The words that options of the command line take."""

from __future__ import annotations

from enum import StrEnum


# Enums, so that --help lists the words and others are refused.
class TargetWord(StrEnum):
    """What --target may be."""

    CLASS = "class"
    NUMBER = "number"
    LABELS = "labels"


class AugmentWord(StrEnum):
    """What --augment may be."""

    NONE = "none"
    DEFAULT = "default"
    STRONG = "strong"


class FusionWord(StrEnum):
    """What --fusion may be."""

    JOINT = "joint"
    CONCAT = "concat"
    GATED = "gated"
    LATE = "late"
    MATCH = "match"
    ATTEND = "attend"


class FormatWord(StrEnum):
    """What --format may be."""

    ONNX = "onnx"
    SAVED_MODEL = "saved_model"
    LITERT = "litert"


class BlankWord(StrEnum):
    """What --missing may be."""

    ERROR = "error"
    BLANK = "blank"


class MissingWord(StrEnum):
    """What --number-missing may be."""

    ERROR = "error"
    MEAN = "mean"
    FLAG = "flag"


class OnErrorWord(StrEnum):
    """What --on-error may be."""

    RAISE = "raise"
    SKIP = "skip"


class TextWord(StrEnum):
    """What --text may be."""

    NGRAMS = "ngrams"
    TOKENS = "tokens"
    ENCODER = "encoder"
