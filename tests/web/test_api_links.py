"""Links through the API: issued without a trace, looked up, revoked."""

import base64
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from linkgate.payments import Session, SessionState
from linkgate.store import keys
from linkgate.store.apikeys import Scope
from tests.web.conftest import DAY, NOW, Api, fields, problem

SESSION = Session(
    id="cs_test_1",
    url="https://checkout.stripe.com/c/pay/cs_test_1",
    state=SessionState.OPEN,
    attempt=1,
    created_at=int(NOW),
    expires_at=int(NOW) + 1800,
    amount_total=1900,
    currency="eur",
)


async def size(api: Api) -> int:
    return int(await api.gateway.store.connection.client.dbsize())


def seconds(text: str) -> float:
    assert text.endswith("Z")
    return datetime.fromisoformat(text).timestamp()


async def test_a_created_link_is_answered_whole(api: Api) -> None:
    await api.campaign()
    body = {
        "campaign": "spring",
        "recipient": "r-1001",
        "sent_at": "2040-01-02T08:00:00+01:00",
        "customer": "cus_NffrFeUfNV2Hib",
        "metadata": {},
    }
    answer = await api.post("/links", body, scope=Scope.LINKS_WRITE)
    assert answer.status_code == 201
    link = answer.json()
    assert set(link) == {
        *("id", "campaign", "recipient", "url", "token", "decoy_url", "sent_at", "expires_at")
    }
    assert link["url"] == f"https://go.example.com/l/{link['token']}"
    assert link["decoy_url"].startswith("https://go.example.com/l/")
    assert link["decoy_url"] != link["url"]
    assert link["sent_at"] == "2040-01-02T07:00:00Z"
    assert link["expires_at"] == "2040-04-01T07:00:00Z"
    assert (link["campaign"], link["recipient"]) == ("spring", "r-1001")
    reading = api.gateway.tokens.read(link["token"], NOW)
    assert reading.link.id == link["id"]
    assert reading.link.customer == "cus_NffrFeUfNV2Hib"
    assert (await api.client.get(answer.headers["location"])).status_code == 401


async def test_the_location_of_a_new_link_is_there(api: Api) -> None:
    await api.campaign()
    answer = await api.post("/links", {"campaign": "spring", "recipient": "r-1"})
    path = answer.headers["location"].removeprefix("https://go.example.com/api/v1")
    assert (await api.get(path)).json()["state"] == "issued"


async def test_issuing_a_link_stores_nothing(api: Api) -> None:
    # Law 6.
    await api.campaign()
    await api.post("/links", {"campaign": "spring", "recipient": "warm-up"})
    before = await size(api)
    for number in range(20):
        await api.link(
            recipient=f"r-{number}", sent_at="2040-01-02T08:00:00Z", customer="cus_1", metadata={}
        )
    await api.gateway.store.recorder.flush()
    assert await size(api) == before


async def test_private_attributes_are_kept_apart_and_go_with_the_link(api: Api) -> None:
    # Law 10: nothing personal in the token.
    await api.campaign()
    before = await size(api)
    link = await api.link(email="someone@example.com", metadata={"order": "  7 "})
    assert await size(api) == before + 1
    payload = link["token"].partition(".")[0]
    claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    assert "someone" not in claims
    assert "order" not in claims
    client = api.gateway.store.connection.client
    kept = await client.get(keys.private(link["id"]))
    assert json.loads(kept or "{}") == {
        "email": "someone@example.com",
        "metadata": {"order": "  7 "},
    }
    retention = api.gateway.config.store.retention_days * DAY
    expires = await client.expiretime(keys.private(link["id"]))
    assert expires == seconds(link["expires_at"]) + retention


