"""Errors that pass through frames with secrets, and must be handed on as they are."""

from __future__ import annotations

import traceback


def forget(error: BaseException) -> None:
    """Empty the variables of every frame that an error, or one that hangs on it, has left.

    For errors that somebody else makes: the disk, a callback, Ctrl-C.  They come from the innermost
    loop; the caller gets them with their traceback, and whatever prints it with its variables finds none
    of ours.  The frame that calls this is still running and keeps its own.
    """
    seen: set[int] = set()
    left = [error]
    while left:
        found = left.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        traceback.clear_frames(found.__traceback__)
        left += [other for other in (found.__context__, found.__cause__) if other is not None]
