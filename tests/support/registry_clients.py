"""A process of its own that spends a quota: ``registry_clients.py PATH FIRST LAST`` with one JSON line out.

It waits for a line on its input before it begins, so that several begin together.
"""

import json
import sys

from sottovoce.clsc import IssueError
from sottovoce.clsc.sqlite_registry import SqliteRegistry
from support.clsc_stores import account, entry


def main(path, first, last):
    print("ready", flush=True)
    sys.stdin.readline()
    answered, refused = [], 0
    with SqliteRegistry(path) as registry:
        try:
            registry.enrol(account("a", 5))
            enrolled = True
        except IssueError:
            enrolled = False
        for i in range(first, last):
            try:
                answered.append(
                    registry.record(entry("a", i, answer=b"%d by %d" % (i, first))).answer.decode()
                )
            except IssueError:
                refused += 1
        challenge = registry.new_challenge()
        used = registry.use_challenge(challenge)
    print(json.dumps({"enrolled": enrolled, "answered": answered, "refused": refused, "used": used}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
