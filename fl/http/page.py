"""The one page for people: where the round is.  No script, nothing from elsewhere; every text is escaped."""

from __future__ import annotations

import time
from html import escape
from typing import Final

from .status import RoundStatus

REFRESH_S: Final = 3
CONTENT_SECURITY_POLICY: Final = "; ".join(
    ["default-src 'none'", "style-src 'unsafe-inline'", "base-uri 'none'", "form-action 'none'",
     "frame-ancestors 'none'"]
)  # fmt: skip

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #fbfaf8; --text: #22211f; --faint: #6b6862; --line: #dedad2;
  --bar: #2f6f5e; --rest: #e6e2da; --warn: #9a3b1f; }
@media (prefers-color-scheme: dark) { :root { --ground: #191a1b; --text: #e8e6e1; --faint: #a19d95;
  --line: #35363a; --bar: #6cbfa6; --rest: #2c2e31; --warn: #f0906f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); line-height: 1.5;
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.5rem; font-weight: 600; margin: 0 0 .25rem; }
h2 { font-size: 1rem; font-weight: 600; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; }
table + p { margin-top: 1.5rem; }
.faint { color: var(--faint); }
.error { color: var(--warn); }
.bar { position: relative; height: .9rem; border-radius: .45rem; background: var(--rest); overflow: hidden;
  margin: 1rem 0 .4rem; }
.bar span { display: block; height: 100%; background: var(--bar); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr));
  gap: 1rem; margin: 1.5rem 0 0; }
.facts dt { color: var(--faint); font-size: .875rem; }
.facts dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; }
td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td:last-child { text-align: right; font-variant-numeric: tabular-nums; padding-right: 0; }
code { font: .8125rem/1.4 ui-monospace, monospace; }
"""


def page(status: RoundStatus, name: str, now: float) -> str:
    """The page as HTML.

    Args:
        status: What it shows.
        name: The aggregator's.
        now: Unix seconds.
    """
    share = 0.0 if not status.needed else min(1.0, status.accepted / status.needed)
    percent = round(100 * share)
    error = f'<p class="error" id="error">{escape(status.error)}</p>' if status.error else ""
    facts = [
        ("accepted", f"{status.accepted:,}"),
        ("refused", f"{sum(status.refused.values()):,}"),
        ("shards", f"{status.shards:,}"),
        ("received", _bytes(status.n_bytes)),
        ("rounds finished", f"{status.results:,}"),
    ]
    listed = "".join(
        f'<div><dt>{escape(what)}</dt><dd id="{what.replace(" ", "-")}">{escape(value)}</dd></div>'
        for what, value in facts
    )
    digest = f'<p class="faint">Header <code id="header">{escape(status.header_hash)}</code></p>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{REFRESH_S}">
<title>Round {status.round_number}: {escape(status.state)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Round <span id="round">{status.round_number}</span>: <span id="state">{escape(status.state)}</span></h1>
<p class="faint">Aggregator {escape(name)}</p>
{error}
<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}"
 aria-label="contributors of those needed"><span style="width: {percent}%"></span></div>
<p><span id="progress">{status.accepted:,} of {status.needed:,}</span> contributors needed,
 at most {status.most:,}</p>
<p id="times">{_times(status, now)}</p>
<dl class="facts">{listed}</dl>
<h2>Members</h2>
{_table("members", [(who, what) for who, what in status.members.items()], "No round has begun.")}
<h2>Refused, by kind</h2>
{_table("kinds", [(kind, f"{n:,}") for kind, n in sorted(status.refused.items())], "Nothing was refused.")}
{digest if status.header_hash else ""}
</main>
</body>
</html>
"""


def _table(name: str, rows: list[tuple[str, str]], otherwise: str) -> str:
    if not rows:
        return f'<p class="faint" id="{name}">{escape(otherwise)}</p>'
    cells = "".join(f"<tr><td>{escape(left)}</td><td>{escape(right)}</td></tr>" for left, right in rows)
    return f'<table id="{name}"><tbody>{cells}</tbody></table>'


def _times(status: RoundStatus, now: float) -> str:
    if not status.deadline:
        return "The members are asked to sign the header."
    return f"Collecting until {_moment(status.until, now)}<br>Deadline {_moment(status.deadline, now)}"


def _moment(second: int, now: float) -> str:
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(second))
    left = int(second - now)
    return f"{text} (in {_duration(left)})" if left > 0 else f"{text} (past)"


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    raise AssertionError
