"""Campaigns through the API."""

from typing import Any

import pytest

from linkgate import campaigns
from linkgate.campaigns import Campaign
from linkgate.store.apikeys import Scope
from tests.web.conftest import CAMPAIGN, Api, fields, problem


def destination(**changes: Any) -> dict[str, Any]:
    return {**CAMPAIGN["destination"], **changes}  # type: ignore[dict-item]


async def test_a_created_campaign_is_answered_whole(api: Api) -> None:
    answer = await api.post(
        "/campaigns", {**CAMPAIGN, "policy": "confirm", "sent_at": "2040-05-01T10:00:00+02:00"}
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == "https://go.example.com/api/v1/campaigns/spring"
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert made["destination"] == {
        **destination(),
        "line_items": [
            {
                "price": "price_123",
                "price_data": None,
                "quantity": 1,
                "metered": False,
                "adjustable_quantity": None,
                "tax_rates": None,
            }
        ],
        "cancel_url": None,
        "currency": None,
        "allow_promotion_codes": None,
        "automatic_tax": None,
        "trial_days": None,
        "locale": None,
        "customer_update": None,
        "existing_customer": "portal",
        "recovery": False,
        "params": {},
    }
    del made["destination"]
    assert made == {
        "slug": "spring",
        "name": "Spring sale",
        "policy": "confirm",
        "sent_at": "2040-05-01T08:00:00Z",
        "scan_minutes": None,
        "public": False,
        "public_prices": [],
        "max_payments": None,
        "completed_url": None,
        "reminder": None,
        "session_minutes": 30,
        "reuse_minutes": 2,
        "link_days": None,
        "status": "active",
        "created_at": "2040-01-01T00:00:00Z",
        "updated_at": "2040-01-01T00:00:00Z",
        "revision": 1,
        "trouble": None,
    }


async def test_what_was_created_is_read_back(api: Api) -> None:
    made = await api.campaign()
    answer = await api.get("/campaigns/spring")
    assert answer.status_code == 200
    assert answer.json() == made


async def test_a_slug_is_given_once(api: Api) -> None:
    await api.campaign()
    answer = await api.post("/campaigns", {**CAMPAIGN, "name": "Another"})
    assert answer.status_code == 409
    assert "spring" in problem(answer)["detail"]
    assert (await api.get("/campaigns/spring")).json()["name"] == "Spring sale"


async def test_campaigns_are_listed_newest_first(api: Api) -> None:
    assert (await api.get("/campaigns")).json() == {"campaigns": []}
    for slug in ("one", "two", "three"):
        await api.campaign(slug=slug)
        api.clock.now += 1
    listed = (await api.get("/campaigns")).json()["campaigns"]
    assert [campaign["slug"] for campaign in listed] == ["three", "two", "one"]
    assert listed[0]["destination"]["success_url"] == "https://shop.example.com/thanks"


async def test_a_change_is_merged(api: Api) -> None:
    await api.campaign(session_minutes=60, sent_at="2040-05-01T08:00:00Z")
    api.clock.now += 60
    answer = await api.patch(
        "/campaigns/spring",
        {
            "policy": "direct",
            "sent_at": None,
            "destination": {"line_items": [{"price": "price_9"}]},
        },
    )
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["policy"] == "direct"
    assert changed["sent_at"] is None
    assert changed["session_minutes"] == 60
    assert [item["price"] for item in changed["destination"]["line_items"]] == ["price_9"]
    assert changed["destination"]["success_url"] == "https://shop.example.com/thanks"
    assert changed["revision"] == 2
    assert changed["updated_at"] == "2040-01-01T00:01:00Z"
    assert (await api.get("/campaigns/spring")).json() == changed


async def test_a_change_names_every_wrong_field(api: Api) -> None:
    await api.campaign()
    wrong = fields(await api.patch("/campaigns/spring", {"policy": "lax", "name": None}))
    assert wrong == {
        "policy": "must be 'adaptive', 'confirm' or 'direct'",
        "name": "is required",
    }
    assert (await api.get("/campaigns/spring")).json()["revision"] == 1


@pytest.mark.parametrize("body", [b"{}", b""])
async def test_a_change_of_nothing_is_told_so(api: Api, body: bytes) -> None:
    await api.campaign()
    answer = await api.send("PATCH", "/campaigns/spring", content=body)
    assert fields(answer) == {"body": "names nothing to change"}


async def test_the_slug_and_the_status_are_not_changed_by_a_patch(api: Api) -> None:
    await api.campaign()
    wrong = fields(await api.patch("/campaigns/spring", {"slug": "autumn", "status": "ended"}))
    assert "/end" in wrong["status"]
    assert "slug" in wrong


async def test_a_campaign_pauses_resumes_and_ends_for_good(api: Api) -> None:
    await api.campaign()
    for step, status in [("pause", "paused"), ("pause", "paused"), ("resume", "active")]:
        answer = await api.post(f"/campaigns/spring/{step}")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert (await api.get("/campaigns/spring")).json()["status"] == status
    assert (await api.post("/campaigns/spring/end")).json()["status"] == "ended"
    assert (await api.post("/campaigns/spring/end")).status_code == 200
    for step in ("pause", "resume"):
        answer = await api.post(f"/campaigns/spring/{step}")
        assert answer.status_code == 409
        assert "ended" in problem(answer)["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/campaigns/nowhere"),
        ("PATCH", "/campaigns/nowhere"),
        ("POST", "/campaigns/nowhere/pause"),
        ("POST", "/campaigns/nowhere/end"),
        ("GET", "/stats?campaign=nowhere"),
    ],
)
async def test_a_campaign_that_is_not_there_is_not_found(api: Api, method: str, path: str) -> None:
    how: dict[str, Any] = {"json": {"name": "x"}} if method == "PATCH" else {}
    answer = await api.send(method, path, **how)
    assert answer.status_code == 404
    assert "nowhere" in problem(answer)["detail"]


