"""Reminders: one e-mail to a person whose session ran out unpaid, with the link that still works.

Only to an address that was given when the link was created, only where the campaign wants it, never
to who has paid or wants none, and never twice. The link's one reminder is claimed in the moment in
which the mail server waits for the message, in the same step in which the store says that nothing
was paid: what is interrupted behind that point is lost rather than sent again.
"""

import logging
import secrets
from asyncio import get_running_loop
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

import msgspec

from linkgate.campaigns import Campaign, Status
from linkgate.config.mail import Mail
from linkgate.mail.composing import Letter, Letterhead, compose, encode
from linkgate.mail.settings import Reminder
from linkgate.pages.brand import Brand
from linkgate.payments import SessionState
from linkgate.references import References
from linkgate.smtp import Away, NotSent, PostOffice, Refused, Server, Unclear
from linkgate.store import Store
from linkgate.store.entries import Row
from linkgate.store.queue import Item, Queue
from linkgate.store.reminders import ReminderStore, Said
from linkgate.suppression import Suppression
from linkgate.tokens import Keyring, Link, LinkTokens
from linkgate.working import Later, Worker, pause

log = logging.getLogger(__name__)

QUEUE = "reminders"
#: For so long a server that can't take a message now is asked again.
PATIENCE_SECONDS = 86_400
FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
#: A server that takes nothing from us is left alone for so long, by each process.
AWAY_SECONDS = 60.0
#: So often a link is looked at again whose session is open: someone may be paying.
LOOKS = 5
#: How long after such a session's end, for its webhook to come.
AFTER_SESSION_SECONDS = 120.0
SIDE_BY_SIDE = 4


class _State(msgspec.Struct, omit_defaults=True):
    """What an item carries from one try to the next."""

    looks: int = 0
    #: When it first failed, in Unix seconds.
    since: int = 0
    #: Its turn among all reminders, in Unix milliseconds.
    turn: int = 0


_STATE = msgspec.json.Decoder(_State)


