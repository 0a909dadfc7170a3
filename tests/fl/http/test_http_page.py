"""The page for people: what is on it, that nothing breaks out of it, and how a browser reads it."""

import asyncio
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from sottovoce.fl.http.page import page
from sottovoce.fl.http.status import RoundStatus, shown
from support.fl_http import HttpFederation

NOW = 1_800_000_000
BUSY = RoundStatus(
    state="collecting",
    round_number=12,
    header_hash="ab" * 32,
    until=NOW + 125,
    deadline=NOW + 4000,
    accepted=6,
    needed=8,
    most=1024,
    refused={"sender: unknown, revoked or not signed": 3, "shard: unopenable": 1204},
    shards=1230,
    n_bytes=5 << 20,
    members={"member-1": "signed the header", "member-2": "does not answer"},
    results=11,
)
HOSTILE = "<script>alert(1)</script>\"'&"


class Reader(HTMLParser):
    """Text by id, tags, and everything that could fetch something."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self._open = [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(dict(attrs).get("id"))

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        for name in self._open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data


def test_it_says_where_the_round_is():
    read = Reader(page(BUSY, "aggregator", NOW))
    assert read.texts["state"] == "collecting"
    assert read.texts["progress"] == "6 of 8"
    assert read.texts["refused"] == "1,207"
    assert read.texts["received"] == "5.0 MiB"
    assert "in 2 min 5 s" in read.texts["times"]
    assert "in 1 h 6 min" in read.texts["times"]
    assert read.texts["members"] == "member-1signed the headermember-2does not answer"
    assert ("aria-valuenow", "75") in read.attributes


def test_nothing_is_fetched_and_no_script_runs():
    read = Reader(page(BUSY, "aggregator", NOW))
    assert not {"script", "link", "img", "iframe", "form"} & set(read.tags)
    assert not {"src", "href", "action"} & {name for name, _ in read.attributes}
    assert "url(" not in page(BUSY, "aggregator", NOW)


@pytest.mark.parametrize("status", [
    RoundStatus(),
    replace(BUSY, state=HOSTILE),
    replace(BUSY, error=HOSTILE, state="failed"),
    replace(BUSY, members={HOSTILE: HOSTILE}),
    replace(BUSY, refused={HOSTILE: 1}),
    replace(BUSY, header_hash=HOSTILE, accepted=10**9, n_bytes=1 << 60),
])  # fmt: skip
def test_every_text_is_escaped(status):
    text = page(status, HOSTILE, NOW)
    assert "<script" not in text
    assert html.escape(HOSTILE) in text
    assert Reader(text).tags.count("h1") == 1
    assert Reader(text)._open == []


@pytest.mark.parametrize(
    ("name", "text"),
    [(b"member 1", "member 1"), ("früh".encode(), "früh"), (b"\xff", "0xff"), (b"a\x1b[0m", "0x611b5b306d")],
)
def test_names_that_do_not_print_are_shown_in_digits(name, text):
    assert shown(name) == text


def test_the_service_sends_it_with_a_policy_that_forbids_scripts(fed):
    async def whole():
        async with HttpFederation(fed) as http:
            await http.courier().header(wait_s=20)
            async with http.net.client() as client:
                return await client.get("http://aggregator/")

    answer = asyncio.run(whole())
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert Reader(answer.text).texts["state"] == "collecting"


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page is not checked in a browser")
@pytest.mark.parametrize(
    ("width", "dark"),
    [
        pytest.param(390, True, id="narrow-dark"),
        pytest.param(1280, False, id="wide-light"),
        pytest.param(390, False, id="narrow-light", marks=pytest.mark.slow),
        pytest.param(1280, True, id="wide-dark", marks=pytest.mark.slow),
    ],
)
def test_a_browser_reads_it_in_light_and_dark_and_shows_nothing_beyond_the_edge(tmp_path, width, dark):
    # Chromium has no way to print what a page looks like, so a script of the test's own measures it.
    probe = """<script>
    addEventListener('load', () => {
      const look = getComputedStyle(document.body), bar = document.querySelector('.bar span');
      document.title = JSON.stringify({
        ground: look.backgroundColor, text: look.color, state: document.getElementById('state').textContent,
        wide: document.documentElement.scrollWidth - innerWidth,
        bar: bar.offsetWidth / bar.parentElement.offsetWidth,
        rows: document.querySelectorAll('#members tr').length});
    });
    </script>"""
    text = page(replace(BUSY, members={"m" * 64: "does not answer", **BUSY.members}), "aggregator", NOW)
    text = re.sub(r'<meta http-equiv="refresh"[^>]*>', "", text).replace("</head>", probe + "</head>")
    (tmp_path / "page.html").write_text(text)
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
        "--virtual-time-budget=2000", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--dump-dom", (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    seen = json.loads(html.unescape(re.search("<title>(.*?)</title>", done.stdout, re.DOTALL)[1]))
    assert seen["state"] == "collecting"
    assert seen["rows"] == 3
    assert seen["wide"] <= 0
    assert round(seen["bar"], 2) == 0.75
    light, dark_ground = "rgb(251, 250, 248)", "rgb(25, 26, 27)"
    assert seen["ground"] == (dark_ground if dark else light)
    assert seen["text"] != seen["ground"]
