from typing_extensions import Buffer

MAX_SIDE: int

def multiply(
    matrix: Buffer, inputs: list[Buffer], outputs: list[Buffer], accumulate: bool, backend: int
) -> None: ...