@pytest.mark.parametrize("step", ["PATCH", "pause"])
async def test_a_change_by_somebody_else_in_between_is_not_undone(
    api: Api, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.campaign()
    store = api.gateway.store.campaigns
    read = store.read

    async def read_and_be_overtaken(slug: str) -> Campaign:
        known = await read(slug)
        theirs = campaigns.change(known, {"name": "Theirs"}, known.updated_at)
        await store.put(theirs, replaces=known)
        return known

    with monkeypatch.context() as patched:
        patched.setattr(store, "read", read_and_be_overtaken)
        if step == "PATCH":
            answer = await api.patch("/campaigns/spring", {"policy": "direct"})
        else:
            answer = await api.post(f"/campaigns/spring/{step}")
    assert answer.status_code == 409
    assert "read it again" in problem(answer)["detail"]
    kept = (await api.get("/campaigns/spring")).json()
    assert (kept["name"], kept["policy"], kept["status"]) == ("Theirs", "adaptive", "active")


async def test_the_last_refusal_of_stripes_is_shown_until_a_change(api: Api) -> None:
    await api.campaign()
    await api.gateway.store.campaigns.report_trouble(
        "spring", "2040-01-01T00:00:00+00:00", "No such price: 'price_123'"
    )
    trouble = {"at": "2040-01-01T00:00:00Z", "message": "No such price: 'price_123'"}
    assert (await api.get("/campaigns/spring")).json()["trouble"] == trouble
    changed = await api.patch(
        "/campaigns/spring", {"destination": {"line_items": [{"price": "p"}]}}
    )
    assert changed.json()["trouble"] is None
    assert (await api.get("/campaigns/spring")).json()["trouble"] is None


async def test_every_wrong_field_is_named_at_once_in_plain_words(api: Api) -> None:
    wrong = fields(
        await api.post(
            "/campaigns",
            {
                "slug": "Spring Sale",
                "name": "",
                "polcy": "adaptive",
                "scan_minutes": 1441,
                "session_minutes": "soon",
                "link_days": 1.5,
                "public": "perhaps",
                "sent_at": "2040-05-01",
                "destination": {
                    "mode": "gift",
                    "success_url": "javascript:alert(1)",
                    "line_items": [{"price": 5, "quantity": 0, "quantitty": 1}, 3],
                    "params": [],
                },
            },
        )
    )
    assert wrong == {
        "slug": "must be 1 to 48 lower-case letters, digits and hyphens, and begin with no hyphen, "
        "as in spring-sale",
        "name": "must not be empty",
        "polcy": "is not a field here; did you mean policy?",
        "scan_minutes": "must be 1440 or less",
        "session_minutes": "must be a whole number",
        "link_days": "must be a whole number",
        "public": "must be true or false",
        "sent_at": 'must be a time with a zone, as in "2026-05-01T08:00:00Z"',
        "destination.mode": "must be 'payment', 'subscription' or 'setup'",
        "destination.success_url": "must be an https:// address (http:// only for localhost)",
        "destination.line_items.0.price": "must be a text",
        "destination.line_items.0.quantity": "must be 1 or more",
        "destination.line_items.0.quantitty": "is not a field here; did you mean quantity?",
        "destination.line_items.1": "must be an object",
        "destination.params": "must be an object",
    }
    assert (await api.get("/campaigns")).json() == {"campaigns": []}


async def test_links_can_not_be_made_to_outlive_what_the_configuration_allows(api: Api) -> None:
    await api.campaign(link_days=400)
    wrong = fields(await api.post("/campaigns", {**CAMPAIGN, "slug": "x", "link_days": 401}))
    assert wrong == {"link_days": "must be at most 400 (links.max_days)"}
    assert "link_days" in fields(await api.patch("/campaigns/spring", {"link_days": 401}))


async def test_what_was_counted_is_shown_at_once(api: Api) -> None:
    await api.campaign()
    link = await api.link()
    await api.scan(link["url"])
    await api.scan(link["url"])
    answer = await api.get("/stats?campaign=spring", scope=Scope.STATS_READ)
    assert answer.status_code == 200
    assert answer.json() == {
        "campaign": "spring",
        "counters": {"decisions.interstitial": 2, "visits.tool": 2},
    }


async def test_stats_need_one_campaign(api: Api) -> None:
    assert "campaign" in fields(await api.get("/stats"))
    assert "campaign" in fields(await api.get("/stats?campaign="))
