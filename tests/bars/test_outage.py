"""Stripe is away for three seconds, and people keep coming; `benchmarks.outage` does a minute."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from linkgate.store.connect import Connection
from tests.bars.people import Person, address, come
from tests.stack import PROXIED, Clock, Stack, configuration, running

OUTAGE_SECONDS = 3.0
PEOPLE = 45


@pytest.fixture
async def hasty(valkey_url: str) -> AsyncIterator[Stack]:
    """A linkgate that waits for Stripe half a second a call, and two in all."""
    connection = await Connection.open(valkey_url)
    await connection.client.flushall()
    await connection.close()
    terms = {"timeout_seconds": 0.5, "person_deadline_seconds": 2.0}
    async with running(valkey_url, Clock(), more=PROXIED, **terms) as found:
        yield found


def test_the_page_comes_within_ten_seconds_as_configured() -> None:
    """Whatever Stripe does; two seconds are for everything else."""
    settings = configuration(8080, "http://127.0.0.1:9", "redis://127.0.0.1:9")
    assert settings.stripe.person_deadline_seconds <= 8


@pytest.mark.parametrize(
    "fault",
    [
        {"mode": "hang", "seconds": 60, "executed": True},
        {"mode": "drop"},
    ],
    ids=["silent, but at work", "unreachable"],
)
async def test_everybody_has_a_way_on_and_gets_in_afterwards(
    hasty: Stack, fault: dict[str, Any]
) -> None:
    await hasty.campaign()
    people = [Person(hasty.path(hasty.link()), address(n)) for n in range(PEOPLE)]
    await hasty.fault(match="*", times=None, **fault)
    coming = asyncio.create_task(come(people, [hasty.url], PEOPLE / 4.0, 60.0))
    await asyncio.sleep(OUTAGE_SECONDS)
    assert not any(person.let_in for person in people)
    await hasty.control("DELETE", "faults")
    await coming
    assert [person.errors for person in people if person.errors] == []
    assert all(person.let_in for person in people)
    # Whoever came while it was away was told so, and those who came later were not.
    statuses = Counter(status for person in people for status in person.statuses)
    assert statuses.keys() == {303, 503}
    sessions = await hasty.sessions()
    made = Counter(session["metadata"]["linkgate_link"] for session in sessions)
    assert set(made.values()) == {1}
    assert {session["url"] for session in sessions} == {person.location for person in people}
