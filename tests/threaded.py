"""A running linkgate in a thread of its own, for tests that drive a browser in theirs."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Page, expect

from linkgate.detection import Limits
from linkgate.tokens import Link
from tests.stack import Stack, embedded

T = TypeVar("T")


class Threaded:
    """The thread, the stack in it, and what a test asks of both."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._earlier: frozenset[str] = frozenset()
        self.stack: Stack

    def _run(self) -> None:
        async def serve() -> None:
            async with embedded(self._folder) as self.stack:
                self._ready.set()
                await self._stop.wait()

        self._loop.run_until_complete(serve())

    def __enter__(self) -> "Threaded":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def do(self, work: Callable[[Stack], Coroutine[Any, Any, T]]) -> T:
        """Run something in the stack's own loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work(self.stack), self._loop).result(30)

    def begin(self) -> None:
        """Start afresh: what an earlier test left under way ends, and counts as that one's."""

        async def settled(stack: Stack) -> list[Any]:
            await stack.gateway.mint.drain()
            await stack.control("DELETE", "faults")
            return await stack.sessions()

        self._earlier = frozenset(session["id"] for session in self.do(settled))

    def sessions(self) -> list[Any]:
        """Return every session made since the test began, whichever link it is for."""
        made = self.do(lambda stack: stack.sessions())
        return [session for session in made if session["id"] not in self._earlier]

    def link(self, campaign: str = "spring", **more: Any) -> tuple[Link, str]:
        """Return a link of a recipient of its own, and its URL."""
        link = self.stack.link(campaign=campaign, **more)
        return link, self.stack.url + self.stack.path(link)

    def judged(self, link: Link) -> list[tuple[str, set[str]]]:
        """Return of each of the link's visits its kind or verdict, and the rules that found
        anything; oldest first.
        """

        async def visits(stack: Stack) -> Sequence[Mapping[str, Any]]:
            await stack.gateway.store.recorder.flush()
            row = await stack.gateway.store.links.read(link.id)
            return row.visits if row else ()

        return [
            (visit["kind"] or visit["verdict"], {finding[0] for finding in visit["evidence"]})
            for visit in reversed(self.do(visits))
        ]


def read(page: Page) -> None:
    """Stay on a page for as long as a person takes to read it, and somewhat longer.

    Half a second is the least for a press, and a second where no script tells how long it was.
    """
    page.wait_for_timeout(Limits().dwell_seconds * 1000 + 200)


def press(page: Page) -> None:
    """Read the interstitial, press its button, and arrive at the checkout."""
    expect(page.get_by_role("button")).to_be_visible()
    read(page)
    page.get_by_role("button").click()
    page.wait_for_url("**/c/pay/**")
