"""What an operator sees of deliveries, and sends again: by the API, by the command line."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from linkgate.cli import app as commands
from linkgate.config import Config, parse
from linkgate.deliveries import Deliveries, State
from linkgate.errors import Conflict
from linkgate.outbox import Outbox
from linkgate.store.outbox import read_line
from linkgate.store.parked import Parked, ParkedStore
from tests.outbound.conftest import LINK, Desk, message
from tests.outbound.receiving import Got, Receiver, endpoint, outbound, secret
from tests.web.conftest import Api, Clock, api, app, fields, problem, web_store_url

__all__ = ["api", "app", "web_store_url"]

LINKS = [f"lnk_{number:022d}" for number in range(5)]


async def gone(_: Got) -> int:
    return 410


async def park(desk: Desk, outbox: Outbox, receiver: Receiver, each: int = 3) -> None:
    """Let so many messages of each link be parked."""
    receiver.answer = gone
    for link in LINKS:
        await outbox.send(link, [message(number, link) for number in range(each)])
    await desk.deliver(outbox, *LINKS)
    receiver.answer = None


async def test_what_is_sent_again_keeps_its_id_and_has_three_days_anew(
    desk: Desk, receiver: Receiver
) -> None:
    shop = endpoint("shop", receiver.url)
    outbox = desk.outbox(shop)
    await park(desk, outbox, receiver, each=1)
    seen = Deliveries(outbound(shop), desk.store, desk.clock)
    page = await seen.page(State.PARKED)
    first, second, *_ = sorted(page.deliveries, key=lambda each: each.link)
    assert sorted(each.link for each in page.deliveries) == LINKS
    assert first.reason == "it answered 410"
    desk.clock.offset += 5 * 86_400
    again = await seen.resend(first.id)
    assert (again.state, again.message, again.link) == (State.WAITING, first.message, LINKS[0])
    await outbox.couriers["shop"].worker.work()  # nobody has to wake it
    assert receiver.taken[-1].id == first.message

    async def broken(_: Got) -> int:
        return 500

    receiver.answer = broken
    await seen.resend(second.id)
    await desk.deliver(outbox, LINKS[1])
    [waiting] = (await seen.page(State.WAITING)).deliveries
    assert (waiting.message, waiting.reason) == (second.message, "it answered 500")


async def test_all_are_sent_again_in_order_even_if_it_is_cut_short(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = endpoint("shop", receiver.url)
    outbox = desk.outbox(shop)
    await park(desk, outbox, receiver, each=4)
    seen = Deliveries(outbound(shop), desk.store, desk.clock)

    async def dies(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ParkedStore, "remove", dies)
        with pytest.raises(KeyboardInterrupt):
            await seen.resend_all("shop", most=10)
    done = await seen.resend_all("shop", most=15)
    assert (done.resent, done.left) == (15, 5)
    done = await seen.resend_all("shop")
    assert (done.resent, done.left) == (5, 0)
    await desk.deliver(outbox, *LINKS)
    assert [receiver.numbers(link) for link in LINKS] == [[0, 1, 2, 3]] * 5


async def test_what_waits_for_a_removed_endpoint_is_parked(desk: Desk, receiver: Receiver) -> None:
    shop = endpoint("shop", receiver.url)
    before = desk.outbox(shop)
    assert await before.sweep() == 0
    receiver.answer = gone
    for link in LINKS:
        await before.send(link, [message(1, link), message(2, link)])
    # Some are put off for hours: nobody is to wait for that.
    queue = before.couriers["shop"].worker._queue
    for item in await queue.take(2, lease_ms=60_000):
        await queue.later(item, delay_ms=10**8)
    after = desk.outbox(endpoint("crm", receiver.url))
    assert await after.sweep() == 10
    assert await after.sweep() == 0
    assert receiver.came == []
    assert await queue.depth() == 0
    seen = Deliveries(outbound(endpoint("crm", receiver.url)), desk.store, desk.clock)
    page = await seen.page(State.PARKED, endpoint="shop")
    assert {each.reason for each in page.deliveries} == {"the endpoint is no longer configured"}
    with pytest.raises(Conflict, match="there are crm"):
        await seen.resend(page.deliveries[0].id)
    assert await seen.parked_at() == {"shop": 10}
    assert await before.sweep() == 0
    back = Deliveries(outbound(shop), desk.store, desk.clock)
    assert (await back.resend_all("shop")).resent == 10
    receiver.answer = None
    await desk.deliver(before, *LINKS)
    assert [receiver.numbers(link) for link in LINKS] == [[1, 2]] * 5


async def test_what_waits_is_paged_over_endpoints(desk: Desk, receiver: Receiver) -> None:
    both = (endpoint("crm", receiver.url), endpoint("shop", receiver.url))
    outbox = desk.outbox(*both)
    for link in LINKS:
        await outbox.send(link, [message(1, link), message(2, link)])
    await outbox.expect("lnk_announced", ["payment.succeeded"])
    seen = Deliveries(outbound(*both), desk.store, desk.clock)
    found, cursor = [], None
    while True:
        page = await seen.page(State.WAITING, cursor=cursor, limit=3)
        found += page.deliveries
        cursor = page.next
        if cursor is None:
            break
    assert [(each.endpoint, each.link) for each in found] == [
        (name, link) for name in ("crm", "shop") for link in LINKS
    ]
    assert {each.behind for each in found} == {1}


@pytest.fixture
def config(web_store_url: str) -> Config:
    return parse(
        {
            "server": {"public_url": "https://go.example.com"},
            "signing": {"keys": ["kD4wq8Zr1TnXv6LmB0sYhG3uJp9EcAf5"]},
            "store": {"url": web_store_url},
            "stripe": {"api_key": "sk_test_nothing", "api_base": "http://127.0.0.1:9"},
            "outbound": {
                "endpoints": [
                    {"name": "shop", "url": "https://nowhere.invalid/", "secrets": [secret()]}
                ]
            },
        }
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def parked(api: Api, number: int, name: str = "shop") -> str:
    store = api.gateway.store
    outbox = Outbox.of(api.gateway.config.outbound, store, None, api.clock)  # type: ignore[arg-type]
    [(_, text)] = outbox.lines(LINK, [message(number)])
    line = read_line(text)
    assert line
    made = Parked(LINK, name, line, api.clock(), "it answered 500")
    await ParkedStore(store.connection).put(made)
    return made.id


async def test_the_api_lists_and_sends_again(api: Api) -> None:
    ids = [await parked(api, number) for number in range(3)]
    old = await parked(api, 1, "old")
    page = (await api.get("/deliveries?state=parked&endpoint=shop&limit=2")).json()
    assert [each["id"] for each in page["deliveries"]] == ids[:0:-1]
    assert set(page["deliveries"][0]) == {
        *("id", "message", "type", "link", "endpoint", "state", "at", "queued_at", "parked_at"),
        *("reason", "behind"),
    }
    rest = await api.get(f"/deliveries?endpoint=shop&limit=2&cursor={page['next']}")
    assert [each["id"] for each in rest.json()["deliveries"]] == ids[:1]
    assert rest.json()["next"] is None

    answer = await api.post(f"/deliveries/{ids[0]}/resend")
    assert (answer.status_code, answer.json()["state"]) == (200, "waiting")
    assert problem(await api.post(f"/deliveries/{ids[0]}/resend"))["status"] == 404
    assert problem(await api.post(f"/deliveries/{old}/resend"))["status"] == 409
    answer = await api.post("/deliveries/resend", {"endpoint": "shop"})
    assert answer.json() == {"resent": 2, "left": 0}
    waiting = (await api.get("/deliveries?state=waiting")).json()["deliveries"]
    assert [(each["link"], each["behind"]) for each in waiting] == [(LINK, 2)]


async def test_the_api_says_what_it_can_not_take(api: Api) -> None:
    assert "state" in fields(await api.get("/deliveries?state=lost"))
    assert "cursor" in fields(await api.get("/deliveries?cursor=%3F%3F"))
    assert "cursor" in fields(await api.get("/deliveries?state=waiting&cursor=MTI"))
    assert "limit" in fields(await api.get("/deliveries?limit=101"))
    assert "endpoint" in fields(await api.post("/deliveries/resend", {}))
    for answer in (
        await api.get("/deliveries?state=waiting&endpoint=none"),
        await api.post("/deliveries/resend", {"endpoint": "none"}),
    ):
        assert "there are shop" in problem(answer)["detail"]
        assert answer.status_code == 409


@pytest.mark.parametrize("scope", [None, "stats:read", "links:write"])
async def test_only_an_administrator_sends_again(api: Api, scope: Any) -> None:
    def refused(answer: httpx.Response) -> bool:
        return answer.status_code == (403 if scope else 401)

    assert refused(await api.post("/deliveries/resend", {"endpoint": "shop"}, scope=scope))
    assert refused(await api.post("/deliveries/msg_1.shop/resend", scope=scope))
    assert refused(await api.get("/deliveries", scope=scope)) is (scope != "stats:read")


@pytest.fixture
def linkgate(
    desk: Desk, valkey_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Run `linkgate deliveries ARGUMENTS...` in a thread of its own."""
    shop = {
        "name": "shop",
        "url": receiver.url,
        "secrets": [secret()],
        "allow_private_network": True,
    }
    for name, value in {
        "SERVER__PUBLIC_URL": "https://go.example.com",
        "SIGNING__KEYS": "kD4wq8Zr1TnXv6LmB0sYhG3uJp9EcAf5",
        "STORE__URL": valkey_url,
        "STRIPE__API_KEY": "sk_test_nothing",
        "OUTBOUND__ENDPOINTS": json.dumps([shop]),
    }.items():
        monkeypatch.setenv(f"LINKGATE_{name}", value)

    def invoke(*arguments: str) -> Any:
        return asyncio.to_thread(CliRunner().invoke, commands, ["deliveries", *arguments])

    return invoke


