"""A visit's whole path, over real HTTP: people in, machines out, one session, and what is kept."""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from linkgate import challenge, device
from linkgate.errors import StoreUnavailable
from linkgate.payments import SessionState
from linkgate.tokens import Keyring, LinkTokens
from tests.stack import BROWSER, BY_HAND, SCANNER, SIGNING_KEY, STRIPE_KEY, SUSPECT, Answer, Stack

KEYS = Keyring([SIGNING_KEY])
PREFETCH = {**BROWSER, "Sec-Purpose": "prefetch"}
PRERENDER = {**BROWSER, "Sec-Purpose": "prefetch;prerender"}


def is_interstitial(page: Answer) -> bool:
    return page.status == 200 and 'name="challenge"' in page.text


async def test_a_person_goes_straight_to_a_fresh_session(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    answer = await stack.get(stack.path(link))
    [session] = await stack.sessions()
    assert (answer.status, answer.location) == (303, session["url"])
    assert session["client_reference_id"] == link.id
    assert session["metadata"]["linkgate_link"] == link.id
    assert session["metadata"]["linkgate_campaign"] == "spring"
    assert session["metadata"]["linkgate_recipient"] == link.recipient
    row = await stack.row(link)
    assert [v["outcome"] for v in row.visits] == [f"minted {session['id']}"]
    assert row.visits[0]["verdict"] == "human"
    assert row.visits[0]["address"] == "127.0.0.0/24"


@pytest.mark.parametrize("policy", ["adaptive", "confirm", "direct"])
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("HEAD", BROWSER, 200),
        ("OPTIONS", BROWSER, 204),
        ("GET", PREFETCH, 503),
        ("GET", PRERENDER, 503),
        ("GET", {**BROWSER, "Purpose": "prefetch"}, 503),
        ("GET", {**BROWSER, "X-Moz": "prefetch"}, 503),
        ("GET", {**BROWSER, "Sec-Purpose": "x" * 300 + ";prefetch"}, 503),
        ("GET", {**BROWSER, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 200),
        ("GET", {**BROWSER, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 200),
        ("GET", SCANNER, 200),
        ("GET", {"User-Agent": ""}, 200),
        ("GET", {"User-Agent": "python-requests/2.32"}, 200),
        ("GET", {**BROWSER, "User-Agent": "Slackbot-LinkExpanding 1.0"}, 200),
        ("PUT", BROWSER, 405),
        ("DELETE", BROWSER, 405),
    ],
)
async def test_a_machine_never_mints(
    stack: Stack, policy: str, method: str, headers: Mapping[str, str], status: int
) -> None:
    await stack.campaign(policy=policy)
    link = stack.link()
    answer = await stack.ask(method, stack.path(link), headers)
    assert answer.status == status
    assert await stack.sessions() == []
    assert (await stack.get(stack.path(link))).status == (200 if policy == "confirm" else 303)


@pytest.mark.parametrize("policy", ["adaptive", "confirm", "direct"])
async def test_a_machine_with_a_good_challenge_or_cookie_never_mints(
    stack: Stack, policy: str
) -> None:
    await stack.campaign(policy=policy)
    link = stack.link()
    page = await stack.get(stack.path(link), SCANNER)
    assert is_interstitial(page)
    assert is_interstitial(await stack.press(page, SCANNER))
    cookie = f"{device.COOKIE}={device.issue(KEYS, 'd1', stack.clock() + 60)}"
    assert is_interstitial(await stack.get(stack.path(link), {**SCANNER, "Cookie": cookie}))
    assert await stack.sessions() == []
    assert (await stack.press(page)).status == 303


@pytest.mark.parametrize(
    ("policy", "headers", "status"),
    [
        ("adaptive", SUSPECT, 200),
        ("confirm", SUSPECT, 200),
        ("confirm", BROWSER, 200),
        ("direct", SUSPECT, 303),
        ("direct", BROWSER, 303),
    ],
)
async def test_a_policy_says_who_needs_to_press(
    stack: Stack, policy: str, headers: Mapping[str, str], status: int
) -> None:
    await stack.campaign(policy=policy)
    page = await stack.get(stack.path(stack.link()), headers)
    assert page.status == status
    if status == 200:
        assert (await stack.press(page, headers)).status == 303


async def test_one_press_is_enough_and_trusts_the_browser(stack: Stack) -> None:
    await stack.campaign(policy="confirm", reuse_minutes=0)
    first = await stack.press(await stack.get(stack.path(stack.link())))
    assert first.status == 303
    cookie = first.headers["Set-Cookie"]
    assert cookie.startswith("lg_device=")
    for part in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie  # this gateway is on plain http
    assert (await stack.get(stack.path(stack.link()))).status == 303
    stack.http.cookie_jar.clear()
    assert is_interstitial(await stack.get(stack.path(stack.link())))


async def test_only_a_press_makes_a_browser_trusted(stack: Stack) -> None:
    await stack.campaign()
    assert "Set-Cookie" not in (await stack.get(stack.path(stack.link()))).headers


async def test_a_bad_confirmation_gets_the_button_again_and_never_mints(stack: Stack) -> None:
    await stack.campaign(policy="confirm")
    link, other = stack.link(), stack.link()
    page = await stack.get(stack.path(link))
    now = stack.clock()
    bad = [
        "",
        "junk",
        page.challenge[:-2] + "AA",
        challenge.issue(KEYS, other.id, now),
        challenge.issue(KEYS, link.id, now - 90_000),
        challenge.issue(Keyring(["another key" * 4]), link.id, now),
        "x" * 10_000,
    ]
    same_origin = {**BROWSER, "Sec-Fetch-Site": "same-origin", "Origin": stack.url}
    for text in bad:
        answer = await stack.ask("POST", stack.path(link), same_origin, data={"challenge": text})
        assert is_interstitial(answer), text[:40]
    for body in (b"", b"\xff\x00", b"challenge", b"a=b&" * 3000, b'{"challenge": 1}'):
        assert is_interstitial(await stack.ask("POST", stack.path(link), same_origin, data=body))
    assert await stack.sessions() == []
    assert (await stack.press(page)).status == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "{url}"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Sec-Fetch-Site": "", "Origin": ""}, 303),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, 200),
        ({"Sec-Fetch-Site": "same-site", "Origin": "{url}"}, 200),
        ({"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://old-name.example"}, 303),
        ({"Sec-Fetch-Site": "none", "Origin": "https://evil.example"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "{url}"}, 200),
    ],
)
async def test_a_press_comes_from_our_own_page(
    stack: Stack, headers: Mapping[str, str], status: int
) -> None:
    await stack.campaign(policy="confirm")
    page = await stack.get(stack.path(stack.link()))
    sent = {**BROWSER, **{name: value.format(url=stack.url) for name, value in headers.items()}}
    sent = {name: value for name, value in sent.items() if value}
    form = {"challenge": page.challenge, "gesture": BY_HAND}
    stack.clock.offset += 2.5
    answer = await stack.ask("POST", page.action, sent, data=form)
    assert answer.status == status