@pytest.mark.parametrize(
    ("campaign", "link", "expires"),
    [
        ({}, {}, "2040-03-31T00:00:00Z"),
        ({"link_days": 10}, {}, "2040-01-11T00:00:00Z"),
        ({"link_days": 10}, {"sent_at": "2040-02-01T00:00:00Z"}, "2040-02-11T00:00:00Z"),
        ({"link_days": 10}, {"sent_at": "2039-02-01T00:00:00Z"}, "2040-01-11T00:00:00Z"),
        ({"link_days": 10, "sent_at": "2040-02-01T00:00:00Z"}, {}, "2040-02-11T00:00:00Z"),
        ({}, {"expires_at": "2040-01-05T10:00:00Z"}, "2040-01-05T10:00:00Z"),
        ({}, {"expires_at": "2040-01-05T10:00:01Z"}, "2040-01-05T11:00:00Z"),
        # 400 days at most, however late the e-mail goes out.
        ({"link_days": 400}, {"sent_at": "2040-12-01T00:00:00Z"}, "2041-02-04T00:00:00Z"),
        ({}, {"expires_at": "2041-02-04T00:00:00Z"}, "2041-02-04T00:00:00Z"),
    ],
)
async def test_when_a_link_expires(
    api: Api, campaign: dict[str, Any], link: dict[str, Any], expires: str
) -> None:
    await api.campaign(**campaign)
    made = await api.link(**link)
    assert made["expires_at"] == expires
    assert api.gateway.tokens.read(made["token"], NOW).link.expires_at == seconds(expires)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"campaign": "nowhere"}, {"campaign": "there is no campaign nowhere; create it first"}),
        ({"expires_at": "2040-01-01T00:00:00Z"}, {"expires_at": "has passed already"}),
        (
            {"expires_at": "2041-02-04T00:00:01Z"},
            {"expires_at": "may be 400 days ahead at most (links.max_days)"},
        ),
        (
            {"expires_at": "2040-01-02T00:00:00Z", "sent_at": "2040-01-03T00:00:00Z"},
            {"expires_at": "must be after sent_at"},
        ),
        (
            {"sent_at": "2041-02-04T00:00:00Z"},
            {"sent_at": "lies further ahead than a link may live (400 days)"},
        ),
        (
            {"campaign": "nowhere", "expires_at": "1970-01-01T00:00:00Z"},
            {
                "campaign": "there is no campaign nowhere; create it first",
                "expires_at": "has passed already",
            },
        ),
        ({"customer": "someone"}, {"customer": "must be the id of a customer at Stripe"}),
        ({"email": "someone"}, {"email": "must be an e-mail address"}),
        ({"email": "some..one@example.com"}, {"email": "must be an e-mail address"}),
        ({"email": "someone@localhost"}, {"email": "must be an e-mail address"}),
        ({"recipient": "ü"}, {"recipient": "must be 1 to 128 of"}),
        ({"recipient": "x" * 129}, {"recipient": "must be 1 to 128 of"}),
        ({"recipient": ""}, {"recipient": "must be 1 to 128 of"}),
        ({"recipient": 7}, {"recipient": "must be a text"}),
        ({"recipiant": "x"}, {"recipiant": "is not a field here; did you mean recipient?"}),
        ({"metadata": {"linkgate_link": "x"}}, {"metadata.linkgate_link": "linkgate's own"}),
        (
            {"metadata": {"k" * 41: "x", "a[b]": "x", "n": 1, "long": "x" * 501}},
            {
                f"metadata.{'k' * 41}": "1 to 40 characters",
                "metadata.a[b]": "without square brackets",
                "metadata.n": "must be a text",
                "metadata.long": "must have 500 characters or fewer",
            },
        ),
        (
            {"metadata": {f"k{n}": "x" for n in range(47)}},
            {"metadata": "must have 46 or fewer entries"},
        ),
        ({"sent_at": "0001-01-01T00:00:00+14:00"}, {"sent_at": "outside the years 1 to 9999"}),
    ],
)
async def test_a_link_that_can_not_be_made_says_why(
    api: Api, wrong: dict[str, Any], said: dict[str, str]
) -> None:
    await api.campaign()
    before = await size(api)
    answer = await api.post("/links", {"campaign": "spring", "recipient": "r-1", **wrong})
    found = fields(answer)
    assert set(found) == set(said)
    for name, words in said.items():
        assert words in found[name]
    assert await size(api) == before