async def test_the_command_line_lists_and_sends_again(
    desk: Desk, receiver: Receiver, linkgate: Any
) -> None:
    assert "Nothing waits" in (await linkgate("list")).stderr
    outbox = desk.outbox(endpoint("shop", receiver.url))
    await park(desk, outbox, receiver, each=1)
    await ParkedStore(desk.store.connection).know(["old"])
    listed = json.loads((await linkgate("list", "--parked", "--json")).stdout)["deliveries"]
    assert [each["state"] for each in listed] == ["parked"] * 5
    text = (await linkgate("list")).stdout
    assert all(each["id"] in text for each in listed)
    assert "it answered 410" in text

    one = await linkgate("resend", listed[0]["id"])
    assert (one.exit_code, one.stdout) == (0, f"Delivery {listed[0]['id']} waits to be sent.\n")
    assert (await linkgate("resend", listed[0]["id"])).exit_code == 1
    for wrong in ((), ("--all", "x"), ("x", "--endpoint", "shop")):
        assert (await linkgate("resend", *wrong)).exit_code == 2
    assert (await linkgate("resend", "--all", "--endpoint", "none")).exit_code == 1
    done = await linkgate("resend", "--all")
    assert (done.exit_code, done.stdout) == (0, "shop: 4 wait to be sent.\n")
    states = json.loads((await linkgate("list", "--json")).stdout)["deliveries"]
    assert {each["state"] for each in states} == {"waiting"}
    await desk.deliver(outbox, *LINKS)
    assert sorted(got.link for got in receiver.taken) == LINKS
