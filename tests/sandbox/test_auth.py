"""The door: keys, versions, content types and addresses, refused in Stripe's words."""

import json
from typing import Any

import pytest
from aiohttp import encode_basic_auth

from tests.sandbox.conftest import KEY, Live

BEARER = {"Authorization": f"Bearer {KEY}"}


async def ask(live: Live, path: str = "/v1/account", **given: Any) -> tuple[int, Any, Any]:
    method = given.pop("method", "GET")
    async with live.http.request(method, live.url + path, **given) as response:
        return response.status, json.loads(await response.text()), response.headers


async def test_bearer_and_basic_open_the_door(live: Live) -> None:
    assert (await ask(live, headers=BEARER))[0] == 200
    assert (await ask(live, headers={"Authorization": encode_basic_auth(KEY, "")}))[0] == 200


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (None, "You did not provide an API key"),
        ("Bearer ", "You did not provide an API key"),
        ("Basic %%%", "You did not provide an API key"),
        ("Digest x", "You did not provide an API key"),
        ("Bearer sk_test_other0123456789", "Invalid API Key provided: sk_test_********6789"),
        ("Bearer short", "Invalid API Key provided: *****"),
        ("Bearer sk_tést", "Invalid API Key provided"),
    ],
)
async def test_no_key_or_another_is_401(live: Live, authorization: str | None, words: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    for path in ("/v1/account", "/sandbox/state"):
        status, body, answered = await ask(live, path, headers=headers)
        assert status == 401
        assert body["error"]["type"] == "invalid_request_error"
        assert words in body["error"]["message"]
        assert "Basic" in answered["WWW-Authenticate"]


async def test_json_is_refused(live: Live) -> None:
    status, body, _ = await ask(
        live, "/v1/customers", method="POST", json={"name": "x"}, headers=BEARER
    )
    assert status == 400
    assert "application/x-www-form-urlencoded" in body["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("DELETE", "/v1/account"),
        ("GET", "/v1/checkout/sessions/a/b/c"),
        ("POST", "/v1/checkout/sessions//expire"),
    ],
)
async def test_an_unknown_address_is_404(live: Live, method: str, path: str) -> None:
    status, body, _ = await ask(live, path, method=method, headers=BEARER)
    assert status == 404
    assert f"Unrecognized request URL ({method}:" in body["error"]["message"]


async def test_an_id_that_leads_nowhere_is_404(live: Live) -> None:
    for path, param in (
        ("/v1/checkout/sessions/cs_none", "session"),
        ("/v1/prices/price_none", "price"),
        ("/v1/payment_intents/pi_none", "intent"),
    ):
        status, body, _ = await ask(live, path, headers=BEARER)
        assert (status, body["error"]["code"]) == (404, "resource_missing")
        assert body["error"]["param"] == param


async def test_a_version_of_the_wrong_shape_is_refused(live: Live) -> None:
    status, body, _ = await ask(live, headers={**BEARER, "Stripe-Version": "latest"})
    assert (status, body["error"]["message"]) == (400, "Invalid Stripe API version: latest.")
    status, _, headers = await ask(live, headers={**BEARER, "Stripe-Version": "2024-06-20"})
    assert (status, headers["Stripe-Version"]) == (200, "2024-06-20")


async def test_a_huge_body_is_413(live: Live) -> None:
    status, body, _ = await ask(
        live, "/v1/customers", method="POST", data={"name": "x" * 1_100_000}, headers=BEARER
    )
    assert (status, body["error"]["message"]) == (413, "Request body is too large.")


async def test_an_error_carries_its_requests_id(live: Live) -> None:
    _, body, headers = await ask(live, "/v1/prices/none", headers=BEARER)
    assert body["error"]["request_log_url"].endswith(headers["Request-Id"])
