"""The url destination: what the address becomes, whom it leads, and what its proof proves."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import pytest

from linkgate import campaigns, proofs
from linkgate.campaigns import secrets_of
from linkgate.destinations.location import ascii_address, merged, origin, read_target
from linkgate.errors import Invalid
from linkgate.tokens import Keyring, Link, Purpose
from tests.destinations.conftest import secret
from tests.stack import SCANNER, SUSPECT, Stack

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
OFFER = "https://shop.example.com/offer?from=mail&id=old#top"


def goal(**changes: Any) -> dict[str, Any]:
    return {"kind": "url", "url": OFFER, **changes}


def refused(destination: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        campaigns.create({"slug": "s", "name": "S", "destination": destination}, NOW)
    return {problem.field: problem.message for problem in caught.value.problems}


async def led(stack: Stack, **changes: Any) -> Any:
    """Make a url campaign; `Stack.campaign` would add a checkout's fields."""
    data = {"slug": "offer", "name": "Offer", "policy": "direct", **changes}
    campaign = campaigns.create(data, datetime.now(UTC))
    await stack.gateway.store.campaigns.put(campaign, replaces=None)
    return campaign


@pytest.mark.parametrize(
    ("address", "params", "becomes"),
    [
        ("https://a.example/x", {}, "https://a.example/x"),
        ("https://a.example/x", {"id": "1"}, "https://a.example/x?id=1"),
        ("https://a.example?b=2#c?d", {"id": "1"}, "https://a.example?b=2&id=1#c?d"),
        ("https://a.example/?id=0&b=%2F+x&id=9", {"id": "1"}, "https://a.example/?b=%2F+x&id=1"),
        ("https://a.example/?%69d=0&b", {"id": "1"}, "https://a.example/?b&id=1"),
        ("https://a.example/?", {"q": "a b&c=d#é"}, "https://a.example/?q=a%20b%26c%3Dd%23%C3%A9"),
        ("https://a.example/#/app?x=1", {"id": ""}, "https://a.example/?id=#/app?x=1"),
    ],
)
def test_parameters_are_set_and_the_rest_stays(
    address: str, params: dict[str, str], becomes: str
) -> None:
    assert merged(address, params) == becomes


@pytest.mark.parametrize(
    ("address", "becomes", "comes_from"),
    [
        (
            "https://bücher.example/ä?ö=ü#ß",
            "https://xn--bcher-kva.example/%C3%A4?%C3%B6=%C3%BC#%C3%9F",
            "https://xn--bcher-kva.example",
        ),
        (
            "https://Shop.Example:443/a%2Fb/",
            "https://shop.example:443/a%2Fb/",
            "https://shop.example",
        ),
        ("http://[::1]:8000/x", "http://[::1]:8000/x", "http://[::1]:8000"),
        ("https://a.example", "https://a.example", "https://a.example"),
    ],
)
def test_a_location_is_ascii(address: str, becomes: str, comes_from: str) -> None:
    assert ascii_address(address) == becomes
    assert origin(becomes) == comes_from


