"""JSON from outside, read by the standard library within a depth.

``json.loads`` nests as deep as the interpreter's limit of recursion allows.  Packages raise that limit for
the whole process (py_ecc does, to 100,000), and a document of so many brackets then ends it.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, Final

MAX_DEPTH: Final = 64

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def loads(data: bytes) -> Any:
    """What a document says.

    Args:
        data: UTF-8.

    Raises:
        ValueError: No JSON, or nested deeper than 64.
    """
    text = data.decode("utf-8")
    brackets = re.findall(r"[\[\]{}]", _STRING.sub("", text))
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise ValueError(f"JSON: nested deeper than {MAX_DEPTH}")
    return json.loads(text)
