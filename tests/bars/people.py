"""People with browsers, who do what the pages tell them, until they are let in."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.stack import BROWSER, BY_HAND

#: How long a person reads a page with a button before they press it, in seconds.
READING_SECONDS = 0.8
#: A browser gives up on a page that doesn't come; nobody waits so long.
BROWSER_SECONDS = 60.0

_FORM = re.compile(r"<form([^>]*)>")
_CHALLENGE = re.compile(r'name="?challenge"? value="?([^">\s]+)')


@dataclass
class Person:
    """One person, and how it went; times by the machine's steady clock."""

    path: str
    address: str
    came: float = 0.0
    let_in: float = 0.0
    location: str = ""
    asks: int = 0
    #: How long each page took, and which statuses came.
    took: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    #: What no person should ever see.
    errors: list[str] = field(default_factory=list)

    @property
    def waited(self) -> float:
        return self.let_in - self.came


@dataclass(frozen=True, slots=True)
class _Page:
    status: int
    headers: Mapping[str, str]
    text: str

    def attribute(self, name: str) -> str:
        form = _FORM.search(self.text)
        found = re.search(rf'{name}="?([^">\s]+)', form[1]) if form else None
        return found[1] if found else ""


async def get_in(
    person: Person, http: aiohttp.ClientSession, urls: Sequence[str], until: float
) -> None:
    """Open the person's link, and do as the pages say until they are let in, or `until`.

    At any of the hosts, and at any again where one doesn't answer.
    """
    url = random.choice(urls)
    person.came = time.monotonic()
    page = await _ask(person, http, "GET", url + person.path, {})
    while time.monotonic() < until:
        if page is None:  # a person tries again, too
            await asyncio.sleep(0.5)
            url = random.choice(urls)
            page = await _ask(person, http, "GET", url + person.path, {})
            continue
        if page.status == 303:
            person.let_in, person.location = time.monotonic(), page.headers["Location"]
            return
        challenge = _CHALLENGE.search(page.text)
        if challenge is None or page.status not in (200, 429, 503):
            person.errors.append(f"{page.status} without a way on")
            return
        form = {"challenge": challenge[1]}
        if page.attribute("data-retry-after"):
            await asyncio.sleep(_pause(page))
        else:
            await asyncio.sleep(READING_SECONDS)
            form["gesture"] = BY_HAND
        page = await _ask(person, http, "POST", url + page.attribute("action"), form)


def _pause(page: _Page) -> float:
    """Return when web/static/retry.js would send the form, in seconds."""
    wait = max(1.0, float(page.attribute("data-retry-after")))
    spread = float(page.attribute("data-spread") or 0) or min(max(1.0, wait / 2), 15.0)
    return wait + random.random() * spread


async def _ask(
    person: Person, http: aiohttp.ClientSession, method: str, url: str, form: Mapping[str, str]
) -> _Page | None:
    headers = {**BROWSER, "X-Forwarded-For": person.address}
    if method == "POST":
        origin = "/".join(url.split("/")[:3])
        headers |= {"Sec-Fetch-Site": "same-origin", "Origin": origin}
    person.asks += 1
    began = time.monotonic()
    try:
        async with http.request(
            method, url, headers=headers, data=form or None, allow_redirects=False
        ) as answer:
            text = await answer.text()
            page = _Page(answer.status, answer.headers.copy(), text)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        person.errors.append(f"no answer: {type(error).__name__}")
        return None
    person.took.append(time.monotonic() - began)
    person.statuses.append(page.status)
    return page


@asynccontextmanager
async def browsers() -> AsyncIterator[aiohttp.ClientSession]:
    """A client without cookies and without a limit on connections."""
    timeout = aiohttp.ClientTimeout(total=BROWSER_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, cookie_jar=jar) as made:
        yield made


async def come(
    people: Sequence[Person], urls: Sequence[str], per_second: float, within: float
) -> None:
    """Let people come at random, so many a second, to any of the hosts; wait until all are in.

    `within` is how long they go on trying, in seconds.
    """
    until = time.monotonic() + within
    moments = sorted(random.random() * len(people) / per_second for _ in people)
    began = time.monotonic()
    async with browsers() as http, asyncio.TaskGroup() as group:
        for person, moment in zip(people, moments, strict=True):
            await asyncio.sleep(max(began + moment - time.monotonic(), 0))
            group.create_task(get_in(person, http, urls, until))


def address(number: int) -> str:
    """Return an address in a network of its own, where people are (84.128.0.0/10)."""
    return f"84.{128 + number // 256 % 64}.{number % 256}.{7 + number // 16_384}"


def overtaken(people: Sequence[Person]) -> float:
    """By how many seconds, at most, someone was let in before another who had come earlier."""
    worst = latest = 0.0
    for person in sorted((p for p in people if p.let_in), key=lambda p: p.let_in):
        latest = max(latest, person.came)
        worst = max(worst, latest - person.came)
    return worst
