from typing import Any

MAX_SIDE: int

def multiply(
    matrix: Any,
    inputs: list[Any],
    outputs: list[Any],
    accumulate: bool,
    backend: int,
    begin: int,
    end: int,
) -> None: ...
