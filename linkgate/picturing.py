"""The picture of a link: what is known of it, put together for whoever looks it up.

Nothing is asked of the store here; the API, the command line and the dashboard show the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field

from linkgate.detection import Authority, Evidence
from linkgate.payments import (
    Ledger,
    LinkState,
    Session,
    Standing,
    link_state,
    session_standings,
)
from linkgate.store.entries import Row
from linkgate.tokens import Link

#: What is kept of a link that nobody has touched.
NOTHING = Row({}, (), (), {})

#: Whose word a finding is, from the least to the last.
Word = Literal["rule", "operator", "law"]
_WORDS: dict[int, Word] = {
    Authority.RULE: "rule",
    Authority.OPERATOR: "operator",
    Authority.LAW: "law",
}
_RANKS = {word: rank for rank, word in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class PicturedEvidence:
    """One rule's finding about a visit."""

    rule: str
    points_to: Annotated[str, Field(description="human, suspect or automated")]
    kind: Annotated[str | None, Field(description="What kind of machine, if it tells")]
    reason: str
    authority: Annotated[
        Word,
        Field(
            description="Whose word it is: linkgate's rule, the operator's, or a law; only the "
            "highest that a visit's evidence has decides"
        ),
    ]


@dataclass(frozen=True, slots=True)
class PicturedChange:
    """A verdict that changed when more was known; both sides by kind if they have one."""

    at: datetime
    before: str
    after: str
    rule: Annotated[str, Field(description="The rule that found the late evidence")]


@dataclass(frozen=True, slots=True)
class PicturedShadow:
    """What the shadow rules said of a visit, without effect."""

    verdict: str
    kind: str | None
    evidence: tuple[PicturedEvidence, ...]


@dataclass(frozen=True, slots=True)
class PicturedVisit:
    """One visit to the link."""

    id: str
    at: datetime
    verdict: Annotated[str, Field(description="human, suspect or automated")]
    kind: Annotated[str | None, Field(description="What kind of machine, if it was automated")]
    decision: Annotated[str, Field(description="What the gate did with it")]
    reason: Annotated[str, Field(description="Why it did that")]
    outcome: Annotated[str, Field(description="What came of it; empty if nothing to tell")]
    method: str
    address: Annotated[str, Field(description="Where it came from, truncated")]
    user_agent: str
    browser: Annotated[
        str, Field(description="What the user agent claims: device / system / browser")
    ]
    evidence: tuple[PicturedEvidence, ...]
    changes: Annotated[
        tuple[PicturedChange, ...],
        Field(description="How late evidence changed the verdict; `verdict` is the latest"),
    ]
    shadow: Annotated[
        PicturedShadow | None,
        Field(description="What the shadow rules would have said, where that differs"),
    ]


