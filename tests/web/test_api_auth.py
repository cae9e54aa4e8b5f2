"""Who may do what, and that nobody learns more from being turned away."""

import logging
from typing import Any

import httpx
import pytest
from litestar import Litestar, get

from linkgate.store.apikeys import Scope
from linkgate.web.api.auth import authorize
from tests.web.conftest import CAMPAIGN, Api, fields, problem

LINK = {"campaign": "spring", "recipient": "r-1"}
A_LINK = "/links/lnk_" + "0" * 32

#: Every route, with the scopes that open it. An empty set: any key.
ROUTES: list[tuple[str, str, set[Scope]]] = [
    ("POST", "/campaigns", {Scope.ADMIN}),
    ("GET", "/campaigns", set(Scope)),
    ("GET", "/campaigns/spring", set(Scope)),
    ("PATCH", "/campaigns/spring", {Scope.ADMIN}),
    ("POST", "/campaigns/spring/pause", {Scope.ADMIN}),
    ("POST", "/campaigns/spring/resume", {Scope.ADMIN}),
    ("POST", "/campaigns/spring/end", {Scope.ADMIN}),
    ("POST", "/links", {Scope.ADMIN, Scope.LINKS_WRITE}),
    ("GET", A_LINK, set(Scope)),
    ("POST", f"{A_LINK}/revoke", {Scope.ADMIN, Scope.LINKS_WRITE}),
    ("GET", "/stats?campaign=spring", {Scope.ADMIN, Scope.STATS_READ}),
    ("POST", "/keys", {Scope.ADMIN}),
    ("GET", "/keys", {Scope.ADMIN}),
    ("DELETE", "/keys/abcdefghijkl", {Scope.ADMIN}),
    ("GET", "/campaigns/spring/secrets", {Scope.ADMIN}),
    ("GET", "/deliveries", {Scope.ADMIN, Scope.STATS_READ}),
    ("POST", "/deliveries/resend", {Scope.ADMIN}),
    ("POST", "/deliveries/a-delivery/resend", {Scope.ADMIN}),
]


def test_no_route_is_left_out_of_this_file(app: Litestar) -> None:
    listed = {(method, path.partition("?")[0]) for method, path, _ in ROUTES}
    found = {
        (method, route.path_format.removeprefix("/api/v1"))
        for route in app.routes
        if route.path.startswith("/api/v1")
        for method in route.methods
        if method != "OPTIONS"
    }
    shape = {"/links/{name}": A_LINK, "{slug}": "spring", "{name}": A_LINK.removeprefix("/links/")}
    for part, instead in {
        **shape,
        "{key_id}": "abcdefghijkl",
        "{delivery_id}": "a-delivery",
    }.items():
        found = {(method, path.replace(part, instead)) for method, path in found}
    assert found == listed


@pytest.mark.parametrize(("method", "path", "_"), ROUTES)
async def test_without_a_key_nothing_is_answered(
    api: Api, method: str, path: str, _: set[Scope]
) -> None:
    answer = await api.send(method, path, scope=None, content=b"not even read as JSON")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="linkgate"'
    assert "Authorization: Bearer" in problem(answer)["detail"]


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(("method", "path", "opens"), ROUTES)
async def test_a_scope_opens_what_it_is_for_and_no_more(
    api: Api, method: str, path: str, opens: set[Scope], scope: Scope
) -> None:
    answer = await api.send(method, path, scope=scope)
    if scope in opens:
        assert answer.status_code not in {401, 403}
    else:
        assert answer.status_code == 403
        wanted = min(opens - {Scope.ADMIN}, default=Scope.ADMIN)
        assert wanted in problem(answer)["detail"]
        challenge = answer.headers["www-authenticate"]
        assert challenge == f'Bearer realm="linkgate", error="insufficient_scope", scope="{wanted}"'


async def test_a_route_that_names_no_scope_is_the_administrators(api: Api) -> None:
    @get("/forgotten")
    async def forgotten() -> str:
        return "opened"

    app: Any = Litestar([forgotten], guards=[authorize], openapi_config=None)
    app.state.gateway = api.gateway
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="https://go.example.com"
    ) as client:
        for scope in Scope:
            headers = {"authorization": f"Bearer {await api.key(scope)}"}
            answer = await client.get("/forgotten", headers=headers)
            assert answer.status_code == (200 if scope is Scope.ADMIN else 403)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer x",
        "Bearer lg_abcdefghijkl_" + "A" * 43,
        "bearer  lg_abcdefghijkl_" + "A" * 43 + " ",
        "Bearer " + "x" * 100_000,
        "Bearer \x00",
        "Bearer ÿ",
    ],
)
async def test_an_unknown_key_is_turned_away(api: Api, header: str) -> None:
    raw = {b"authorization": header.encode("latin-1")}
    answer = await api.send("GET", "/campaigns", scope=None, headers=raw)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert header[7:20] not in problem(answer)["detail"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dTpw", "lg_abc"])
async def test_what_is_no_bearer_key_counts_as_none(api: Api, header: str) -> None:
    answer = await api.send("GET", "/campaigns", scope=None, headers={"authorization": header})
    assert answer.status_code == 401
    assert "error=" not in answer.headers["www-authenticate"]


async def test_a_key_with_another_secret_is_not_that_key(api: Api) -> None:
    text = await api.key(Scope.ADMIN)
    forged = text[:-1] + ("A" if text[-1] != "A" else "B")
    answer = await api.send(
        "GET", "/campaigns", scope=None, headers={"authorization": f"Bearer {forged}"}
    )
    assert answer.status_code == 401


async def test_somebody_without_a_key_is_answered_before_the_body_is_read(app: Litestar) -> None:
    steps: list[str] = []

    async def receive() -> dict[str, Any]:
        steps.append("read")
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        steps.append(str(message.get("status") or message["body"][:1] or "end"))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/campaigns",
        "raw_path": b"/api/v1/campaigns",
        "query_string": b"",
        "headers": [(b"host", b"go.example.com"), (b"content-length", b"50000000")],
        "scheme": "https",
        "server": ("go.example.com", 443),
        "client": ("192.0.2.1", 1),
        "root_path": "",
        "http_version": "1.1",
    }
    await app(scope, receive, send)  # type: ignore[arg-type]
    assert steps == ["401", "b'{'", "read", "end"]


