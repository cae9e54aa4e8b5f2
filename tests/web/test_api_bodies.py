"""Bodies of every kind: whatever comes, the answer is a problem that says what to mend."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from litestar import Litestar

from linkgate.store.apikeys import Scope
from linkgate.web.api.lingering import MAX_BYTES
from tests.web.conftest import CAMPAIGN, Api, fields, problem


async def send(api: Api, body: bytes, **headers: str) -> Any:
    return await api.send("POST", "/campaigns", content=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "at line 1, column 2"),
        (b'{"slug": "x",\n "name" "y"}', "at line 2, column 9"),
        (b"slug=spring&name=x", "at line 1, column 1"),
        (b"{\"slug\": 'x'}", "at line 1, column 10"),
        (b'{"a": 1} {"b": 2}', "at line 1, column 10"),
        (b"\x00", "at line 1, column 1"),
        (b"   ", "at line 1, column 4"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8: byte 1"),
        (b'{"name": "\xc3"}', "not UTF-8: byte 11"),
        (b'{"session_minutes": NaN}', "NaN is not a number in JSON"),
        (b'{"session_minutes": -Infinity}', "-Infinity is not a number in JSON"),
        (b'{"slug": "a", "slug": "b"}', 'it has "slug" twice'),
        (b'{"destination": {"mode": "a", "mode": "a"}}', 'it has "mode" twice'),
        (b'{"session_minutes": ' + b"9" * 5000 + b"}", "thousands of digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
    ],
)
async def test_what_is_no_json_is_a_400_that_names_the_place(
    api: Api, body: bytes, said: str
) -> None:
    answer = await send(api, body)
    assert answer.status_code == 400
    assert said in problem(answer)["detail"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[]", "a list"),
        (b"null", "null"),
        (b"true", "true or false"),
        (b'"x"', "a text"),
        (b"1", "a number"),
        (b"1.5", "a number"),
    ],
)
async def test_what_is_no_object_is_told_so(api: Api, body: bytes, kind: str) -> None:
    assert fields(await send(api, body)) == {"body": f"must be a JSON object, not {kind}"}


async def test_an_empty_body_lacks_what_is_required(api: Api) -> None:
    assert fields(await send(api, b"")) == {
        "slug": "is required",
        "name": "is required",
        "destination": "is required",
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": {"b": ["x", "\\u0000"]}}', {"a.b.1": "has a null character in it"}),
        (b'{"a": "\\ud800"}', {"a": "has half of a surrogate pair in it, which is no character"}),
        (
            b'{"a": {"\\ud800": 1}}',
            {
                "a.\\ud800": "has a name that has half of a surrogate pair in it, "
                "which is no character"
            },
        ),
        (
            b'{"a": 1e999, "b": -1e999}',
            {"a": "is too large a number", "b": "is too large a number"},
        ),
        (
            b'{"a": ' + b"[" * 30 + b"]" * 30 + b"}",
            {"a" + ".0" * 19: "is nested more than 20 levels deep"},
        ),
    ],
)
async def test_what_can_not_be_stored_or_sent_on_is_named(
    api: Api, body: bytes, said: dict[str, str]
) -> None:
    assert fields(await send(api, body)) == said


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "x"])
async def test_json_is_taken_under_any_content_type(api: Api, kind: str) -> None:
    answer = await send(api, json.dumps(CAMPAIGN).encode(), **{"content-type": kind})
    assert answer.status_code == 201


async def test_a_byte_order_mark_and_any_script_are_taken(api: Api) -> None:
    name = "春のセール 🌸 \U0001f469‍💻"
    body = b"\xef\xbb\xbf" + json.dumps({**CAMPAIGN, "name": name}).encode()
    answer = await send(api, body)
    assert answer.status_code == 201
    assert (await api.get("/campaigns/spring")).json()["name"] == name


async def test_parameters_of_stripes_pass_unchanged(api: Api) -> None:
    params = {
        "allow_promotion_codes": True,
        "shipping_options": [{"shipping_rate_data": {"fixed_amount": {"amount": 500}}}],
        "metadata": {"a": "ü"},
    }
    made = await api.campaign(destination={**CAMPAIGN["destination"], "params": params})  # type: ignore[dict-item]
    assert made["destination"]["params"] == params


async def test_a_body_above_the_limit_is_a_413(api: Api) -> None:
    limit = api.gateway.config.server.max_body_bytes
    just_fits = b'{"a": "' + b"x" * (limit - 9) + b'"}'
    assert len(just_fits) == limit
    assert "a" in fields(await send(api, just_fits))
    answer = await send(api, just_fits + b" ")
    assert answer.status_code == 413
    assert "server.max_body_bytes" in problem(answer)["detail"]


async def test_a_body_without_a_length_is_cut_off_too(api: Api) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 65_536

    answer = await api.send("POST", "/campaigns", content=endless())
    assert answer.status_code == 413
    assert sent * 65_536 < MAX_BYTES + 2 * api.gateway.config.server.max_body_bytes


@pytest.mark.parametrize("key", ["", "good"])
async def test_50_megabytes_are_refused_so_that_the_sender_learns_of_it(
    app: Litestar, api: Api, key: str
) -> None:
    # urllib closes after each request: a server that just answers and closes resets it.
    known = await api.key(Scope.ADMIN)
    async with _serving(app) as port:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v1/campaigns",
            data=b"x" * 50_000_000,
            headers={"authorization": f"Bearer {known}"} if key else {},
        )
        status, kind, answer = await asyncio.to_thread(_open, request)
    assert status == (413 if key else 401)
    assert kind == "application/problem+json"
    assert json.loads(answer)["status"] == status


async def test_a_client_that_waits_for_leave_is_not_waited_for(
    app: Litestar, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linkgate.web.api.lingering.MAX_SECONDS", 3600)
    key = await api.key(Scope.ADMIN)
    async with _serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /api/v1/campaigns HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            + f"Authorization: Bearer {key}\r\n".encode()
            + b"Content-Length: 50000000\r\nConnection: close\r\n\r\n"
        )
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")


def _open(request: urllib.request.Request) -> tuple[int, str, bytes]:
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, str(error.headers["content-type"]), error.read()
    raise AssertionError("it was taken")


@asynccontextmanager
async def _serving(app: Litestar) -> AsyncIterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