@pytest.mark.parametrize(
    "address",
    [
        "http://shop.example.com/",
        "javascript:alert(1)",
        "//x.example",
        "https://",
        "https://u:p@x.example/",
        "https://shop@x.example/",
        "https://x.example:99999/",
        "https://x.example\\.shop.example/",
        "https://-.-.example\u0000",
        "https://\u2024.\u2024/",
        "https://x.example/\r\nSet-Cookie: a",
        5,
        None,
        ["https://x.example"],
    ],
)
def test_people_are_sent_to_addresses_alone(address: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_target(address)
    assert "destination.url" in refused(goal(url=address))


def test_what_does_not_fit_is_said() -> None:
    assert refused({"kind": "url"}) == {"destination.url": "is required"}
    unknown = refused(goal(params={"a": "{recipient}", "b": "{email}"}))
    assert "{recipient}" in unknown["destination.params.b"]
    assert set(unknown) == {"destination.params.b"}
    twice = refused(goal(params={"linkgate_proof": "x"}, proof=True))
    assert "linkgate_proof" in twice["destination"]
    assert "params" in refused(goal(param={}))["destination.param"]
    assert refused(goal(proof_seconds=30, proof_parameter="a b")).keys() == {
        "destination.proof_seconds",
        "destination.proof_parameter",
    }


async def test_people_are_led_there_and_machines_are_not(stack: Stack) -> None:
    params = {"id": "{recipient}", "c": "{campaign}/{link_id}", "plain": "{}"}
    await led(stack, destination=goal(params=params, proof=True))
    link = stack.link("r~1/2=|+3", campaign="offer")
    answer = await stack.get(stack.path(link))
    parts = urlsplit(answer.location)
    assert (answer.status, parts.netloc, parts.fragment) == (303, "shop.example.com", "top")
    query = parse_qsl(parts.query, strict_parsing=True)
    assert query[:4] == [
        ("from", "mail"),
        ("id", "r~1/2=|+3"),
        ("c", f"offer/{link.id}"),
        ("plain", "{}"),
    ]
    assert [name for name, _ in query[4:]] == ["linkgate_proof"]

    for headers, method in ((SCANNER, "GET"), (SCANNER, "HEAD")):
        page = await stack.ask(method, stack.path(link), headers)
        assert (page.status, page.location) == (200, "")
        assert "linkgate_proof" not in page.text
        assert "shop.example.com/offer" not in page.text
    prefetch = await stack.get(stack.path(link), {**SUSPECT, "Sec-Purpose": "prefetch"})
    assert (prefetch.status, prefetch.location) == (503, "")
    assert await stack.sessions() == []
    row = await stack.row(link)
    assert [visit["outcome"] for visit in row.visits if visit.get("outcome")] == ["led to url"]


async def test_the_button_speaks_of_no_checkout_and_leads_on(stack: Stack) -> None:
    await led(stack, destination=goal(), policy="confirm")
    link = stack.link(campaign="offer")
    page = await stack.get(stack.path(link))
    assert page.status == 200
    assert "checkout" not in page.text.lower()
    assert (await stack.press(page)).location == OFFER
    # And as often as they like: nothing is used up.
    assert (await stack.press(page)).location == OFFER


async def test_revoked_and_paused_lead_nowhere(stack: Stack) -> None:
    campaign = await led(stack, destination=goal())
    link = stack.link(campaign="offer")
    assert (await stack.get(stack.path(link))).status == 303
    await stack.gateway.desk.revoke(link.id, stack.clock())
    assert (await stack.get(stack.path(link))).status == 410
    paused = campaigns.change_status(campaign, campaigns.Status.PAUSED, NOW)
    await stack.gateway.store.campaigns.put(paused, replaces=campaign)
    assert (await stack.get(stack.path(stack.link(campaign="offer")))).status == 503


async def test_a_proof_says_who_came_from_where_to_whom(stack: Stack) -> None:
    campaign = await led(stack, destination=goal(proof=True, proof_parameter="p", proof_seconds=60))
    link = stack.link(campaign="offer")
    proven = []
    for _ in range(2):
        answer = await stack.get(stack.path(link))
        [proof] = parse_qs(urlsplit(answer.location).query)["p"]
        proven.append(
            jwt.decode(
                proof,
                secret(stack, campaign),
                algorithms=["HS256"],
                issuer=stack.url,
                audience="https://shop.example.com",
            )
        )
        assert jwt.get_unverified_header(proof)["typ"] == proofs.PROOF_TYPE
    first, second = proven
    assert first["jti"] != second["jti"]
    assert first["exp"] - first["iat"] == 60
    assert {name: first[name] for name in ("sub", "campaign", "recipient")} == {
        "sub": link.id,
        "campaign": "offer",
        "recipient": link.recipient,
    }


def ring_secrets(keys: list[str], **changes: Any) -> proofs.Secrets:
    campaign = campaigns.create(
        {"slug": "offer", "name": "Offer", "destination": goal(**changes)}, NOW
    )
    found = secrets_of(Keyring(keys), campaign)
    assert found
    return found


def signed_by(keys: list[str], number: int = 1) -> str:
    return proofs.issue(
        Keyring(keys),
        Link("offer", "r-1", 2_000_000_000),
        number=number,
        issuer="https://go.example.com",
        audience="https://shop.example.com",
        visit="v1",
        now=NOW.timestamp(),
        seconds=120,
    )


def verifies(proof: str, secrets: list[str]) -> bool:
    for each in secrets:
        try:
            options: Any = {"verify_exp": False, "verify_iat": False}
            jwt.decode(
                proof,
                each,
                algorithms=["HS256"],
                audience="https://shop.example.com",
                options=options,
            )
        except jwt.InvalidSignatureError:
            continue
        return True
    return False


def test_no_change_of_keys_or_of_the_secret_leaves_a_target_behind() -> None:
    old, new = "old-key-" * 5, "new-key-" * 5
    target = list(ring_secrets([old]).current)
    # A key is added: what the target knows still does, and it can learn the rest at leisure.
    assert verifies(signed_by([old, new]), target)
    target = list(ring_secrets([old, new]).current)
    assert verifies(signed_by([new]), target)
    # The secret has leaked: the next one is known before it is used.
    target = [ring_secrets([new]).next]
    assert not verifies(signed_by([new]), target)
    assert verifies(signed_by([new], number=2), target)
    assert ring_secrets([new], secret_number=2).current == tuple(target)


def test_secrets_are_of_one_campaign_and_one_purpose() -> None:
    ring = Keyring(["key-" * 10])
    found = {
        text
        for purpose in (Purpose.PROOF, Purpose.CALLBACK)
        for campaign in ("offer", "offer2")
        for number in (1, 12)
        for text in proofs.secrets_of(ring, purpose, campaign, number).current
    }
    assert len(found) == 8
    # ":" is in no slug: nobody's campaign 1 with number 12 is campaign 11 with number 2.
    assert len({text.partition("_")[2] for text in found}) == 8
