"""Tells, while the demo runs, what the gateway made of each visit to its links."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from linkgate.demo.samples import SampleLink
from linkgate.errors import StoreUnavailable
from linkgate.issuing import Desk
from linkgate.payments import LinkState
from linkgate.picturing import Picture, PicturedVisit, deciding

PAUSE_SECONDS = 0.5

_DONE = {
    "mint": "on to the checkout",
    "interstitial": "the page with the button",
    "refuse": "refused",
    "already done": "told that nothing is left to pay",
}
_NEWS = {
    LinkState.PAID: "paid, says a signed webhook",
    LinkState.COMPLETE: "complete, says a signed webhook",
    LinkState.PENDING: "complete, and the money is on its way, says a signed webhook",
    LinkState.FAILED: "the payment failed, says a signed webhook",
}


class Watcher:
    """What was told already of a link; `note` yields what is new, oldest first."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._seen: set[str] = set()
        self._state = LinkState.ISSUED

    def note(self, picture: Picture, now: datetime) -> Iterator[str]:
        """Yield a line for every visit and every change of the payment since the last time."""
        for visit in reversed(picture.visits):
            if visit.id not in self._seen:
                self._seen.add(visit.id)
                yield self._line(visit.at, _told(visit))
        if picture.state is not self._state:
            self._state = picture.state
            if picture.state in _NEWS:
                yield self._line(now, _NEWS[picture.state])

    def _line(self, at: datetime, what: str) -> str:
        return f"{at.astimezone():%H:%M:%S}  {self._title}: {what}"


async def watch(
    desk: Desk,
    links: Sequence[SampleLink],
    clock: Callable[[], float],
    tell: Callable[[str], None],
) -> None:
    """Tell what happens to `links`, until cancelled."""
    watchers = [(link, Watcher(link.title)) for link in links]
    while True:
        await asyncio.sleep(PAUSE_SECONDS)
        for link, watcher in watchers:
            try:
                picture = await desk.picture(link.token, clock())
            except StoreUnavailable:
                # Told by the log already, and over in a second: the embedded store comes back.
                continue
            for line in watcher.note(picture, datetime.now().astimezone()):
                tell(line)


def _told(visit: PicturedVisit) -> str:
    who = f"{visit.verdict} ({visit.kind})" if visit.kind else visit.verdict
    decided = (one for one in deciding(visit.evidence) if one.points_to == visit.verdict)
    why = next((one.reason for one in decided), "")
    done = _DONE.get(visit.decision, visit.decision)
    return f"{visit.method} by {who}: {done}" + (f" ({why})" if why else "")