@dataclass(frozen=True, slots=True)
class PicturedSession:
    """One session that was minted for the link."""

    id: str
    state: Standing
    created_at: datetime
    expires_at: datetime
    amount_total: Annotated[int | None, Field(description="In the currency's minor unit")]
    currency: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class PicturedReminder:
    """The one e-mail that linkgate sent to remind of the link."""

    at: datetime
    result: Annotated[
        Literal["sent", "unclear", "refused", "failed"],
        Field(
            description="sent: the mail server took it; unclear: it is on its way, or nobody "
            "knows; refused: by the mail server, for good; failed: it was tried for a day"
        ),
    ]
    reason: Annotated[str, Field(description="Empty if it was sent")]


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of a link. What only its token tells is null where only its id was given."""

    id: str
    campaign: str | None
    recipient: str | None
    state: LinkState
    url: Annotated[str | None, Field(description="Null if the link was asked for by its id")]
    expires_at: datetime | None
    revoked_at: datetime | None
    visits: Annotated[tuple[PicturedVisit, ...], Field(description="Newest first")]
    sessions: Annotated[tuple[PicturedSession, ...], Field(description="Oldest first")]
    reminder: Annotated[PicturedReminder | None, Field(description="Null if there was none")] = None


def picture(link_id: str, link: Link | None, url: str | None, row: Row, now: float) -> Picture:
    """Draw the picture of the link with this id; `link` is None where no token told of it."""
    fields = row.fields
    expires = link.expires_at if link else int(fields.get("expires_at") or 0)
    revoked = fields.get("revoked_at")
    ledger = Ledger.of(row.sessions, row.ledger.others.values())
    standings = session_standings(ledger)
    state = link_state(
        ledger,
        visited=bool(row.visits),
        revoked=revoked is not None,
        expired=bool(expires) and now >= expires,
        now=now,
    )
    return Picture(
        id=link_id,
        campaign=link.campaign if link else fields.get("campaign"),
        recipient=link.recipient if link else fields.get("recipient"),
        state=state,
        url=url,
        expires_at=_time(expires) if expires else None,
        revoked_at=_time(int(revoked) / 1000) if revoked else None,
        visits=tuple(map(_visit, row.visits)),
        sessions=tuple(_session(standings[session.id], session, now) for session in row.sessions),
        reminder=_reminder(fields),
    )


def pictured(evidence: Evidence) -> PicturedEvidence:
    """Return a finding that was made just now as one that was kept."""
    return PicturedEvidence(
        evidence.rule,
        evidence.points_to.value,
        evidence.kind.value if evidence.kind else None,
        evidence.reason,
        _WORDS[evidence.authority],
    )


def deciding(evidence: Sequence[PicturedEvidence]) -> tuple[PicturedEvidence, ...]:
    """Return the findings that decide: those of the highest authority. The rest are outranked."""
    highest = max((_RANKS[one.authority] for one in evidence), default=0)
    return tuple(one for one in evidence if _RANKS[one.authority] == highest)


def _visit(kept: Mapping[str, Any]) -> PicturedVisit:
    # Old visits were kept by older versions: everything but id and time may be absent.
    return PicturedVisit(
        id=kept["id"],
        at=_time(kept["at"]),
        verdict=kept.get("verdict", ""),
        kind=kept.get("kind"),
        decision=kept.get("decision", ""),
        reason=kept.get("reason", ""),
        outcome=kept.get("outcome", ""),
        method=kept.get("method", ""),
        address=kept.get("address", ""),
        user_agent=kept.get("user_agent", ""),
        browser=_browser(kept.get("user_agent", "")),
        evidence=_evidence(kept),
        changes=tuple(
            PicturedChange(_time(change["at"]), change["from"], change["to"], change["rule"])
            for change in kept.get("changes", ())
        ),
        shadow=_shadow(kept.get("shadow")),
    )


def _shadow(kept: Mapping[str, Any] | None) -> PicturedShadow | None:
    if kept is None:
        return None
    return PicturedShadow(kept["verdict"], kept["kind"], _evidence(kept))


def _evidence(kept: Mapping[str, Any]) -> tuple[PicturedEvidence, ...]:
    return tuple(map(_finding, kept.get("evidence", ())))


def _finding(item: Sequence[Any]) -> PicturedEvidence:
    # Kind and authority came later, and stand there only where there is something to tell.
    rule, points_to, reason, kind, authority = (*item, None, None)[:5]
    return PicturedEvidence(rule, points_to, kind, reason, _WORDS.get(authority or 0, "law"))


@lru_cache(2048)
def _browser(user_agent: str) -> str:
    from user_agents import parse  # noqa: PLC0415 - 0.1 s that only whoever looks has to wait for

    return str(parse(user_agent)) if user_agent else ""


def _session(standing: Standing, session: Session, now: float) -> PicturedSession:
    # Nobody tells when Stripe's clock runs out on a session whose webhook was missed.
    ran_out = standing is Standing.OPEN and now >= session.expires_at
    return PicturedSession(
        id=session.id,
        state=Standing.EXPIRED if ran_out else standing,
        created_at=_time(session.created_at),
        expires_at=_time(session.expires_at),
        amount_total=session.amount_total,
        currency=session.currency,
        attempt=session.attempt,
    )


def _reminder(fields: Mapping[str, str]) -> PicturedReminder | None:
    if "reminded_at" not in fields:
        return None
    said, _, reason = fields.get("reminder", "").partition(": ")
    # While it is handed over, it is "sending"; what stays so was interrupted.
    known: dict[str, Literal["sent", "refused", "failed"]]
    known = {"sent": "sent", "refused": "refused", "failed": "failed"}
    at = _time(int(fields["reminded_at"]) / 1000)
    return PicturedReminder(at, known.get(said, "unclear"), reason)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