async def test_a_key_is_shown_once_and_works(api: Api) -> None:
    made = await api.post("/keys", {"name": "Newsletter", "scopes": ["links:write"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert key["key"].startswith(f"lg_{key['id']}_")
    headers = {"authorization": f"Bearer {key['key']}"}
    assert (await api.send("GET", "/campaigns", scope=None, headers=headers)).status_code == 200

    listed = await api.get("/keys")
    assert key["key"] not in listed.text
    assert {
        "id": key["id"],
        "name": "Newsletter",
        "scopes": ["links:write"],
        "created_at": "2040-01-01T00:00:00Z",
    } in listed.json()["keys"]


async def test_a_revoked_key_opens_nothing(api: Api) -> None:
    key = (await api.post("/keys", {"name": "x", "scopes": ["admin"]})).json()
    headers = {"authorization": f"Bearer {key['key']}"}
    assert (await api.send("DELETE", f"/keys/{key['id']}")).status_code == 204
    assert (await api.send("GET", "/campaigns", scope=None, headers=headers)).status_code == 401
    again = await api.send("DELETE", f"/keys/{key['id']}")
    assert again.status_code == 404


async def test_a_key_needs_a_name_and_scopes_that_exist(api: Api) -> None:
    assert fields(await api.post("/keys", {"name": " ", "scopes": []})) == {
        "name": "must not be empty",
        "scopes": "must have 1 or more entries",
    }
    wrong = fields(await api.post("/keys", {"name": "x", "scopes": ["links:write", "root"]}))
    assert wrong == {"scopes.1": "must be 'links:write', 'stats:read' or 'admin'"}


async def test_keys_are_kept_as_hashes(api: Api) -> None:
    key = (await api.post("/keys", {"name": "x", "scopes": ["admin"]})).json()["key"]
    client = api.gateway.store.connection.client
    kept = [
        value
        async for name in client.scan_iter("lg:apikey*")
        if "apikeys" not in name
        for value in (await client.hgetall(name)).values()
    ]
    assert kept
    # The secret itself may hold a "_".
    secret = key.split("_", 2)[2]
    assert not any(secret in value for value in kept)


async def test_no_key_and_no_token_is_ever_logged(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="linkgate")
    await api.campaign()
    link = await api.link(email="someone@example.com")
    await api.get(f"/links/{link['token']}")
    await api.post("/links", {**LINK, "email": "broken@"})
    key = (await api.post("/keys", {"name": "x", "scopes": ["admin"]})).json()["key"]
    await api.send("GET", "/keys", scope=None, headers={"authorization": f"Bearer {key}x"})
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("linkgate"))
    for secret in (key, *api.keys.values(), link["token"], "someone@", "broken@", "r-1001"):
        assert secret not in ours


async def test_options_tells_the_methods_and_needs_no_key(api: Api) -> None:
    answer = await api.send("OPTIONS", "/links", scope=None)
    assert answer.status_code == 204
    assert answer.headers["allow"] == "OPTIONS, POST"


async def test_wrong_addresses_and_methods_are_problems_too(api: Api) -> None:
    assert problem(await api.get("/nothing"))["status"] == 404
    wrong = await api.send("PUT", "/campaigns")
    assert problem(wrong)["status"] == 405
    assert "POST" in wrong.headers["allow"]


async def test_a_store_that_is_away_is_said_so(api: Api) -> None:
    await api.post("/campaigns", CAMPAIGN)
    connection = api.gateway.store.connection
    known, connection.client = connection.client, _Away()  # type: ignore[assignment]
    try:
        answer = await api.get("/campaigns")
    finally:
        connection.client = known
    assert problem(answer)["status"] == 503
    assert int(answer.headers["retry-after"]) > 0


class _Away:
    """A client whose server is gone."""

    def __getattr__(self, name: str) -> Any:
        raise ConnectionRefusedError(name)


async def test_an_answer_is_never_cached(api: Api) -> None:
    answers: list[httpx.Response] = [
        await api.get("/campaigns"),
        await api.get("/campaigns/nowhere"),
        await api.get("/keys", scope=None),
    ]
    assert [answer.headers["cache-control"] for answer in answers] == ["no-store"] * 3