class Reminders:
    """Decides who is reminded, and when. Belongs to one event loop.

    Without an `office` nobody is.
    """

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        suppression: Suppression,
        *,
        office: PostOffice | None,
        head: Letterhead,
        public_url: str,
        per_minute: int,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._kept = ReminderStore(store.connection)
        self._suppression = suppression
        self._tokens = LinkTokens(keyring)
        self._references = References(keyring)
        self._office = office
        self._head = head
        self._public_url = public_url
        self._interval_ms = round(60_000 / per_minute)
        self._clock = clock
        self._away_until = 0.0
        self.queue = Queue(store.connection, QUEUE)
        self.worker = Worker(
            self.queue,
            self.handle,
            side_by_side=SIDE_BY_SIDE,
            # The worker itself gives up on an item a tenth before its lease ends.
            lease_seconds=(office.longest_s if office else 10.0) * 1.2 + 10.0,
        )

    @classmethod
    def of(
        cls,
        mail: Mail,
        brand: Brand,
        public_url: str,
        *,
        store: Store,
        keyring: Keyring,
        suppression: Suppression,
        clock: Callable[[], float],
    ) -> Self:
        """Build it from its section of the configuration, and whom the pages speak for."""
        name, address = mail.sender_parts
        return cls(
            store,
            keyring,
            suppression,
            office=PostOffice(_server(mail, public_url)) if mail.host else None,
            head=Letterhead(address, name or brand.name, brand.name, brand.colour, mail.reply_to),
            public_url=public_url,
            per_minute=mail.per_minute,
            clock=clock,
        )

    def start(self) -> None:
        """Begin to send what is due."""
        if self._office:
            self.worker.start()

    async def stop(self) -> None:
        """Stop; what no server has begun to take yet is sent by another process, or later."""
        await self.worker.stop()

    async def consider(self, link_id: str, campaign: str) -> bool:
        """Plan a reminder of a link whose session ran out by itself; False if there is to be none.

        Whether it is sent is found out when it is due. Raises StoreUnavailable.
        """
        if not self._office:
            return False
        found = await self._store.campaigns.get(campaign)
        if found is None or found.reminder is None:
            return False
        await self.queue.put(link_id, delay_ms=found.reminder.after_minutes * 60_000)
        return True

    async def handle(self, item: Item) -> Later | None:
        """Look at one link that may be due; the worker's part."""
        state = _STATE.decode(item.body) if item.body else _State()
        row = await self._store.links.read(item.id)
        found = await self._wanted(item.id, row)
        if row is None or found is None:
            return None
        campaign, reminder = found
        if until := _open_until(row):
            return self._after(item.id, state, until)
        if state.since and self._clock() - state.since > PATIENCE_SECONDS:
            await self._conclude(item.id, campaign.slug, row, Said.FAILED, "no server took it")
            return None
        if (left := self._away_until - get_running_loop().time()) > 0:
            return self._again(state, left + pause(0, first=5.0, longest=5.0), failed=False)
        waits, state.turn = await self._kept.turn(self._interval_ms, state.turn)
        if waits > 0:
            # A little later rather than earlier: a turn that hasn't come yet is none.
            return _later(state, waits / 1000 + 0.01)
        return await self._send(item, state, campaign, reminder, row)

    async def _wanted(self, link_id: str, row: Row | None) -> tuple[Campaign, Reminder] | None:
        """Return the campaign and its reminder if one may be sent for the link at all."""
        fields: Mapping[str, str] = row.fields if row else {}
        slug = fields.get("campaign")
        if row is None or not slug or not row.private.get("email"):
            return None
        if any(fields.get(name) for name in ("reminded_at", "done", "revoked_at")):
            return None
        if self._clock() >= int(fields.get("expires_at") or 0):
            return None
        campaign = await self._store.campaigns.get(slug)
        if campaign is None or campaign.reminder is None or campaign.status is not Status.ACTIVE:
            return None
        if await self._suppression.covers(row):
            self._store.recorder.count(slug, "reminders.suppressed")
            log.info("link %s: its recipient wants no reminders", link_id)
            return None
        return campaign, campaign.reminder

    async def _send(
        self, item: Item, state: _State, campaign: Campaign, reminder: Reminder, row: Row
    ) -> Later | None:
        assert self._office
        slug, claim = campaign.slug, ""

        async def ready() -> bool:
            nonlocal claim
            claim = await self._kept.claim(item.id, self._suppression.names(row)) or ""
            return bool(claim)

        try:
            letter = self._letter(campaign, row)
            message = encode(compose(reminder, self._head, letter))
        except ValueError:
            await self._conclude(item.id, slug, row, Said.REFUSED, "the address is not one")
            return None
        try:
            taken = await self._office.deliver(
                message,
                sender=self._head.address,
                recipient=letter.to,
                ready=ready,
            )
        except NotSent as error:
            if claim:
                await self._kept.release(item.id, claim)
            log.warning("link %s: its reminder waits: %s", item.id, error)
            if isinstance(error, Away):
                self._away_until = get_running_loop().time() + AWAY_SECONDS
            wait = pause(item.tries, first=FIRST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)
            return self._again(state, wait, failed=True)
        except Refused as error:
            await self._conclude(item.id, slug, row, Said.REFUSED, str(error), claim)
        except Unclear as error:
            await self._conclude(item.id, slug, row, Said.UNCLEAR, str(error), claim)
        else:
            if taken:
                await self._conclude(item.id, slug, row, Said.SENT, "", claim)
        return None

    async def _conclude(
        self, link_id: str, slug: str, row: Row, said: Said, reason: str, claim: str = ""
    ) -> None:
        """Note what came of a link's one reminder, and count it."""
        claim = claim or await self._kept.claim(link_id, self._suppression.names(row)) or ""
        if not claim or not await self._kept.settle(link_id, claim, said, reason):
            return
        sent = said is Said.SENT
        self._store.recorder.count(slug, "reminders.sent" if sent else "reminders.failed")
        if sent:
            log.info("link %s: reminded", link_id)
        else:
            log.warning("link %s: its reminder is %s: %s", link_id, said, reason)

    def _letter(self, campaign: Campaign, row: Row) -> Letter:
        fields, now = row.fields, self._clock()
        # The same link: only the time of sending is the reminder's own, because scanners open this
        # e-mail's link as well.
        link = Link(
            fields["campaign"],
            fields["recipient"],
            int(fields["expires_at"]),
            int(now),
            fields.get("customer") or None,
        )
        return Letter(
            to=row.private["email"],
            campaign=campaign.name,
            link=f"{self._public_url}/l/{self._tokens.issue(link)}",
            unsubscribe=self._public_url + self._references.unsubscribe_path(link.id),
            now=now,
            key=secrets.token_hex(16),
        )

    def _after(self, link_id: str, state: _State, until: int) -> Later | None:
        """Come again when the open session has ended."""
        if state.looks >= LOOKS:
            # Nobody can tell whether it was paid: no reminder is better than one after payment.
            log.info("link %s: no reminder, because a session of it stays open", link_id)
            return None
        state.looks += 1
        return _later(state, max(until - self._clock(), 0.0) + AFTER_SESSION_SECONDS * state.looks)

    def _again(self, state: _State, seconds: float, *, failed: bool) -> Later:
        state.since = state.since or int(self._clock())
        return _later(state, seconds, failed=failed)


def _later(state: _State, seconds: float, *, failed: bool = False) -> Later:
    return Later(seconds, failed, msgspec.json.encode(state).decode())


def _open_until(row: Row) -> int:
    """Return when the last session ends that nobody has told the end of; 0 if there is none."""
    ends = (one.expires_at for one in row.sessions if one.state is SessionState.OPEN)
    return max(ends, default=0)


def _server(mail: Mail, public_url: str) -> Server:
    assert mail.host
    return Server(
        host=mail.host,
        port=mail.port,
        security=mail.security,
        hello=_hello(urlsplit(public_url).hostname or "localhost"),
        username=mail.username,
        password=mail.password.get_secret_value() if mail.password else None,
        timeout_s=mail.timeout_seconds,
        ca_file=mail.ca_bundle,
    )


def _hello(host: str) -> str:
    """Return the name that linkgate goes by at a mail server (RFC 5321, 4.1.3)."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
