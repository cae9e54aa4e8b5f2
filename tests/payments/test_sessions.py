"""What events do to a session: the same end, in whatever order and number they come."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from linkgate.payments import (
    LinkState,
    Session,
    SessionState,
    advance,
    link_state,
    read_event,
)

S = SessionState
SESSION = Session("cs_1", "https://pay/1", S.OPEN, 1, 1000, 3000, 500, "eur")


def event(kind: str, status: str, payment_status: str, **metadata: str) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": f"checkout.session.{kind}",
        "created": 1100,
        "data": {
            "object": {
                "id": "cs_1",
                "object": "checkout.session",
                "url": None,
                "status": status,
                "payment_status": payment_status,
                "created": 1000,
                "expires_at": 3000,
                "amount_total": 500,
                "currency": "eur",
                "metadata": metadata,
            }
        },
    }


LINK = "lnk_00000000000000000000000000000001"
OURS = {"linkgate_link": LINK, "linkgate_campaign": "spring", "linkgate_attempt": "2"}


@pytest.mark.parametrize(
    ("kind", "status", "payment_status", "state"),
    [
        ("completed", "complete", "paid", S.PAID),
        ("completed", "complete", "unpaid", S.PENDING),
        ("completed", "complete", "no_payment_required", S.COMPLETE),
        ("async_payment_succeeded", "complete", "paid", S.PAID),
        ("async_payment_failed", "complete", "unpaid", S.FAILED),
        ("expired", "expired", "unpaid", S.EXPIRED),
    ],
)
def test_an_event_says_where_its_session_stands(
    kind: str, status: str, payment_status: str, state: SessionState
) -> None:
    read = read_event(event(kind, status, payment_status, **OURS))
    assert read
    assert read.session
    assert (read.link, read.campaign, read.session.state) == (LINK, "spring", state)
    assert read.session.attempt == 2


def test_what_says_nothing_of_a_link_says_so() -> None:
    read = read_event(event("completed", "complete", "paid"))
    assert read
    assert (read.link, read.campaign, read.refs) == (None, None, ("cs_1",))


def test_other_types_of_events_are_nothing() -> None:
    assert read_event({**event("completed", "complete", "paid", **OURS), "type": "x.y"}) is None


@pytest.mark.parametrize(
    ("heard", "end"),
    [
        ((S.PENDING, S.PAID), S.PAID),
        ((S.PENDING, S.FAILED), S.FAILED),
        ((S.OPEN, S.PAID), S.PAID),
        ((S.OPEN, S.EXPIRED), S.EXPIRED),
        ((S.OPEN, S.PENDING, S.PAID), S.PAID),
        ((S.COMPLETE, S.OPEN), S.COMPLETE),
    ],
)
def test_the_order_and_number_of_events_do_not_matter(
    heard: tuple[SessionState, ...], end: SessionState
) -> None:
    for order in itertools.permutations(heard * 2):
        known = None
        for state in order:
            known = advance(known, replace(SESSION, state=state))
        assert known
        assert known.state is end


def test_an_event_without_url_and_attempt_keeps_what_was_known() -> None:
    after = advance(SESSION, replace(SESSION, state=S.PAID, url="", attempt=0))
    assert (after.url, after.attempt, after.state) == ("https://pay/1", 1, S.PAID)


@pytest.mark.parametrize(
    ("states", "facts", "expected"),
    [
        ([], {}, LinkState.ISSUED),
        ([], {"visited": True}, LinkState.VISITED),
        ([S.OPEN], {"visited": True}, LinkState.OPEN),
        ([S.OPEN], {"now": 3000.0}, LinkState.ISSUED),
        ([S.EXPIRED, S.OPEN], {}, LinkState.OPEN),
        ([S.FAILED], {}, LinkState.FAILED),
        ([S.PENDING, S.OPEN], {}, LinkState.PENDING),
        ([S.COMPLETE], {}, LinkState.COMPLETE),
        ([S.EXPIRED, S.PAID], {}, LinkState.PAID),
        ([S.PAID], {"revoked": True, "expired": True}, LinkState.PAID),
        ([S.OPEN], {"revoked": True, "expired": True}, LinkState.REVOKED),
        ([S.OPEN], {"expired": True}, LinkState.EXPIRED),
    ],
)
def test_a_link_stands_where_its_strongest_session_stands(
    states: list[SessionState], facts: dict[str, Any], expected: LinkState
) -> None:
    known = {"visited": False, "revoked": False, "expired": False, "now": 2000.0, **facts}
    sessions = [replace(SESSION, id=f"cs_{i}", state=s) for i, s in enumerate(states)]
    assert link_state(sessions, **known) is expected
