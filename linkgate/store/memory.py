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

# KEYS: seen, decoy. ARGV: sighting ('' leaves none), seconds kept, how many, seconds that a decoy
# counts ('' if none was opened).
# Returns {now, when a decoy was opened or 0, sighting, its time, sighting, its time, ...}
_SIGHT = Script(
    "sight",
    """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local since = now - tonumber(ARGV[2]) * 1000
-- From the future: another server's clock, before a failover.
local known = redis.call('ZREVRANGEBYSCORE', KEYS[1], now, '(' .. since, 'WITHSCORES', 'LIMIT', 0,
    tonumber(ARGV[3]))
local answer = {now, tonumber(redis.call('GET', KEYS[2]) or 0)}
for _, part in ipairs(known) do answer[#answer + 1] = part end
if ARGV[1] ~= '' then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', since)
    -- Or they would be the newest, and push out those that count.
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
    redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1])
    redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[3]) - 1)
    redis.call('EXPIRE', KEYS[1], ARGV[2])
end
if ARGV[4] ~= '' then redis.call('SET', KEYS[2], now, 'EX', ARGV[4]) end
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
        user_agent: str,
        keep_seconds: float,
        decoy_seconds: float,
        leave: bool = True,
        decoy: bool = False,
    ) -> History:
        """Return what is remembered, and leave this visit's sighting for those that follow.

        `leave` is False for a visit that must not count against others; `decoy` marks the link and
        the address as having opened one.
        """
        agent = f"{zlib.crc32(user_agent.encode('utf-8', 'replace')):x}"
        kept = (math.ceil(keep_seconds), SIGHTINGS_KEPT, math.ceil(decoy_seconds) if decoy else "")
        at_link = self._connection.script(
            _SIGHT,
            [keys.seen(link), keys.decoy(link)],
            [f"{visit} {source.network} {source.address} {agent}" if leave else "", *kept],
        )
        if not source.network:
            link_decoy, seen = _told(await at_link)
            return History(_at_link(visit, link, source, agent, seen), link_decoy=link_decoy)
        from_network = self._connection.script(
            _SIGHT,
            [keys.network(source.network), keys.address_decoy(source.network, source.address)],
            [f"{visit} {link} {source.address} {agent}" if leave else "", *kept],
        )
        of_link, of_network = await asyncio.gather(at_link, from_network)
        link_decoy, seen = _told(of_link)
        address_decoy, around = _told(of_network)
        return History(
            _at_link(visit, link, source, agent, seen),
            _from_network(link, source, agent, around),
            link_decoy,
            address_decoy,
        )


_Seen = Iterable[tuple[list[str], float]]


def _told(answer: Sequence[Any]) -> tuple[float | None, _Seen]:
    """Return the decoy's age and the sightings with theirs, in seconds."""
    now, decoyed = int(answer[0]), int(answer[1])
    # A decoy's time ahead of this clock was set by another server's, before a failover.
    decoy_age = (now - decoyed) / 1000 if 0 < decoyed <= now else None
    pairs = zip(answer[2::2], answer[3::2], strict=True)
    seen = ((text.split(" "), (now - float(at)) / 1000) for text, at in pairs)
    # A gateway of another version, beside this one for a while, may write other sightings.
    return decoy_age, ((parts, age) for parts, age in seen if len(parts) == 4)


def _at_link(
    visit: str, link: str, source: Source, agent: str, seen: _Seen
) -> tuple[Sighting, ...]:
    return tuple(
        Sighting(
            other,
            link,
            age,
            same_network=bool(network) and network == source.network,
            same_address=bool(address) and address == source.address,
            same_agent=its_agent == agent,
        )
        for (other, network, address, its_agent), age in seen
        # A call that was repeated finds itself.
        if other != visit
    )


def _from_network(link: str, source: Source, agent: str, seen: _Seen) -> tuple[Sighting, ...]:
    return tuple(
        Sighting(
            other,
            its_link,
            age,
            same_network=True,
            same_address=address == source.address,
            same_agent=its_agent == agent,
        )
        for (other, its_link, address, its_agent), age in seen
        if its_link != link
    )
