"""Say whether this environment has exactly the lowest versions that pyproject.toml allows: ``make lowest``.

An installer that leaves one out would make a run with the newest versions look like one with the lowest.
"""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
wrong = []
for requirement in project["project"]["dependencies"]:
    name, bound = re.match(r"([\w.-]+)>=([\d.]+)", requirement).groups()
    version = importlib.metadata.version(name)
    print(f"{name:24} {version}")
    if version != bound and not re.fullmatch(re.escape(bound) + r"(\.0)+", version):
        wrong.append(f"{name}: {bound} expected, {version} is here")
if wrong:
    sys.exit("\n".join(wrong))