async def test_an_address_is_no_recipient(api: Api) -> None:
    await api.campaign()
    answer = await api.post("/links", {"campaign": "spring", "recipient": "someone@example.com"})
    said = fields(answer)["recipient"]
    assert "opaque id" in said
    assert "as email" in said
    assert "someone@" not in answer.text


async def test_46_keys_of_metadata_are_taken(api: Api) -> None:
    await api.campaign()
    await api.link(metadata={f"{n:040}": "x" * 500 for n in range(46)})


async def test_an_ended_campaign_takes_no_new_links_and_a_paused_one_does(api: Api) -> None:
    await api.campaign()
    await api.post("/campaigns/spring/pause")
    await api.link()
    await api.post("/campaigns/spring/end")
    answer = await api.post("/links", {"campaign": "spring", "recipient": "r-2"})
    assert answer.status_code == 409
    assert "ended" in problem(answer)["detail"]


async def test_the_same_recipient_has_the_same_link(api: Api) -> None:
    await api.campaign()
    first = await api.link()
    api.clock.now += 5 * DAY
    second = await api.link()
    assert first["id"] == second["id"]
    assert first["token"] != second["token"]
    assert (await api.link(recipient="r-2"))["id"] != first["id"]


async def test_an_untouched_link_is_known_by_its_token_alone(api: Api) -> None:
    await api.campaign()
    link = await api.link()
    picture = (await api.get(f"/links/{link['token']}")).json()
    assert picture == {
        "id": link["id"],
        "campaign": "spring",
        "recipient": "r-1001",
        "state": "issued",
        "url": link["url"],
        "expires_at": link["expires_at"],
        "revoked_at": None,
        "visits": [],
        "sessions": [],
        "reminder": None,
    }
    answer = await api.get(f"/links/{link['id']}")
    assert answer.status_code == 404
    assert "token" in problem(answer)["detail"]


async def test_a_visit_is_shown_at_once_with_its_evidence(api: Api) -> None:
    # Law 8.
    await api.campaign()
    link = await api.link()
    await api.scan(link["url"])
    for name in (link["token"], link["id"]):
        picture = (await api.get(f"/links/{name}", scope=Scope.STATS_READ)).json()
        assert picture["state"] == "visited"
        assert (picture["campaign"], picture["recipient"]) == ("spring", "r-1001")
        [visit] = picture["visits"]
        assert visit["at"] == "2040-01-01T00:00:00Z"
        assert (visit["verdict"], visit["kind"]) == ("automated", "tool")
        assert visit["decision"] == "interstitial"
        assert visit["reason"]
        assert visit["address"] == "127.0.0.0/24"
        named = {"rule", "points_to", "kind", "reason", "authority"}
        assert all(set(evidence) == named for evidence in visit["evidence"])
        told = {(one["points_to"], one["kind"], one["authority"]) for one in visit["evidence"]}
        assert ("automated", "tool", "rule") in told


async def test_a_law_s_finding_is_shown_as_a_law_s(api: Api) -> None:
    await api.campaign()
    link = await api.link()
    await api.scan(link["decoy_url"])
    [visit] = (await api.get(f"/links/{link['id']}")).json()["visits"]
    words = {evidence["rule"]: evidence["authority"] for evidence in visit["evidence"]}
    assert words["decoy"] == "law"
    assert words["agent-tool"] == "rule"


async def test_visits_are_shown_newest_first(api: Api) -> None:
    await api.campaign()
    link = await api.link()
    for _ in range(3):
        await api.scan(link["url"])
        api.clock.now += 60
    times = [v["at"] for v in (await api.get(f"/links/{link['id']}")).json()["visits"]]
    assert times == [f"2040-01-01T00:0{minute}:00Z" for minute in (2, 1, 0)]


async def test_a_decoy_is_looked_up_as_its_link(api: Api) -> None:
    await api.campaign()
    link = await api.link()
    await api.scan(link["decoy_url"])
    decoy = link["decoy_url"].rpartition("/")[2]
    picture = (await api.get(f"/links/{decoy}")).json()
    assert picture["id"] == link["id"]
    assert picture["url"] == link["url"]
    assert len(picture["visits"]) == 1


