"""What is kept of a touched link: its visits, its sessions, its attempt, its private attributes.

A link has no row until a person visits it, a machine's visit is flushed, or it is given private
attributes; every row expires with the link.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from linkgate.payments import Ledger, Session, SessionState, load_other
from linkgate.store import keys, scripts
from linkgate.store.connect import Connection
from linkgate.store.entries import NOT_AGAIN, Claim, Entered, Entry, Left, Row, Settled, Visit
from linkgate.tokens import Link

_SESSION = msgspec.json.Decoder(Session)


#: Stripe's sessions live 24 hours at most; an hour for clocks and for what was long on its way.
UNKNOWN_MS = 25 * 3_600_000


class Links:
    """The links' part of the store. Every method raises StoreUnavailable when it doesn't answer."""

    def __init__(
        self,
        connection: Connection,
        *,
        visits_kept: int,
        retention_s: int,
        longest_s: int = 400 * 86_400,
    ) -> None:
        self._connection = connection
        self._visits_kept = visits_kept
        self._retention_s = retention_s
        self._longest_s = longest_s

    def keep_until(self, link: Link) -> int:
        """Return when the link's rows go, in Unix seconds."""
        return link.expires_at + self._retention_s

    def keep_longest(self, now: float) -> int:
        """Return until when a payment or a revocation is kept: as long as any link may live."""
        return int(now) + self._longest_s + self._retention_s

    async def enter(
        self,
        link: Link,
        visit: Visit | None,
        claim: Claim | None,
        told: Sequence[tuple[str, str]] = (),
        *,
        payments: int = 1,
        renewable: bool = False,
    ) -> Entry:
        """Record a person's visit and say what stands, in one step for all processes.

        `visit` is None when the same visit asks again. `told` are the outbox's keys and lines that
        are written with the visit; `payments` says how often the link can be paid (0: without
        end), and `renewable` whether a subscription that has ended is not counted, where there is
        no claim to say it.
        """
        name = link.id
        lists, lines = [key for key, _ in told], [line for _, line in told]
        answer = await self._connection.script(
            scripts.ENTER,
            [keys.link(name), keys.visits(name), keys.sessions(name), keys.private(name), *lists],
            [
                self.keep_until(link),
                visit.id if visit else "",
                visit.decision if visit else "",
                visit.body if visit else "",
                self._visits_kept,
                claim.owner if claim else "",
                claim.lease_ms if claim else 0,
                claim.reuse_ms if claim else 0,
                UNKNOWN_MS,
                link.campaign,
                link.recipient,
                link.expires_at,
                link.customer or "",
                claim.revision if claim else 0,
                claim.payments if claim else payments,
                int(claim.in_turn) if claim else 0,
                int(claim.renewable if claim else renewable),
                int(claim.once_more) if claim else 0,
                *lines,
            ],
        )
        gate, done, session, attempt, attempt_at, request, private, spent_at, now = answer[:9]
        others, payer, recovery_until, standing, more = answer[9:]
        return Entry(
            Entered(gate),
            SessionState(done) if done else None,
            load_session(session) if session else None,
            int(attempt),
            int(attempt_at) / 1000,
            json.loads(request) if request else None,
            json.loads(private) if private else None,
            int(spent_at) / 1000,
            int(now) / 1000,
            tuple(map(load_session, others)),
            payer,
            int(recovery_until),
            standing,
            bool(more),
        )

    async def arm(self, name: str, owner: str, request: Mapping[str, Any]) -> bool:
        """Keep what will be asked of the destination; False if the lease has been lost."""
        return bool(
            await self._connection.script(
                scripts.ARM, [keys.link(name)], [owner, json.dumps(request)]
            )
        )

    async def settle(
        self,
        link: Link,
        owner: str,
        session: Session,
        visit: str,
        *,
        revision: int = 0,
        told: Sequence[tuple[str, str]] = (),
    ) -> Settled:
        """Make `session` the link's current one; `told` as for `enter`."""
        name = link.id
        lists, lines = [key for key, _ in told], [line for _, line in told]
        return Settled(
            await self._connection.script(
                scripts.SETTLE,
                [keys.link(name), keys.sessions(name), keys.visits(name), *lists],
                [
                    owner,
                    session.attempt,
                    session.id,
                    dump_session(session),
                    visit,
                    f"minted {session.id}",
                    self.keep_until(link),
                    revision,
                    NOT_AGAIN,
                    *lines,
                ],
            )
        )

    async def release(self, name: str, owner: str, left: Left, *, visit: str, outcome: str) -> None:
        """Give the lease back without a session."""
        await self._connection.script(
            scripts.RELEASE,
            [keys.link(name), keys.visits(name)],
            [owner, left, visit, _one_line(outcome)],
        )

    async def note(self, name: str, visit: str, outcome: str) -> None:
        """Write what came of a visit that is recorded already."""
        await self._connection.script(
            scripts.NOTE, [keys.visits(name)], [visit, _one_line(outcome)]
        )

    async def revoke(
        self, name: str, now: float, keep_until: int, *, link: Link | None = None
    ) -> bool:
        """Revoke a link, touched or not; False if it was revoked before.

        `link` is what a token told of it, where one was given.
        """
        known = [part for pair in link_fields(link).items() for part in pair] if link else []
        return bool(
            await self._connection.script(
                scripts.REVOKE, [keys.link(name)], [int(now * 1000), keep_until, *known]
            )
        )

    async def keep_private(self, link: Link, attributes: Mapping[str, Any]) -> None:
        """Keep a link's private attributes until the link's rows go."""
        await self._connection.script(
            scripts.KEEP_PRIVATE,
            [keys.private(link.id)],
            [json.dumps(attributes), self.keep_until(link)],
        )

    async def read(self, name: str) -> Row | None:
        """Return all that is kept of a link, newest visit first; None if there is nothing."""
        async with self._connection.guard() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.hgetall(keys.link(name))
            pipeline.hvals(keys.sessions(name))
            pipeline.lrange(keys.visits(name), 0, -1)
            pipeline.lrange(keys.buffered(name), 0, -1)
            pipeline.get(keys.private(name))
            pipeline.hvals(keys.ledger(name))
            fields, sessions, visits, buffered, private, others = await pipeline.execute()
        visits += buffered
        if not (fields or sessions or visits or private):
            return None
        ordered = sorted(map(load_session, sessions), key=lambda s: (s.created_at, s.attempt))
        return Row(
            fields,
            tuple(ordered),
            tuple(_visits(visits)),
            json.loads(private) if private else {},
            Ledger.of(ordered, map(load_other, others)),
        )


def link_fields(link: Link) -> dict[str, str | int]:
    """Return what the link's hash says of the link itself."""
    return {
        "campaign": link.campaign,
        "recipient": link.recipient,
        "expires_at": link.expires_at,
        "customer": link.customer or "",
    }


def load_session(text: str) -> Session:
    """Return a session from its stored JSON; what a newer version added is passed over."""
    return _SESSION.decode(text)


def dump_session(session: Session) -> str:
    """Return a session's stored JSON."""
    return msgspec.json.encode(session).decode()


def _visits(lines: Sequence[str]) -> list[Mapping[str, Any]]:
    # A batch that was flushed twice because the connection broke shows up once: ids are unique.
    seen: dict[str, Mapping[str, Any]] = {}
    for line in lines:
        decision, outcome, body = line.split("\t", 2)
        data = {**json.loads(body), "decision": decision, "outcome": outcome}
        seen.setdefault(data["id"], data)
    return sorted(seen.values(), key=lambda visit: visit["at"], reverse=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
