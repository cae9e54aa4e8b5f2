"""Whatever is late, doubled, lost or out of order: the ledger ends where Stripe ends."""

import random
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkgate.payments import (
    Event,
    Known,
    Ledger,
    Payment,
    Session,
    changes,
    dump_other,
    has_access,
    hear,
    link_state,
    load_other,
    payments_made,
    read_event,
    read_object,
    session_standing,
)
from tests.payments.lives import LIVES, End, Life
from tests.payments.stripe_objects import VERSIONS, Object, Stripe

every_life = pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
every_version = pytest.mark.parametrize("version", VERSIONS)
versions = st.sampled_from(VERSIONS)
seeds = st.randoms(use_true_random=False)
often = settings(max_examples=12, deadline=None)


@dataclass(frozen=True)
class Lived:
    end: End
    minted: Ledger
    events: tuple[Event, ...]
    objects: tuple[Object, ...]
    now: int

    def final(self, seed: random.Random) -> tuple[Known, ...]:
        """What the API shows in the end, asked for in any order."""
        shown = seed.sample(self.objects, len(self.objects))
        return tuple(one for data in shown for one in read_object(data, self.now + 1))


@cache
def lived(life: Life, version: str) -> Lived:
    stripe = Stripe(version)
    end = life(stripe)
    first = stripe.objects["cs_1"]
    # What linkgate knows from minting; a session that Stripe copied it hears of by its event.
    asked = {**first, "status": "open", "url": "https://pay/1", "payment_status": "unpaid"}
    asked |= dict.fromkeys(
        ("payment_intent", "setup_intent", "subscription", "invoice", "customer")
    )
    [minted] = read_object({**asked, "after_expiration": None}, first["created"])
    assert isinstance(minted, Session)
    events = tuple(event for data in stripe.events if (event := read_event(data)))
    assert len(events) == len(stripe.events)
    return Lived(end, Ledger.of([minted]), events, tuple(stripe.objects.values()), stripe.now)


def told(ledger: Ledger, events: list[Event]) -> Ledger:
    for event in events:
        ledger = hear(ledger, event.known)
    return ledger


def whole(lived: Lived) -> Ledger:
    """With what ties a payment to an invoice since 2025, which the shell asks Stripe for."""
    ties = [o for o in lived.objects if o["object"] == "invoice_payment"]
    return hear(lived.minted, (one for data in ties for one in read_object(data, 0)))


def assert_ended(ledger: Ledger, lived: Lived) -> None:
    end = lived.end
    standings = {s.id: session_standing(ledger, s).value for s in ledger.sessions.values()}
    assert standings == end.standings
    facts: dict[str, Any] = {"visited": True, "revoked": False, "expired": False}
    assert link_state(ledger, **facts, now=lived.now) == end.link
    assert has_access(ledger) is end.access
    assert payments_made(ledger) == end.made
    assert not ledger.unsure
    for data in lived.objects:
        assert_as_at_stripe(ledger, data)


def assert_as_at_stripe(ledger: Ledger, data: Object) -> None:
    known = ledger.others.get(data["id"])
    match data["object"]:
        case "subscription":
            assert known
            assert known.state == data["status"]
        case "invoice" if known and data["status"] == "paid":
            assert known.state == "paid"
        case "charge" if data["status"] == "succeeded":
            payment = ledger.others.get(data["payment_intent"])
            if isinstance(payment, Payment):
                assert (payment.state, payment.refunded) == ("succeeded", data["amount_refunded"])
                assert payment.fully_refunded is data["refunded"]
        case "dispute":
            assert known
            assert known.state in (data["status"], "open", "closed")


@every_life
@every_version
def test_in_their_order_the_events_end_where_stripe_ends(life: Life, version: str) -> None:
    one = lived(life, version)
    assert_ended(told(whole(one), list(one.events)), one)


@every_life
@given(version=versions, seed=seeds)
@often
def test_any_order_and_any_number_of_times(life: Life, version: str, seed: random.Random) -> None:
    one = lived(life, version)
    many = [*one.events, *seed.choices(one.events, k=seed.randrange(12))]
    seed.shuffle(many)
    ended = told(whole(one), many)
    assert ended == told(whole(one), list(one.events))
    assert_ended(ended, one)


@every_life
@given(version=versions, seed=seeds)
@often
def test_what_is_lost_is_made_good_by_asking(life: Life, version: str, seed: random.Random) -> None:
    one = lived(life, version)
    many = seed.choices(one.events, k=seed.randrange(2 * len(one.events)))
    asked = hear(told(one.minted, many), one.final(seed))
    assert_ended(asked, one)
    # And what comes after all, days late, is no news.
    assert_ended(told(asked, seed.sample(one.events, len(one.events))), one)


@every_life
@given(version=versions, seed=seeds)
@often
def test_what_is_older_never_overwrites(life: Life, version: str, seed: random.Random) -> None:
    one = lived(life, version)
    so_far = list(one.events[: seed.randint(1, len(one.events))])
    seed.shuffle(so_far)
    known = told(one.minted, so_far)
    assert told(known, seed.choices(so_far, k=9)) == known


@every_life
@given(version=versions, seed=seeds)
@often
def test_each_change_is_told_once(life: Life, version: str, seed: random.Random) -> None:
    one = lived(life, version)
    many = [*one.events, *seed.choices(one.events, k=seed.randrange(12))]
    if seed.random() < 0.7:
        seed.shuffle(many)
    ledger, found = whole(one), []
    for event in many:
        before, ledger = ledger, hear(ledger, event.known)
        fresh = changes(before, ledger)
        assert fresh == changes(before, ledger)
        found += fresh
        # Found again by whoever doesn't know what was known before: under the same keys.
        again = {change.key for change in changes(whole(one), ledger)}
        assert {change.key for change in fresh if change.kind == "payment.succeeded"} <= again
    assert len({change.key for change in found}) == len(found)
    count = Counter(change.kind for change in found)
    assert count["payment.succeeded"] == one.end.succeeded
    assert one.end.failed[0] <= count["payment.failed"] <= one.end.failed[1]
    assert count["access.granted"] - count["access.revoked"] == one.end.access
    assert count["subscription.started"] <= 1
    assert count["subscription.ended"] == (one.end.link == "canceled")
    assert count["session.expired"] == list(one.end.standings.values()).count("expired")
    assert count["payment.refunded"] >= (one.end.link in ("refunded", "partially_refunded"))


@every_life
@every_version
def test_what_is_kept_is_read_again(life: Life, version: str) -> None:
    one = lived(life, version)
    ledger = one.minted
    for event in one.events:
        ledger = hear(ledger, event.known)
        kept = [load_other(dump_other(other)) for other in ledger.others.values()]
        assert Ledger.of(ledger.sessions.values(), kept) == ledger
