"""Spoils what is right: bytes, and values in JSON.

Everything follows from the random generator that is handed in.
"""

from __future__ import annotations

import copy
import json
import random
from typing import Any

# Numbers on which lengths, sizes and counts go wrong.
_NUMBERS = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    10**30,
)
_CLASSES = ({"class_name": "Lambda", "config": {}}, {"class_name": "os.system", "config": {}})
_TEXTS = ("", "x", "\0", "../x", "/etc/passwd", "x" * 10_000)
_VALUES: tuple[Any, ...] = (
    *(*_NUMBERS, -1, -(2**31), 1.5, 1e308, 1e400, float("nan"), True, False, None),
    *(*_TEXTS, [], {}, [[]], [None], *_CLASSES),
)


def spoil_bytes(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """One to eight changes: bits, bytes, numbers, and parts cut, doubled, moved, or taken from
    another content.
    """
    data = bytearray(content)
    for _ in range(2 ** rng.randrange(4)):
        # Headers are at the front, and worth more.
        reach = rng.choice((32, 512, len(data))) or 1
        at = rng.randrange(min(reach, len(data)) or 1)
        size = rng.choice((1, 2, 4, rng.randrange(1, 64)))
        match rng.randrange(8):
            case 0 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at] = rng.randrange(256)
            case 2:
                width = rng.choice((1, 2, 4, 8))
                number = rng.choice(_NUMBERS) % 256**width
                data[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = data[at : at + size] * rng.choice((1, 2, 100))
            case 5:
                data = data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data
            case 6:
                other = rng.choice(others)
                start = rng.randrange(len(other) or 1)
                data[at : at + size] = other[start : start + size]
            case 7:
                data[at : at + size] = rng.randbytes(size)
    return bytes(data)


def spoil_json(text: bytes, rng: random.Random) -> bytes:
    """One to four values replaced, removed, doubled or moved elsewhere."""
    value = {"": json.loads(text)}
    for _ in range(2 ** rng.randrange(3)):
        places = list(_places(value))
        owner, key = rng.choice(places)
        match rng.randrange(5):
            case 0 | 1:
                owner[key] = copy.deepcopy(rng.choice(_VALUES))
            case 2 if isinstance(owner, dict) and key != "":
                del owner[key]
            case 3:
                other, name = rng.choice(places)
                if name in other if isinstance(other, dict) else name < len(other):
                    owner[key] = json.loads(json.dumps(other[name]))
            case 4 if isinstance(owner, dict):
                owner[rng.choice(("class_name", "config", "module", "directory", "x"))] = (
                    copy.deepcopy(rng.choice(_VALUES))
                )
    return json.dumps(value.get("")).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [value]
    while waiting:
        owner = waiting.pop()
        for key in owner if isinstance(owner, dict) else range(len(owner)):
            found.append((owner, key))
            if isinstance(owner[key], dict | list):
                waiting.append(owner[key])
    return found