@pytest.mark.parametrize("junk", [".", ")", "%0D", "%3Futm_source=mail", ",%20", "="])
async def test_a_mangled_token_is_looked_up(api: Api, junk: str) -> None:
    await api.campaign()
    link = await api.link()
    assert (await api.get(f"/links/{link['token']}{junk}")).json()["id"] == link["id"]


async def test_an_expired_token_is_looked_up(api: Api) -> None:
    await api.campaign()
    link = await api.link()
    api.clock.now += 91 * DAY
    assert (await api.get(f"/links/{link['token']}")).json()["state"] == "expired"


async def test_sessions_and_states_are_shown(api: Api) -> None:
    await api.campaign()
    link = await api.link()
    books = api.gateway.books

    async def picture() -> Any:
        return (await api.get(f"/links/{link['token']}")).json()

    await books.hear_session(link["id"], SESSION)
    shown = await picture()
    assert shown["state"] == "open"
    assert shown["sessions"] == [
        {
            "id": "cs_test_1",
            "state": "open",
            "created_at": "2040-01-01T00:00:00Z",
            "expires_at": "2040-01-01T00:30:00Z",
            "amount_total": 1900,
            "currency": "eur",
            "attempt": 1,
        }
    ]
    assert "checkout.stripe.com" not in json.dumps(shown)

    api.clock.now += 1800
    shown = await picture()
    assert shown["sessions"][0]["state"] == "expired"

    await books.hear_session(link["id"], replace(SESSION, state=SessionState.PAID))
    shown = await picture()
    assert (shown["state"], shown["sessions"][0]["state"]) == ("paid", "paid")
    assert (await api.post(f"/links/{link['id']}/revoke")).json()["state"] == "paid"


@pytest.mark.parametrize("by", ["id", "token"])
async def test_a_revoked_link_leads_nowhere(api: Api, by: str) -> None:
    await api.campaign()
    link = await api.link()
    answer = await api.post(f"/links/{link[by]}/revoke", scope=Scope.LINKS_WRITE)
    assert answer.status_code == 200
    assert answer.json()["state"] == "revoked"
    assert answer.json()["revoked_at"] == "2040-01-01T00:00:00Z"
    api.clock.now += 60
    again = await api.post(f"/links/{link[by]}/revoke")
    assert again.status_code == 200
    assert again.json() == answer.json()
    entered = await api.gateway.store.links.enter(
        api.gateway.tokens.read(link["token"], NOW).link, None, None
    )
    assert entered.gate == "revoked"


async def test_a_revocation_outlives_every_token_of_the_link(api: Api) -> None:
    await api.campaign()
    link = await api.link(expires_at="2041-02-04T00:00:00Z")
    await api.post(f"/links/{link['id']}/revoke")
    expires = await api.gateway.store.connection.client.expiretime(keys.link(link["id"]))
    retention = api.gateway.config.store.retention_days * DAY
    assert expires >= seconds(link["expires_at"]) + retention


async def test_a_revoked_link_is_not_issued_again(api: Api) -> None:
    await api.campaign()
    link = await api.link()
    await api.post(f"/links/{link['token']}/revoke")
    answer = await api.post("/links", {"campaign": "spring", "recipient": "r-1001"})
    assert answer.status_code == 409
    assert "revoked" in problem(answer)["detail"]
    await api.link(recipient="r-1002")


@pytest.mark.parametrize(
    "name",
    [
        "lnk_short",
        "spring",
        "%00",
        "a" * 3000,
        "WyJzcHJpbmciLCJyLTEiLDUwMDgxN10." + "A" * 43,
        "%F0%9F%A4%96",
        "lnk_" + "0" * 33,
    ],
)
@pytest.mark.parametrize("step", ["", "/revoke"])
async def test_what_is_neither_id_nor_token_is_not_found(api: Api, name: str, step: str) -> None:
    await api.get("/keys")
    before = await size(api)
    answer = await api.send("POST" if step else "GET", f"/links/{name}{step}")
    assert answer.status_code == 404
    assert "neither" in problem(answer)["detail"]
    assert await size(api) == before
