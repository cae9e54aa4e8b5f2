"""What is remembered for some seconds: who was at a link, and what came from a network.

The store's own clock counts, so that gateways with different clocks agree. Sources are keyed hashes
that go within a minute or so: an address itself is never stored.
"""

import asyncio
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from linkgate.detection import History, Sighting
from linkgate.store import keys
from linkgate.store.connect import Connection, Script

#: Sightings kept for a link or a network: far above any threshold of the rules.
SIGHTINGS_KEPT = 64

# KEYS: seen, decoy; of a link, of a network, or of both. ARGV: 1 seconds kept, 2 how many, 3 for
# how many seconds a decoy counts ('' if none was opened), 4 the visit, then each pair's sighting
# ('' for none). Returns {now, {when a decoy was opened and by whom, sighting, its time, ...}, ...}
_SIGHT = Script(
    "sight",
    """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local since, most = now - tonumber(ARGV[1]) * 1000, tonumber(ARGV[2])
local answer = {now}
for pair = 1, #KEYS / 2 do
    local seen, decoy, sighting = KEYS[2 * pair - 1], KEYS[2 * pair], ARGV[4 + pair]
    -- From the future: another server's clock, before a failover.
    local known = redis.call('ZREVRANGEBYSCORE', seen, now, '(' .. since, 'WITHSCORES', 'LIMIT', 0,
        most)
    table.insert(known, 1, redis.call('GET', decoy) or '')
    answer[#answer + 1] = known
    if sighting ~= '' then
        if #known > 1 then
            redis.call('ZREMRANGEBYSCORE', seen, '-inf', since)
            redis.call('ZREMRANGEBYRANK', seen, 0, -most)
        end
        -- Or they would be the newest, and push out those that count.
        redis.call('ZREMRANGEBYSCORE', seen, '(' .. now, '+inf')
        redis.call('ZADD', seen, 'NX', now, sighting)
        redis.call('EXPIRE', seen, ARGV[1])
    end
    if ARGV[3] ~= '' then redis.call('SET', decoy, now .. ' ' .. ARGV[4], 'EX', ARGV[3]) end
end
return answer
""",
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a visit comes from, as keyed hashes; "" where that can't be known."""

    network: str
    address: str


UNKNOWN = Source("", "")


class Memory:
    """The memory's part of the store; raises StoreUnavailable when it doesn't answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def sight(
        self,
        *,
        visit: str,
        link: str,
        source: Source,
        browser: str,
        keep_seconds: float,
        decoy_seconds: float,
        leave: bool = True,
        decoy: bool = False,
        way: str = "",
        fresh: bool = False,
    ) -> History:
        """Return what is remembered, and leave this visit's sighting for those that follow.

        `browser` is whatever tells one browser from another. `leave` is False for a visit that must
        not count against others; `decoy` marks the link and the address as having opened one. `way`
        names the unsigned way in that the link was made for, and `fresh` says that it was made for
        this very visit, so that nothing is remembered of it.
        """
        browser = f"{zlib.crc32(browser.encode('utf-8', 'replace')):x}"
        mark = math.ceil(decoy_seconds) if decoy else ""
        kept = [math.ceil(keep_seconds), SIGHTINGS_KEPT, mark, visit]
        names = [keys.seen(link), keys.decoy(link)]
        sighting = f"{visit} {source.network} {source.address} {browser}" if leave else ""
        if not source.network:
            if fresh:
                return History()
            now, of_link = await self._connection.script(_SIGHT, names, [*kept, sighting])
            link_decoy, seen = _told(visit, now, of_link)
            return History(_at_link(visit, link, source, browser, seen), link_decoy=link_decoy)
        others = [keys.network(source.network), keys.address_decoy(source.network, source.address)]
        other = f"{visit} {link} {source.address} {browser} {way}".rstrip() if leave else ""
        if fresh:
            now, of_network = await self._connection.script(_SIGHT, others, [*kept, other])
            then, of_link = now, [""]
        elif self._connection.is_cluster:  # the two are in two slots
            (now, of_link), (then, of_network) = await asyncio.gather(
                self._connection.script(_SIGHT, names, [*kept, sighting]),
                self._connection.script(_SIGHT, others, [*kept, other]),
            )
        else:
            now, of_link, of_network = await self._connection.script(
                _SIGHT, [*names, *others], [*kept, sighting, other]
            )
            then = now
        link_decoy, seen = _told(visit, now, of_link)
        address_decoy, around = _told(visit, then, of_network)
        return History(
            _at_link(visit, link, source, browser, seen),
            _from_network(way or link, source, browser, around),
            link_decoy,
            address_decoy,
        )


_Seen = Iterable[tuple[list[str], float]]


def _told(visit: str, now: int, answer: Sequence[Any]) -> tuple[float | None, _Seen]:
    """Return the decoy's age and the sightings with theirs, in seconds."""
    at, _, by = answer[0].partition(" ")
    decoyed = int(at or 0)
    # A decoy's time ahead of this clock was set by another server's, before a failover. A call that
    # was repeated finds its own mark.
    known = 0 < decoyed <= now and by != visit
    decoy_age = (now - decoyed) / 1000 if known else None
    pairs = zip(answer[1::2], answer[2::2], strict=True)
    seen = ((text.split(" "), (now - float(at)) / 1000) for text, at in pairs)
    # A gateway of another version, beside this one for a while, may write other sightings.
    return decoy_age, ((parts, age) for parts, age in seen if len(parts) in {4, 5})


def _at_link(
    visit: str, link: str, source: Source, browser: str, seen: _Seen
) -> tuple[Sighting, ...]:
    return tuple(
        Sighting(
            other,
            link,
            age,
            same_network=bool(network) and network == source.network,
            same_address=bool(address) and address == source.address,
            same_browser=its_browser == browser,
        )
        for (other, network, address, its_browser, *_), age in seen
        # A call that was repeated finds itself.
        if other != visit
    )


def _from_network(opened: str, source: Source, browser: str, seen: _Seen) -> tuple[Sighting, ...]:
    sightings = (
        Sighting(
            other,
            its_link,
            age,
            same_network=True,
            same_address=address == source.address,
            same_browser=its_browser == browser,
            way=way[0] if way else "",
        )
        for (other, its_link, address, its_browser, *way), age in seen
    )
    return tuple(sighting for sighting in sightings if sighting.opened != opened)