async def test_a_huge_form_is_refused_and_costs_nothing(stack: Stack) -> None:
    await stack.campaign()
    answer = await stack.ask("POST", stack.path(stack.link()), data=b"x" * 50_000_000)
    assert answer.status == 413
    assert answer.headers["Cache-Control"] == "no-store"


async def test_two_hundred_clicks_at_once_make_one_session(stack: Stack) -> None:
    await stack.campaign(policy="direct")
    path = stack.path(stack.link())
    answers = await asyncio.gather(*(stack.get(path) for _ in range(200)))
    [session] = await stack.sessions()
    assert {(answer.status, answer.location) for answer in answers} == {(303, session["url"])}
    state = await stack.control("GET", "state")
    assert len(state["idempotency_keys"]) == 1


async def test_a_later_visit_closes_the_old_session_first(stack: Stack) -> None:
    await stack.campaign(policy="direct", reuse_minutes=0)
    link = stack.link()
    first = await stack.get(stack.path(link))
    second = await stack.get(stack.path(link))
    assert first.location != second.location
    [session] = await stack.open_sessions()
    assert session["url"] == second.location
    row = await stack.row(link)
    assert [s.state for s in row.sessions] == [SessionState.EXPIRED, SessionState.OPEN]


async def test_a_session_that_turns_out_complete_is_not_paid_twice(stack: Stack) -> None:
    await stack.campaign(policy="direct", reuse_minutes=0)
    link = stack.link()
    await stack.get(stack.path(link))
    [session] = await stack.sessions()
    # Paid, but the webhook is lost: only Stripe knows.
    await stack.control("POST", "webhooks/hold")
    await stack.control("POST", f"sessions/{session['id']}/pay")
    answer = await stack.get(stack.path(link))
    assert answer.status == 200
    assert "paid" in answer.text.lower()
    assert len(await stack.sessions()) == 1
    assert (await stack.row(link)).fields["done"] == "paid"


async def counted(stack: Stack) -> dict[str, int]:
    await stack.gateway.store.recorder.flush()
    return await stack.gateway.store.campaigns.counts("spring")


async def until_done(stack: Stack, link: Any, state: str) -> None:
    async with asyncio.timeout(10):
        while (await stack.row(link)).fields.get("done") != state:
            await asyncio.sleep(0.02)


