"""Addresses of a campaign besides its destination: what people who write one are told of them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from linkgate import campaigns
from linkgate.campaigns import Campaign
from linkgate.errors import Invalid

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
CHECKOUT = {"line_items": [{"price": "price_1"}]}
PORTAL = {"kind": "portal"}


def written(address: str, field: str) -> Campaign:
    more: dict[str, Any] = {"destination": CHECKOUT, "completed_url": address}
    if field == "destination.login_url":
        more = {"destination": {**PORTAL, "login_url": address}}
    return campaigns.create({"slug": "s", "name": "S", **more}, NOW)


@pytest.mark.parametrize("field", ["completed_url", "destination.login_url"])
@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example@other.example/",
        "https://user:pw@shop.example/",
        "https://other.example\\.shop.example/",
        "https://shop.example:99999/",
        "https://\u2024.\u2024/",
    ],
)
def test_an_address_that_may_lead_elsewhere_is_refused(address: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        written(address, field)
    assert [problem.field for problem in caught.value.problems] == [field]
    assert "pw" not in str(caught.value.problems)


@pytest.mark.parametrize("field", ["completed_url", "destination.login_url"])
def test_one_that_was_kept_before_stays_readable(field: str) -> None:
    kept = written("https://shop.example/", field).model_dump_json()
    older = Campaign.model_validate_json(kept.replace("//shop", "//user:pw@shop"))
    with pytest.raises(Invalid) as caught:
        campaigns.change(older, {"name": "T"}, NOW)
    assert [problem.field for problem in caught.value.problems] == [field]
