"""Campaigns: what is valid, what is not and how it is said, and what a change leaves alone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from linkgate import campaigns
from linkgate.campaigns import Campaign, Policy, Status
from linkgate.destinations.checkout import OWN_PARAMETERS
from linkgate.errors import Conflict, Invalid

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
LATER = datetime(2026, 5, 2, 8, tzinfo=UTC)


def body(**changes: Any) -> dict[str, Any]:
    return {
        "slug": "spring",
        "name": "Spring sale",
        "destination": {
            "kind": "checkout",
            "mode": "payment",
            "line_items": [{"price": "price_123", "quantity": 1}],
            "success_url": "https://shop.example.com/thanks",
        },
        **changes,
    }


def destination(**changes: Any) -> dict[str, Any]:
    return {**body()["destination"], **changes}


def problems(data: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        campaigns.create(data, NOW)
    return {problem.field: problem.message for problem in caught.value.problems}


def test_a_campaign_has_sensible_defaults() -> None:
    campaign = campaigns.create(body(), NOW)
    assert campaign.policy is Policy.ADAPTIVE
    assert campaign.status is Status.ACTIVE
    assert (campaign.session_minutes, campaign.reuse_minutes) == (30, 2)
    assert campaign.created_at == campaign.updated_at == NOW


def test_it_survives_being_stored() -> None:
    campaign = campaigns.create(body(sent_at="2026-05-01T10:00:00+02:00"), NOW)
    assert Campaign.model_validate_json(campaign.model_dump_json()) == campaign
    assert campaign.sent_at == NOW


def test_every_wrong_field_is_named_at_once() -> None:
    wrong = body(
        slug="Not A Slug",
        name="",
        polcy="adaptive",
        policy="whatever",
        sent_at="yesterday",
        session_minutes=5,
        destination=destination(
            line_items=[{"quantity": 0}], success_url="javascript:alert(1)", cancel_url="ftp://x"
        ),
    )
    assert set(problems(wrong)) >= {
        "slug",
        "name",
        "polcy",
        "policy",
        "sent_at",
        "session_minutes",
        "destination.line_items.0.quantity",
        "destination.success_url",
        "destination.cancel_url",
    }


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://shop.example.com/",
        "//shop.example.com/",
        "https://",
        "shop.example.com",
        "https://shop.example.com/a b",
        "https://shop.example.com/\nx",
        "ht\ttps://shop.example.com/",
        "https://[::1",
        "",
    ],
)
def test_people_are_only_sent_to_https(address: str) -> None:
    assert "destination.success_url" in problems(body(destination=destination(success_url=address)))


@pytest.mark.parametrize(
    "address", ["http://localhost:3000/x", "http://127.0.0.1/", "https://a.b/"]
)
def test_a_developers_own_machine_may_speak_http(address: str) -> None:
    campaign = campaigns.create(body(destination=destination(success_url=address)), NOW)
    assert campaign.destination.success_url == address


@pytest.mark.parametrize("sent_at", [1777622400, "1777622400", "2026-05-01T08:00:00", True, "soon"])
def test_a_time_needs_a_zone_and_no_guessing(sent_at: Any) -> None:
    assert "sent_at" in problems(body(sent_at=sent_at))


def test_modes_and_line_items_have_to_fit() -> None:
    assert "line_items" in problems(body(destination=destination(line_items=[])))["destination"]
    assert "setup" in problems(body(destination=destination(mode="setup")))["destination"]
    setup = destination(mode="setup", line_items=[], currency="eur")
    assert campaigns.create(body(destination=setup), NOW)


def test_a_line_item_has_exactly_one_price() -> None:
    for item in ({"quantity": 1}, {"price": "price_1", "price_data": {"currency": "eur"}}):
        assert "exactly one" in str(problems(body(destination=destination(line_items=[item]))))


@pytest.mark.parametrize("name", sorted(OWN_PARAMETERS))
def test_params_can_not_undo_what_linkgate_sets(name: str) -> None:
    assert name in problems(body(destination=destination(params={name: "x"})))["destination"]


@pytest.mark.parametrize(
    "params",
    [
        {"metadata": "x"},
        {"metadata": [1]},
        {"metadata": {"a": {}}},
        {"metadata": {"a" * 41: "x"}},
        {"metadata": {f"k{n}": "x" for n in range(47)}},
        {"payment_intent_data": "x"},
        {"payment_intent_data": {"metadata": "x"}},
        {"subscription_data": [1]},
        {"after_expiration[recovery][enabled]": "true"},
        {"automatic_tax": {"enabled[]": True}},
        {"": "x"},
    ],
    ids=str,
)
def test_params_that_could_not_carry_our_metadata_are_refused(params: dict[str, Any]) -> None:
    assert "params" in problems(body(destination=destination(params=params)))["destination"]


@pytest.mark.parametrize("data", [None, 1, "x", [], {"slug": None}])
def test_anything_that_is_no_campaign_is_told_so(data: Any) -> None:
    assert problems(data)


def test_a_change_merges_and_counts() -> None:
    campaign = campaigns.create(body(), NOW)
    changed = campaigns.change(
        campaign,
        {"policy": "confirm", "destination": {"line_items": [{"price": "price_9"}]}},
        LATER,
    )
    assert changed.policy is Policy.CONFIRM
    assert [item.price for item in changed.destination.line_items] == ["price_9"]
    assert changed.destination.success_url == campaign.destination.success_url
    assert (changed.revision, changed.created_at, changed.updated_at) == (2, NOW, LATER)


def test_null_resets_a_field() -> None:
    campaign = campaigns.create(body(policy="direct", sent_at="2026-05-01T08:00:00Z"), NOW)
    changed = campaigns.change(campaign, {"policy": None, "sent_at": None}, LATER)
    assert changed.policy is Policy.ADAPTIVE
    assert changed.sent_at is None


@pytest.mark.parametrize("field", ["slug", "status", "created_at", "updated_at", "revision"])
def test_some_fields_are_not_changed_by_a_patch(field: str) -> None:
    with pytest.raises(Invalid) as caught:
        campaigns.change(campaigns.create(body(), NOW), {field: "x"}, LATER)
    assert [problem.field for problem in caught.value.problems] == [field]


def test_an_ended_campaign_stays_ended() -> None:
    campaign = campaigns.create(body(), NOW)
    paused = campaigns.change_status(campaign, Status.PAUSED, LATER)
    assert campaigns.change_status(paused, Status.ACTIVE, LATER).status is Status.ACTIVE
    ended = campaigns.change_status(paused, Status.ENDED, LATER)
    assert campaigns.change_status(ended, Status.ENDED, LATER) is ended
    with pytest.raises(Conflict, match="ended"):
        campaigns.change_status(ended, Status.ACTIVE, LATER)
