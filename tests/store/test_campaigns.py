"""Campaigns and API keys in the store, on all three kinds of server."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from linkgate import campaigns
from linkgate.campaigns import Campaign, Status
from linkgate.errors import Conflict, Invalid, NotFound, StoreUnavailable
from linkgate.store import keys
from linkgate.store.apikeys import ApiKeys, Scope
from linkgate.store.campaigns import FRESH_SECONDS, STALE_SECONDS, Campaigns
from linkgate.store.connect import Connection

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)


def campaign(slug: str = "spring", **changes: Any) -> Campaign:
    destination = {"line_items": [{"price": "price_1"}], "success_url": "https://a.example/"}
    data = {"slug": slug, "name": "Spring sale", "destination": destination, **changes}
    return campaigns.create(data, NOW)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(connection: Connection, clock: Clock) -> Campaigns:
    return Campaigns(connection, monotonic=clock)


async def test_a_campaign_is_kept_and_listed(kept: Campaigns) -> None:
    await kept.put(campaign(), replaces=None)
    later = campaign("summer").model_copy(update={"created_at": NOW.replace(day=2)})
    await kept.put(later, replaces=None)
    assert await kept.read("spring") == campaign()
    assert [c.slug for c in await kept.list()] == ["summer", "spring"]


async def test_an_unknown_campaign_is_not_found(kept: Campaigns) -> None:
    assert await kept.get("nope") is None
    assert await kept.list() == []
    with pytest.raises(NotFound, match="nope"):
        await kept.read("nope")


async def test_what_a_newer_version_adds_to_a_campaign_is_passed_over(
    kept: Campaigns, connection: Connection
) -> None:
    """Two versions on one store, while the one takes the other's place."""
    await kept.put(campaign(), replaces=None)
    stored = json.loads(await connection.client.get(keys.campaign("spring")) or "")
    stored["later"] = {"a": [1]}
    stored["destination"]["later"] = True
    stored["destination"]["line_items"][0]["later"] = "x"
    await connection.client.set(keys.campaign("spring"), json.dumps(stored))
    assert await kept.get("spring") == campaign()
    assert await kept.read("spring") == campaign()
    assert await kept.list() == [campaign()]


async def test_what_is_left_at_nothing_is_not_stored(
    kept: Campaigns, connection: Connection
) -> None:
    """An older version beside this one refuses fields that it does not know."""
    await kept.put(campaign(), replaces=None)
    text = await connection.client.get(keys.campaign("spring")) or ""
    assert "null" not in text
    assert "scan_minutes" not in json.loads(text)
    assert await kept.read("spring") == campaign()
    before = await kept.read("spring")
    await kept.put(campaigns.change(before, {"scan_minutes": 5}, NOW), replaces=before)
    assert (await kept.read("spring")).scan_minutes == 5


def test_a_field_that_nobody_knows_is_refused_where_people_write_it() -> None:
    destination = campaign().model_dump(mode="json")["destination"]
    for data in ({"later": 1}, {"destination": {**destination, "later": 1}}):
        with pytest.raises(Invalid, match="later"):
            campaign(**data)
        with pytest.raises(Invalid, match="later"):
            campaigns.change(campaign(), data, NOW)


async def test_a_slug_is_taken_once(kept: Campaigns) -> None:
    made = await asyncio.gather(
        *(kept.put(campaign(name=f"n{n}"), replaces=None) for n in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in made) == 9


async def test_a_creation_whose_answer_was_lost_may_be_repeated(kept: Campaigns) -> None:
    await kept.put(campaign(), replaces=None)
    await kept.put(campaign(), replaces=None)
    assert [c.slug for c in await kept.list()] == ["spring"]


async def test_two_changes_at_once_do_not_overwrite_each_other(kept: Campaigns) -> None:
    await kept.put(campaign(), replaces=None)
    before = await kept.read("spring")
    await kept.put(campaigns.change(before, {"name": "A"}, NOW), replaces=before)
    with pytest.raises(Conflict, match="someone else"):
        await kept.put(campaigns.change(before, {"name": "B"}, NOW), replaces=before)
    assert (await kept.read("spring")).name == "A"


async def test_a_change_elsewhere_arrives_when_the_copy_is_old(
    kept: Campaigns, connection: Connection, clock: Clock
) -> None:
    await kept.put(campaign(), replaces=None)
    assert await kept.get("spring")
    assert kept.peek("spring")
    before = await kept.read("spring")
    paused = campaigns.change_status(before, Status.PAUSED, NOW)
    await Campaigns(connection).put(paused, replaces=before)
    seen = kept.peek("spring")
    assert seen
    assert seen.status is Status.ACTIVE
    clock.now += FRESH_SECONDS
    assert kept.peek("spring") is None
    fresh = await kept.get("spring")
    assert fresh
    assert fresh.status is Status.PAUSED


async def test_a_copy_serves_while_the_store_is_away(
    kept: Campaigns, connection: Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.put(campaign(), replaces=None)
    await kept.get("spring")

    async def away(slug: str) -> Campaign | None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(kept, "_load", away)
    clock.now += FRESH_SECONDS + 1
    assert await kept.get("spring") == campaign()
    with pytest.raises(StoreUnavailable):
        await kept.get("summer")
    clock.now += STALE_SECONDS
    with pytest.raises(StoreUnavailable):
        await kept.get("spring")


async def test_trouble_is_kept_for_the_operator(kept: Campaigns) -> None:
    assert await kept.trouble("spring") is None
    await kept.report_trouble("spring", "2026-05-01T08:00:00Z", "No such price")
    assert await kept.trouble("spring") == {
        "at": "2026-05-01T08:00:00Z",
        "message": "No such price",
    }
    await kept.put(campaign(), replaces=None)
    assert await kept.trouble("spring") is None


async def test_an_api_key_opens_what_its_scopes_say(connection: Connection) -> None:
    api_keys = ApiKeys(connection)
    made, text = await api_keys.create("mail tool", [Scope.LINKS_WRITE], 1000.0)
    found = await api_keys.find(text)
    assert found == made
    assert found
    assert found.may(Scope.LINKS_WRITE)
    assert not found.may(Scope.STATS_READ)
    _, admin = await api_keys.create("operator", [Scope.ADMIN], 1001.0)
    found = await api_keys.find(admin)
    assert found
    assert all(found.may(scope) for scope in Scope)
    assert [key.name for key in await api_keys.list()] == ["mail tool", "operator"]


async def test_a_keys_secret_is_not_in_the_store(connection: Connection) -> None:
    made, text = await ApiKeys(connection).create("mail tool", [Scope.ADMIN], 1000.0)
    row = await connection.client.hgetall(keys.api_key(made.id))
    assert text[16:] not in str(row)


async def test_any_other_text_is_no_key(connection: Connection) -> None:
    api_keys = ApiKeys(connection)
    made, text = await api_keys.create("mail tool", [Scope.ADMIN], 1000.0)
    for junk in ("", "lg_", text[:-1], text[:-1] + "é", f"lg_{made.id}_{'A' * 43}", text.upper()):
        assert await api_keys.find(junk) is None
    assert await api_keys.revoke(made.id)
    assert not await api_keys.revoke(made.id)
    assert await api_keys.find(text) is None
    assert await api_keys.list() == []