async def test_a_signed_webhook_says_that_a_link_is_paid(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    await stack.get(stack.path(link))
    [session] = await stack.sessions()
    await stack.control("POST", f"sessions/{session['id']}/pay")
    await until_done(stack, link, "paid")
    answer = await stack.get(stack.path(link))
    assert (answer.status, len(await stack.sessions())) == (200, 1)
    async with asyncio.timeout(10):
        while "sessions.paid" not in (counts := await counted(stack)):
            await asyncio.sleep(0.02)
    assert counts["sessions.paid"] == 1
    assert counts["amount.eur"] == session["amount_total"]
    assert (counts["decisions.mint"], counts["decisions.already done"]) == (1, 1)


async def test_a_pending_payment_says_so_and_a_failed_one_lets_in_again(stack: Stack) -> None:
    await stack.campaign(policy="direct", reuse_minutes=0)
    link = stack.link()
    await stack.get(stack.path(link))
    [session] = await stack.sessions()
    await stack.control("POST", f"sessions/{session['id']}/pay-later")
    await until_done(stack, link, "pending")
    assert (await stack.get(stack.path(link))).status == 200
    await stack.control("POST", f"sessions/{session['id']}/fail-async")
    async with asyncio.timeout(10):
        while (await stack.row(link)).sessions[0].state is not SessionState.FAILED:
            await asyncio.sleep(0.02)
    assert (await stack.get(stack.path(link))).status == 303
    assert len(await stack.sessions()) == 2


async def test_pages_for_links_that_lead_nowhere(stack: Stack) -> None:
    await stack.campaign()
    await stack.campaign("paused")
    link = stack.link()
    tokens = stack.gateway.tokens
    await stack.gateway.store.links.revoke(link.id, stack.clock(), link.expires_at)
    gone = [
        (stack.path(link), 410),
        ("/l/" + tokens.issue(replace(link, expires_at=1_000_000_000)), 410),
        ("/l/" + tokens.issue(replace(link, campaign="nowhere")), 404),
        ("/l/" + LinkTokens(Keyring(["dropped key" * 4])).issue(link), 404),
        ("/l/", 404),
        ("/l/x", 404),
        ("/l/" + "x" * 3000, 404),
        ("/l/%F0%9F%A6%8A", 404),
    ]
    for path, status in gone:
        answer = await stack.get(path)
        assert answer.status == status, path
        assert answer.headers["Cache-Control"] == "no-store"
    assert await stack.sessions() == []


async def test_a_tokens_expiry_follows_the_gateways_clock(stack: Stack) -> None:
    await stack.campaign()
    path = stack.path(stack.link())
    stack.clock.offset = -3600
    assert (await stack.get(path)).status == 303
    stack.clock.offset = 90_000
    assert (await stack.get(path)).status == 410


@pytest.mark.parametrize(
    ("order", "status", "said"),
    [
        ("pay", 200, "This has already been paid"),
        ("pay-later", 200, "Your payment is being confirmed"),
        (None, 410, "This link has expired"),
    ],
)
async def test_what_was_paid_outlasts_the_links_expiry(
    stack: Stack, order: str | None, status: int, said: str
) -> None:
    await stack.campaign(policy="direct")
    link = stack.link()
    await stack.get(stack.path(link))
    [session] = await stack.sessions()
    if order:
        await stack.control("POST", f"sessions/{session['id']}/{order}")
        await stack.delivered()
    stack.clock.offset = 90_000
    for headers in (BROWSER, SCANNER):
        page = await stack.get(stack.path(link), headers)
        assert (page.status, said in page.text) == (status, True)
    assert len(await stack.sessions()) == 1


async def test_a_link_that_has_expired_says_so_without_the_store(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign()
    path = stack.path(stack.link())
    stack.clock.offset = 90_000

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(stack.gateway.store.links, "read", away)
    assert "This link has expired" in (await stack.get(path)).text


async def test_a_decoy_never_mints_and_its_button_leads_on(stack: Stack) -> None:
    await stack.campaign(policy="direct")
    link = stack.link()
    page = await stack.get("/l/" + stack.gateway.tokens.issue_decoy(link))
    assert is_interstitial(page)
    assert await stack.sessions() == []
    assert page.action == stack.path(link)
    # A person who got there through a screen reader is let in by a press.
    assert (await stack.press(page)).status == 303


async def test_what_machines_did_is_recorded_and_explained(stack: Stack) -> None:
    await stack.campaign()
    link = stack.link()
    await stack.get(stack.path(link), SCANNER)
    await stack.ask("HEAD", stack.path(link))
    await stack.get(stack.path(link), PREFETCH)
    visits = (await stack.row(link)).visits
    assert {v["kind"] for v in visits} == {"scanner", "tool", "prefetch"}
    assert all(v["evidence"] and v["reason"] for v in visits)
    counts = await stack.gateway.store.campaigns.counts("spring")
    assert counts["visits.scanner"] == 1
    assert counts["decisions.interstitial"] == 2


async def test_every_answer_carries_the_laws_headers(stack: Stack) -> None:
    await stack.campaign()
    path = stack.path(stack.link())
    for method, where, headers in [
        ("GET", path, BROWSER),
        ("GET", path, SCANNER),
        ("HEAD", path, BROWSER),
        ("GET", path, PREFETCH),
        ("OPTIONS", path, BROWSER),
        ("PATCH", path, BROWSER),
        ("GET", "/l/junk", BROWSER),
        ("GET", "/l", BROWSER),
        ("POST", path, BROWSER),
        ("GET", path, {**BROWSER, "Host": "not a host"}),
        ("GET", path, {**SCANNER, "Host": "[::1"}),
        ("TRACE", path, BROWSER),
        ("GET", "/l/%00", BROWSER),
        ("GET", "/l/../l/x", BROWSER),
    ]:
        answer = await stack.ask(method, where, headers)
        assert answer.headers["Cache-Control"] == "no-store", (method, where)
        assert answer.headers["Referrer-Policy"] == "no-referrer", (method, where)
        assert answer.headers["X-Robots-Tag"].startswith("noindex"), (method, where)


@pytest.mark.parametrize(
    ("before", "after"), [(0, 6000), (6000, 0), (6000, 6000)], ids=["first", "last", "amid"]
)
async def test_a_known_device_is_known_among_very_many_cookies(
    stack: Stack, before: int, after: int
) -> None:
    """More of them than are kept: shop systems and consent tools fill a domain's cookies."""
    await stack.campaign(policy="confirm")
    ours = f"{device.COOKIE}={device.issue(KEYS, 'd1', stack.clock() + 60)}"
    cookies = f"a={'x' * before}; {ours}; b={'y' * after}"
    assert (await stack.get(stack.path(stack.link()), {**BROWSER, "Cookie": cookies})).status == 303
    others = cookies.replace(device.COOKIE, "lg_other")
    assert is_interstitial(await stack.get(stack.path(stack.link()), {**BROWSER, "Cookie": others}))


@pytest.mark.parametrize("value", ["", "x"])
async def test_the_second_control_counts_whatever_it_sends(stack: Stack, value: str) -> None:
    await stack.campaign(policy="confirm")
    link = stack.link()
    page = await stack.get(stack.path(link))
    stack.clock.offset += 2.5
    sent = {**BROWSER, "Sec-Fetch-Site": "same-origin", "Origin": stack.url}
    form = {"challenge": page.challenge, "gesture": BY_HAND, "also": value}
    assert is_interstitial(await stack.ask("POST", page.action, sent, data=form))
    pressed = (await stack.row(link)).visits[0]
    assert "press-second-control" in {rule for rule, *_ in pressed["evidence"]}
    assert pressed["verdict"] == "automated"


@pytest.mark.parametrize("name", ["Sec-Fetch-Mode", "Sec-Fetch-Dest"])
@pytest.mark.parametrize("word", ["<b>call-0900</b>", "navigate call-0900", "call-0900"])
async def test_no_reason_says_what_a_visitor_wrote(stack: Stack, name: str, word: str) -> None:
    """Reasons are kept for months, and shown to the operator."""
    await stack.campaign()
    link = stack.link()
    assert is_interstitial(await stack.get(stack.path(link), {**BROWSER, name: word}))
    [kept] = (await stack.row(link)).visits
    assert kept["evidence"]
    assert "0900" not in json.dumps(dict(kept))


async def test_a_bug_is_a_page_with_the_laws_headers(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.campaign()

    def bug(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("linkgate.visits.decide", bug)
    answer = await stack.get(stack.path(stack.link()))
    assert answer.status == 500
    assert answer.headers["Cache-Control"] == "no-store"
    assert "bug" not in answer.text


async def test_nothing_personal_is_logged(
    stack: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    await stack.campaign(reuse_minutes=0)
    await stack.campaign("wrong", destination={"line_items": [{"price": "price_nope"}]})
    people = [stack.link(f"person-{n}") for n in range(4)]
    await stack.gateway.store.links.keep_private(people[0], {"email": "someone@example.com"})
    await stack.get(stack.path(people[0]))
    await stack.get(stack.path(people[1]), SCANNER)
    await stack.get(stack.path(replace(people[2], campaign="wrong")))
    await stack.fault(status=429, retry_after=60)
    await stack.get(stack.path(people[0]))
    with monkeypatch.context() as patch:
        patch.setattr("linkgate.visits.decide", lambda **_: 1 / 0)
        assert (await stack.get(stack.path(people[3]))).status == 500
    assert len(caplog.records) >= 3
    for secret in ("person-", "someone", "/l/", "127.0.0.1", STRIPE_KEY, SIGNING_KEY):
        logged = [r for r in caplog.records if r.name.startswith("linkgate")]
        assert not [r for r in logged if secret in caplog.handler.format(r)], secret
