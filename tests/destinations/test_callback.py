"""The callback destination: who is asked, for whom, how it is signed, and what its answers do."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from linkgate import campaigns, proofs
from linkgate.destinations.base import Deadline, Going, Instead, Means, Unreachable
from linkgate.destinations.callback import Callback
from linkgate.egress import Egress, Reply
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.tokens import Keyring, Link, Purpose
from tests.destinations.conftest import Service, hangs, says, secret, sends
from tests.stack import SCANNER, SUSPECT, Stack

THERE = "https://app.example.com/login?token=very-secret"


async def calling(stack: Stack, service: Service, **changes: Any) -> Any:
    settings = changes.pop("destination", {})
    campaign = campaigns.create(
        {
            "slug": "reset",
            "name": "Reset",
            "policy": "direct",
            "destination": {"kind": "callback", "url": service.url, **settings},
            **changes,
        },
        datetime.now(UTC),
    )
    await stack.gateway.store.campaigns.put(campaign, replaces=None)
    return campaign


async def test_the_service_is_asked_for_people_alone(near: Stack, service: Service) -> None:
    campaign = await calling(near, service)
    service.answers = [says(url=THERE)]
    issued = await near.gateway.desk.issue(
        {
            "campaign": "reset",
            "recipient": "r-1001",
            "customer": "cus_1",
            "email": "a@example.com",
            "metadata": {"plan": "x"},
        },
        near.clock(),
    )
    path = "/l/" + issued.token
    for headers, method in ((SCANNER, "GET"), (SCANNER, "HEAD"), (SUSPECT, "HEAD")):
        assert (await near.ask(method, path, headers)).location == ""
    prefetch = await near.get(path, {**SUSPECT, "Sec-Purpose": "prefetch"})
    assert (prefetch.status, prefetch.location) == (503, "")
    assert service.asked == []

    answer = await near.get(path)
    assert (answer.status, answer.location) == (303, THERE)
    [(headers, body)] = service.asked
    asked = Webhook(secret(near, campaign)).verify(body, headers)
    visit = asked["data"]["visit"]
    assert asked == {
        "type": "link.opened",
        "timestamp": visit["at"],
        "data": {
            "link": {"id": issued.id, "campaign": "reset", "recipient": "r-1001"},
            "visit": {"id": headers["webhook-id"], "at": visit["at"]},
            "customer": "cus_1",
            "email": "a@example.com",
            "metadata": {"plan": "x"},
        },
    }
    assert abs(datetime.fromisoformat(visit["at"]).timestamp() - near.clock()) < 60
    assert (headers["Content-Type"], headers["User-Agent"][:9]) == ("application/json", "linkgate/")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(near, campaign)).verify(body.replace(b"r-1001", b"r-1002"), headers)

    # Each visit asks anew: what a service makes for it may be good for one use.
    assert (await near.get(path)).status == 303
    ids = [dict(headers)["webhook-id"] for headers, _ in service.asked]
    assert len(set(ids)) == 2
    assert await near.sessions() == []


@pytest.mark.parametrize(
    ("message", "status", "words"),
    [
        ("already_done", 200, "already done"),
        ("gone", 410, "leads nowhere"),
        ("revoked", 410, "no longer valid"),
        ("ended", 410, "No longer"),
    ],
)
async def test_the_service_may_say_why_not(
    near: Stack, service: Service, message: str, status: int, words: str
) -> None:
    await calling(near, service)
    service.answers = [says(message=message)]
    link = near.link(campaign="reset")
    page = await near.get(near.path(link))
    assert (page.status, page.location) == (status, "")
    assert words in page.text
    [visit] = (await near.row(link)).visits
    assert visit["outcome"] == f"the callback says {message}"


async def test_a_service_that_stumbles_is_asked_once_more_by_the_same_name(
    near: Stack, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await calling(near, service, destination={"timeout_seconds": 1})
    link = near.link(campaign="reset")
    for stumbling in (sends(500, THERE), sends(429), sends(200, "<html>"), hangs):
        service.asked.clear()
        service.answers = [stumbling, says(url=THERE)]
        assert (await near.get(near.path(link))).location == THERE
        first, second = service.asked
        assert first[1] == second[1]
        assert first[0]["webhook-id"] == second[0]["webhook-id"]
    service.answers = [sends(503, THERE)]
    busy = await near.get(near.path(link))
    assert busy.status == 503
    assert "retry.js" in busy.text
    # A sign-in, say, costs nothing.
    assert "The way on to" in busy.text
    assert "checkout" not in busy.text
    assert "charged" not in busy.text
    service.answers = [says(url=THERE)]
    assert (await near.press(busy)).location == THERE
    # Its answers may hold a login, and its address a key.
    assert "very-secret" not in caplog.text
    assert service.url not in caplog.text


WRONG = (
    sends(302, Location=THERE),
    sends(404, THERE),
    sends(401),
    says(url="http://app.example.com/"),
    says(url="javascript:alert(1)"),
    says(url=5),
    says(url="https://x.example/" + "a" * 5000),
    says(message="whatever"),
    says(message=["ended"]),
    says(url=THERE, message="ended"),
    says(),
)


async def test_an_answer_that_only_the_operator_can_mend_is_told_to_them(
    near: Stack, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await calling(near, service)
    for number, answering in enumerate(WRONG, 1):
        service.answers = [answering]
        page = await near.get(near.path(near.link(campaign="reset")))
        assert (page.status, page.location) == (503, "")
        assert "help@example.com" in page.text
        assert len(service.asked) == number
        trouble = await near.gateway.store.campaigns.trouble("reset")
        assert trouble
        assert trouble["message"].startswith("the callback can't be used: ")
        assert "very-secret" not in caplog.text + str(trouble)


async def test_private_networks_are_not_asked(stack: Stack, service: Service) -> None:
    service.answers = [says(url=THERE)]
    await calling(stack, service)
    page = await stack.get(stack.path(stack.link(campaign="reset")))
    assert page.status == 503
    assert service.asked == []
    trouble = await stack.gateway.store.campaigns.trouble("reset")
    assert trouble
    assert "destinations.allow_private_networks" in trouble["message"]


KEYRING = Keyring(["a-key-of-the-tests-" * 2])


class Nothing:
    """Stands where Stripe would be asked, which callbacks never do."""


class Outside:
    """Answers in turn, and keeps what it was asked for how long."""

    def __init__(self, *answers: Reply | Unreachable) -> None:
        self.answers = list(answers)
        self.timeouts: list[float] = []

    async def post(
        self, url: str, body: bytes, headers: Any, *, allow_private: bool, timeout: float
    ) -> Reply:
        self.timeouts.append(timeout)
        answer = self.answers.pop(0)
        if isinstance(answer, Unreachable):
            raise answer
        return answer


def going(url: str, **settings: Any) -> Going:
    data = {"kind": "callback", "url": url, **settings}
    campaign = campaigns.create(
        {"slug": "reset", "name": "Reset", "destination": data}, datetime.now(UTC)
    )
    link = Link("reset", "r-1", 2_000_000_000)
    return Going(campaign, link, "visit1", {}, None, now=1_777_622_400.9)


def callback(outside: Any, *, allow_private: bool = False) -> Callback:
    nothing: Any = Nothing()
    return Callback(Means(nothing, outside, KEYRING, "https://go.example.com", 10.0, allow_private))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://0/",
        "http://localhost/",
    ],
)
async def test_no_spelling_of_a_private_address_is_asked(url: str) -> None:
    egress = Egress()
    try:
        with pytest.raises((DestinationMisconfigured, DestinationBusy)) as caught:
            await callback(egress).lead(going(url), Deadline.after(0.3))
    finally:
        await egress.close()
    # A spelling that this system doesn't read as an address at all is an unknown name.
    assert isinstance(caught.value, DestinationMisconfigured) or "not known" in str(caught.value)


async def test_a_person_waits_no_longer_than_the_deadline() -> None:
    outside = Outside(Reply(500, b"", {}), Reply(500, b"", {}))
    with pytest.raises(DestinationBusy, match="twice: it answered 500"):
        await callback(outside).lead(
            going("https://x.example/", timeout_seconds=8), Deadline.after(2)
        )
    assert len(outside.timeouts) == 2
    assert all(timeout <= 2 for timeout in outside.timeouts)
    outside = Outside(Unreachable("no connection could be made"))
    with pytest.raises(DestinationBusy, match="no connection"):
        await callback(outside).lead(going("https://x.example/"), Deadline.after(0.5))


async def test_an_answer_may_be_large_only_so_far() -> None:
    huge = Reply(200, json.dumps({"url": THERE, "pad": "x" * 33_000}).encode(), {})
    with pytest.raises(DestinationBusy, match="longer"):
        await callback(Outside(huge, huge)).lead(going("https://x.example/"), Deadline.after(5))
    fine = Reply(201, json.dumps({"url": "https://bücher.example/ä", "more": 1}).encode(), {})
    assert (
        await callback(Outside(fine)).lead(going("https://x.example/"), Deadline.after(5))
        == "https://xn--bcher-kva.example/%C3%A4"
    )
    done = Reply(200, b'{"message": "already_done"}', {})
    found = await callback(Outside(done)).lead(going("https://x.example/"), Deadline.after(5))
    assert isinstance(found, Instead)
    assert found.page == "complete"


def test_a_service_may_take_up_the_next_secret_first() -> None:
    ring = Keyring(["old-key-" * 5, "new-key-" * 5])
    now = int(datetime.now(UTC).timestamp())
    headers = dict(proofs.sign_request(ring, "reset", number=3, name="visit1", at=now, body=b"{}"))
    known = proofs.secrets_of(ring, Purpose.CALLBACK, "reset", 3)
    for text in (*known.current, known.next):
        assert Webhook(text).verify(b"{}", headers) == {}
    other = proofs.secrets_of(ring, Purpose.CALLBACK, "reset", 2)
    with pytest.raises(WebhookVerificationError):
        Webhook(other.current[0]).verify(b"{}", headers)
