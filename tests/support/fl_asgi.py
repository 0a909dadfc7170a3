"""Requests straight to an ASGI application: any method, path, headers and pieces, as no client sends them."""

import asyncio
import random
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import unquote

DOCUMENTED = {200, 202, 400, 403, 404, 405, 408, 409, 410, 411, 413, 429, 431, 503, 507}
"""``docs/fl-http.md``; 500 is not among them."""

_ADDRESSES = count(1)


@dataclass
class Asked:
    """One request."""

    method: str
    path: bytes
    headers: list = field(default_factory=list)
    pieces: list = field(default_factory=list)


async def ask(app, asked, *, length=True):
    """Status, headers and body of the answer; each request is from an address of its own.

    Args:
        app: The application.
        asked: The request.
        length: Say how long the body is, unless the headers do.
    """
    path, _, query = asked.path.partition(b"?")
    headers = list(asked.headers)
    if length and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(sum(map(len, asked.pieces))).encode()))
    number = next(_ADDRESSES)
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": asked.method, "scheme": "http", "path": unquote(path.decode("latin-1")), "raw_path": path,
        "query_string": query, "root_path": "", "headers": headers, "server": ("service", 80),
        "client": (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 4711),
    }  # fmt: skip
    pieces, answer = list(asked.pieces), []

    whole = []

    async def receive():
        if whole:  # as a server: the next that it could tell is that the other side has gone
            await asyncio.Event().wait()
        body = pieces.pop(0) if pieces else b""
        if not pieces:
            whole.append(True)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def send(message):
        answer.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in answer[1:])
    return answer[0]["status"], dict(answer[0]["headers"]), body


def mutate(choose, body, others):
    """An honest body with a few bytes changed, cut, put in, or spliced with another; drawn by ``choose``."""
    body = bytearray(body)
    for _ in range(choose.randint(1, 4)):
        kind, at = choose.randrange(5), choose.randrange(len(body) + 1)
        if choose.random() < 0.5:  # the first bytes hold structure: tags, lengths, versions
            at = min(at, choose.randrange(64))
        if kind == 0 and body:
            body[at % len(body)] ^= 1 << choose.randrange(8)
        elif kind == 1:
            del body[at : at + choose.randrange(1, 64)]
        elif kind == 2:
            body[at:at] = choose.randbytes(choose.randrange(1, 64))
        elif kind == 3:
            body[at:] = choose.choice(others)[at:]
        else:
            body[at : at + 4] = choose.choice([0, 1, 255, 1 << 16, (1 << 32) - 1]).to_bytes(4, "big")
    return bytes(body)


def seeded(name):
    """The mutator's randomness: the same for every run."""
    return random.Random(f"20261129 {name}")
