"""Coming back from a checkout: what each state of a link's sessions makes of the return pages."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from linkgate import anonymous, campaigns, challenge
from linkgate.campaigns import Campaign, Status
from linkgate.errors import StoreUnavailable
from linkgate.pages import Brand, Page, Pages
from linkgate.payments import Session, SessionState
from linkgate.references import References
from linkgate.returning import COOKIE, Return, Returning, cookie
from linkgate.store.entries import Row
from linkgate.tokens import Keyring, Link, LinkTokens

NOW = 1_800_000_000.0
KEYRING = Keyring(["a-signing-key-of-some-length"])
LINK = Link("spring", "r-1001", int(NOW) + 86_400)
TOKEN = LinkTokens(KEYRING).issue(LINK)
REF = References(KEYRING).issue_return(LINK.id)
MINE = f"theme=dark; {COOKIE}={TOKEN}; lang=en"


def session(state: str, number: int = 1, **more: Any) -> Session:
    """The link's session of one attempt; later attempts are younger."""
    at = int(NOW) - 3600 + number
    told = {"amount_total": 4900, "currency": "eur", **more}
    return Session(f"cs_{number}", "", SessionState(state), number, at, at + 1800, **told)


def campaign(**changes: Any) -> Campaign:
    settings = {
        "slug": "spring",
        "name": "Spring sale",
        "destination": {"line_items": [{"price": "price_1"}]},
    }
    status = changes.pop("status", Status.ACTIVE)
    made = campaigns.create({**settings, **changes}, datetime.fromtimestamp(NOW, UTC))
    return made.model_copy(update={"status": status})


class Kept:
    """A store that holds one link, and can be away."""

    def __init__(self, *sessions: Session, fields: Mapping[str, str], of: Campaign | None) -> None:
        self.row: Row | None = Row({"campaign": "spring", **fields}, sessions, (), {})
        self.campaign = of
        self.away = False
        self.name = LINK.id
        self.links = self.campaigns = self

    async def read(self, name: str) -> Row | None:
        if self.away:
            raise StoreUnavailable("away")
        return self.row if name == self.name else None

    def peek(self, slug: str) -> Campaign | None:
        return None

    async def get(self, slug: str) -> Campaign | None:
        return self.campaign if slug == "spring" else None


class Scene:
    """Return pages over one link, and who was asked about it."""

    def __init__(
        self,
        *sessions: Session,
        fields: Mapping[str, str] = {},
        of: Campaign | None = None,
        contact: str | None = None,
    ) -> None:
        done = [s for s in sessions if s.state in {"paid", "complete", "pending"}]
        heard = {"done": done[-1].state.value, "done_count": str(len(done))} if done else {}
        self.store = Kept(*sessions, fields={**heard, **fields}, of=of or campaign())
        self.asked: list[str] = []
        self.returning = Returning(
            keyring=KEYRING,
            store=self.store,  # type: ignore[arg-type]
            pages=Pages(Brand("Fernhill Books", "#0b7a5b", contact=contact)),
            clock=lambda: NOW,
            on_waiting=self.ask,
        )

    async def ask(self, link: str) -> None:
        self.asked.append(link)

    async def page(self, path: str = REF, **more: Any) -> Page:
        return await self.returning.page(Return(path, **more))


async def heading(scene: Scene, path: str = REF, **more: Any) -> str:
    found = re.search(r"<h1>(.*)</h1>", html(await scene.page(path, **more)))
    assert found
    return found[1]


def html(page: Page) -> str:
    return page.body.decode()


def renewal(page: Page) -> tuple[int, str] | None:
    """After how many seconds a page renews itself, and from where."""
    found = re.search(r'<meta http-equiv="refresh" content="(\d+);url=([^"]*)">', html(page))
    return (int(found[1]), found[2]) if found else None


def form(page: Page) -> tuple[str, str] | None:
    """The form's action and challenge."""
    text = html(page)
    found = re.search(r'<form method="post" action="([^"]+)">', text)
    value = re.search(r'name="challenge" value="([^"]+)"', text)
    return (found[1], value[1]) if found and value else None


CANCELLED = f"{REF}/cancelled"
CONFIRMING = "Waiting for confirmation"
LEFT = "You have left the checkout"


# Done


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (["paid"], "Payment confirmed"),
        (["complete"], "All done"),
        (["pending"], "Your payment is being confirmed"),
        (["open"], CONFIRMING),
        (["failed"], "The payment did not go through"),
        (["expired"], CONFIRMING),
        (["expired", "failed"], "The payment did not go through"),
        ([], CONFIRMING),
        (["expired", "open"], CONFIRMING),
        (["failed", "open"], CONFIRMING),
        (["open", "expired"], CONFIRMING),
        (["expired", "paid"], "Payment confirmed"),
        # What was paid stays paid, whatever else became of the link.
        (["paid", "expired"], "Payment confirmed"),
        (["paid", "open"], "Payment confirmed"),
        (["pending", "expired"], "Your payment is being confirmed"),
    ],
)
async def test_the_page_says_what_the_store_knows(states: list[str], said: str) -> None:
    scene = Scene(*(session(state, number) for number, state in enumerate(states, 1)))
    assert await heading(scene) == said


async def test_what_is_known_is_told_once_and_for_all() -> None:
    for state in ("paid", "complete", "failed"):
        page = await Scene(session(state)).page()
        assert page.status == 200
        assert renewal(page) is None, state


@pytest.mark.parametrize(
    ("language", "amount", "currency", "said"),
    [
        ("en", 4900, "eur", "your payment of €49.00."),
        ("de", 123456, "eur", "Zahlung über 1.234,56\u00a0€ ist"),
        ("ja", 4900, "jpy", "4,900円のお支払い"),
        ("en", 4900, "ugx", "received your payment."),
        ("en", None, None, "received your payment."),
    ],
)
async def test_the_amount_is_told_where_it_is_known(
    language: str, amount: int | None, currency: str | None, said: str
) -> None:
    scene = Scene(session("paid", amount_total=amount, currency=currency))
    page = html(await scene.page(accept_language=language))
    assert said in page.replace("<bdi>Fernhill Books</bdi> ", "")


async def test_a_link_that_may_be_paid_again_waits_for_the_payment_that_is_new() -> None:
    twice = campaign(max_payments=2)
    scene = Scene(session("paid", 1), session("open", 2), of=twice)
    assert await heading(scene) == CONFIRMING
    assert await heading(scene, CANCELLED) == LEFT
    older = Scene(session("open", 1), session("paid", 2), of=twice)
    assert await heading(older) == "Payment confirmed"
    endless = Scene(session("paid"), of=campaign(max_payments="unlimited"))
    assert await heading(endless, CANCELLED) == "Payment confirmed"
    full = Scene(session("paid", 1), session("paid", 2), session("open", 3), of=twice)
    assert await heading(full) == "Payment confirmed"
    assert await heading(full, CANCELLED) == "This has already been paid"
    on_its_way = Scene(session("pending"), of=twice)
    assert await heading(on_its_way, CANCELLED, cookies=MINE) == "Your payment is being confirmed"
    again = Scene(session("paid", 1), session("expired", 2), of=twice)
    assert await heading(again, CANCELLED, cookies=MINE) == LEFT


# Waiting


@pytest.mark.parametrize(
    ("waited", "seconds"),
    [(0, 3), (59, 3), (60, 15), (599, 15), (600, 60), (86_399, 60), (86_400, 600), (10**7, 600)],
)
async def test_the_page_renews_itself_more_seldom_the_longer_it_takes(
    waited: int, seconds: int
) -> None:
    since = int(NOW) - waited
    page = await Scene(session("open")).page(query=f"since={since}")
    assert renewal(page) == (seconds, f"?since={since}")
    # And by hand, for those whose browser renews nothing.
    assert f'<a href="?since={since}">' in html(page)


async def test_the_wait_begins_with_the_return_however_long_the_checkout_took() -> None:
    # The session is an hour old.
    page = await Scene(session("open")).page()
    assert renewal(page) == (3, f"?since={int(NOW)}")


@pytest.mark.parametrize("waited", [0, 60, 600, 86_400])
async def test_money_on_its_way_is_not_asked_for_every_few_seconds(waited: int) -> None:
    page = await Scene(session("pending")).page(query=f"since={int(NOW) - waited}")
    renews = renewal(page)
    assert renews
    assert renews[0] >= 60


@pytest.mark.parametrize(
    "query",
    [
        "since=",
        "since=x",
        "since=-5",
        "since=0",
        "since=1e3",
        f"since={int(NOW) + 1}",
        "since=" + "9" * 5000,
        '"><script>alert(1)</script>',
        "since=%22%3E%3Cscript%3E",
        "&".join(["since=1"] * 50),
        "\x00\xff",
    ],
)
async def test_a_time_that_is_none_counts_as_now(query: str) -> None:
    page = await Scene(session("open")).page(query=query)
    assert renewal(page) == (3, f"?since={int(NOW)}")
    assert "<script" not in html(page)


async def test_stripe_is_asked_for_someone_who_has_waited_some_seconds() -> None:
    scene = Scene(session("open"))
    for waited, asked in ((0, 0), (3, 0), (6, 1), (9, 2)):
        await scene.page(query=f"since={int(NOW) - waited}")
        assert len(scene.asked) == asked, waited
    assert set(scene.asked) == {LINK.id}
    await scene.page(query=f"since={int(NOW) - 60}", shown=False)
    assert len(scene.asked) == 2


async def test_stripe_is_asked_for_someone_who_left_what_may_have_been_paid() -> None:
    # With "back" in their browser, say, and the webhook is late.
    scene = Scene(session("open"))
    page = await scene.page(CANCELLED, cookies=MINE)
    assert "As far as we know" in html(page)
    assert scene.asked == [LINK.id]
    await scene.page(CANCELLED, shown=False)
    assert len(scene.asked) == 1
    for state in ("paid", "pending", "complete", "failed", "expired"):
        known = Scene(session(state))
        await known.page(CANCELLED)
        assert known.asked == []


@pytest.mark.parametrize("state", ["paid", "complete", "pending", "failed"])
async def test_nobody_is_asked_for_what_is_known(state: str) -> None:
    scene = Scene(session(state))
    await scene.page(query=f"since={int(NOW) - 60}")
    assert scene.asked == []


async def test_the_page_is_shown_though_nobody_can_be_asked() -> None:
    scene = Scene(session("open"))

    async def fail(link: str) -> None:
        raise StoreUnavailable("away")

    scene.ask = fail  # type: ignore[method-assign]
    scene.returning._on_waiting = fail
    assert await heading(scene, query=f"since={int(NOW) - 60}") == CONFIRMING


@pytest.mark.parametrize("states", [[], ["expired"], ["open"], ["failed"], ["paid"]])
async def test_whoever_comes_back_from_the_portal_is_told_of_no_payment(states: list[str]) -> None:
    scene = Scene(*(session(state) for state in states))
    page = await scene.page(f"{REF}/portal", cookies=MINE, query=f"since={int(NOW) - 60}")
    assert page.status == 200
    assert "You are back from your account" in html(page)
    assert renewal(page) is None
    assert form(page) is None
    # Nobody waits, so nobody is asked.
    assert scene.asked == []


@pytest.mark.parametrize("states", [[], ["expired"], ["expired", "expired"]])
async def test_who_is_done_waits_for_half_an_hour_until_a_payment_is_known(
    states: list[str],
) -> None:
    # Nobody is sent to this address unpaid: they may have paid in a recovered session.
    scene = Scene(*(session(state, number) for number, state in enumerate(states, 1)))
    for waited in (0, 60, 1799):
        query = f"since={int(NOW) - waited}"
        assert await heading(scene, query=query, cookies=MINE) == CONFIRMING
    page = await scene.page(query=f"since={int(NOW) - 1800}", cookies=MINE)
    assert "has heard of no payment by this link" in html(page)
    assert "do not pay again" in html(page)
    # Looking at the page once more still asks.
    assert (renewal(page), form(page), len(scene.asked)) == (None, None, 3)


async def test_an_expired_session_hides_no_payment_that_failed_for_ever() -> None:
    scene = Scene(session("failed", 1), session("expired", 2))
    assert await heading(scene) == CONFIRMING
    later = await heading(scene, query=f"since={int(NOW) - 1800}")
    assert later == "The payment did not go through"


# The way back


@pytest.mark.parametrize(("path", "state"), [(CANCELLED, "open"), (REF, "failed")])
async def test_the_button_is_there_for_the_browser_that_came_by_the_link(
    path: str, state: str
) -> None:
    page = await Scene(session(state)).page(path, cookies=MINE)
    sent = form(page)
    assert sent
    action, signed = sent
    assert action == f"/l/{TOKEN}"
    read = challenge.read(KEYRING, signed, link=LINK.id, now=NOW, max_age=60)
    assert isinstance(read, challenge.Challenge)
    assert read.origin is challenge.Origin.INTERSTITIAL
    assert '<script src="/static/press.js" defer></script>' in html(page)
    # Law 2: by POST alone.
    assert "http-equiv" not in html(page)
    assert not re.search(r'(href|src|formaction)="(?!/static/press\.js)', html(page))


@pytest.mark.parametrize(("path", "state"), [(CANCELLED, "open"), (REF, "failed")])
async def test_a_web_address_of_the_senders_is_no_second_way_beside_the_button(
    path: str, state: str
) -> None:
    scene = Scene(session(state), contact="https://fernhill.example/help")
    assert "<a " not in html(await scene.page(path, cookies=MINE))
    assert "<a " in html(await scene.page(path))


def other(**changes: Any) -> str:
    values = {"campaign": "spring", "recipient": "r-1001", "expires_at": LINK.expires_at}
    return LinkTokens(KEYRING).issue(Link(**{**values, **changes}))


@pytest.mark.parametrize(
    "cookies",
    [
        "",
        "theme=dark",
        f"{COOKIE}=",
        f"{COOKIE}={REF}",
        f"{COOKIE}={other(recipient='r-1002')}",
        f"{COOKIE}={other(campaign='autumn')}",
        f"{COOKIE}={other(expires_at=int(NOW) - 3600)}",
        f"{COOKIE}={LinkTokens(KEYRING).issue_decoy(LINK)}",
        f"{COOKIE}={LinkTokens(Keyring(['another-key'])).issue(LINK)}",
        f"x{COOKIE}={TOKEN}",
        f"{COOKIE}=" + "x" * 5000,
        f"{COOKIE}=\xff\x00",
        "; ".join([f"{COOKIE}=junk"] * 8 + [f"{COOKIE}={TOKEN}"]),
    ],
)
async def test_without_this_links_own_cookie_the_email_is_the_way(cookies: str) -> None:
    for path, state in ((CANCELLED, "open"), (REF, "failed")):
        page = await Scene(session(state)).page(path, cookies=cookies)
        assert form(page) is None
        assert "<button" not in html(page)
        assert "open the link in your email" in html(page)
        assert TOKEN not in html(page)


async def test_one_good_cookie_among_others_is_enough() -> None:
    cookies = f"{COOKIE}=junk; {COOKIE}={other(recipient='r-2')}; {COOKIE}={TOKEN}"
    assert form(await Scene(session("open")).page(CANCELLED, cookies=cookies))


def test_the_cookie_goes_to_its_own_links_return_pages_alone() -> None:
    value = cookie(TOKEN, f"/return/{REF}", 100_000.7, secure=True).decode()
    attributes = f"Max-Age=100000; Path=/return/{REF}; HttpOnly; SameSite=Lax; Secure"
    assert value == f"lg_link={TOKEN}; {attributes}"
    # Stripe shows its page for a session that ran out, and that leads back here.
    short = cookie(TOKEN, f"/return/{REF}", 1800, secure=False).decode()
    assert "Max-Age=86400;" in short
    assert "Secure" not in short


PUBLIC = anonymous.link("spring", None, "nonce", int(NOW) + 86_400)
PUBLIC_REF = References(KEYRING).issue_return(PUBLIC.id)


def public(state: str, **changes: Any) -> Scene:
    """Somebody who came by the campaign's poster."""
    about = {"recipient": PUBLIC.recipient, "expires_at": str(PUBLIC.expires_at)}
    fields = {**about, **changes.pop("fields", {})}
    scene = Scene(session(state), fields=fields, of=campaign(**{"public": True, **changes}))
    scene.store.name = PUBLIC.id
    return scene


@pytest.mark.parametrize(("path", "state"), [("/cancelled", "open"), ("", "failed")])
async def test_nobody_who_came_by_a_poster_is_sent_to_an_email(path: str, state: str) -> None:
    address = PUBLIC_REF + path
    page = await public(state).page(address)
    assert "where you found this offer" in html(page)
    assert "email" not in html(page)
    assert form(page) is None
    # Their browser may know the link all the same.
    token = LinkTokens(KEYRING).issue(PUBLIC)
    mine = anonymous.cookie(PUBLIC, token, NOW, secure=True).decode().partition(";")[0]
    sent = form(await public(state).page(address, cookies=f"theme=dark; {mine}"))
    assert sent
    assert sent[0] == f"/l/{token}"
    # A link of another visit is not theirs.
    other = anonymous.link("spring", None, "another", int(NOW) + 86_400)
    named = mine.partition("=")[0] + "=" + LinkTokens(KEYRING).issue(other)
    assert form(await public(state).page(address, cookies=named)) is None


async def test_a_posters_link_that_has_expired_is_no_loss_but_a_closed_campaign_is() -> None:
    expired = public("open", fields={"expires_at": str(int(NOW) - 1)})
    assert "where you found this offer" in html(await expired.page(f"{PUBLIC_REF}/cancelled"))
    closed = public("open", public=False)
    assert await heading(closed, f"{PUBLIC_REF}/cancelled") == "No longer available"


async def test_a_link_that_has_expired_is_no_way_back() -> None:
    old = {"expires_at": str(int(NOW))}
    left = Scene(session("open"), fields=old)
    assert await heading(left, CANCELLED) == "This link has expired"
    failed = html(await Scene(session("failed"), fields=old).page())
    assert "nothing was charged" in failed
    assert "open the link" not in failed
    paid = Scene(session("paid"), fields=old)
    assert await heading(paid, CANCELLED) == "This has already been paid"
    # A newer token of the same link, which this browser holds.
    assert form(await Scene(session("open"), fields=old).page(CANCELLED, cookies=MINE))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("open", LEFT),
        ("expired", LEFT),
        ("failed", LEFT),
        ("paid", "This has already been paid"),
        ("complete", "This is already done"),
        ("pending", "Your payment is being confirmed"),
    ],
)
async def test_whoever_left_is_told_what_stands(state: str, said: str) -> None:
    scene = Scene(session(state))
    assert await heading(scene, CANCELLED, cookies=MINE) == said


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"revoked_at": "1"}, Status.ACTIVE, "This link is no longer valid"),
        ({}, Status.ENDED, "No longer available"),
        ({}, Status.PAUSED, "Not available right now"),
    ],
)
async def test_a_link_that_opens_nothing_any_more_gets_no_button(
    fields: dict[str, str], status: Status, said: str
) -> None:
    scene = Scene(session("open"), fields=fields, of=campaign(status=status))
    assert await heading(scene, CANCELLED, cookies=MINE) == said
    assert form(await scene.page(CANCELLED, cookies=MINE)) is None
    failed = Scene(session("failed"), fields=fields, of=campaign(status=status))
    page = await failed.page(cookies=MINE)
    assert form(page) is None
    assert "nothing was charged" in html(page)
    assert "open the link" not in html(page)
    # Money first: who has paid is told so.
    paid = Scene(session("paid"), fields=fields, of=campaign(status=status))
    assert await heading(paid) == "Payment confirmed"
    assert await heading(paid, CANCELLED) == "This has already been paid"


# What is no return, and what can't be known


def unsigned() -> Sequence[str]:
    forged = f"{LINK.id}.{'A' * 43}"
    unsubscribe = References(KEYRING).issue_unsubscribe(LINK.id)
    return ["", "/", "x", "cancelled", LINK.id, forged, unsubscribe, TOKEN, "%00", "\ud800", "../x"]


@pytest.mark.parametrize("path", unsigned())
async def test_what_nobody_signed_tells_nothing(path: str) -> None:
    for end in ("", "/cancelled"):
        page = await Scene(session("paid")).page(path + end, cookies=MINE)
        assert page.status == 404
        assert TOKEN not in html(page)


async def test_a_link_of_which_nothing_is_kept_is_unknown() -> None:
    scene = Scene()
    scene.store.row = None
    assert (await scene.page()).status == 404
    assert (await scene.page(CANCELLED, cookies=MINE)).status == 404


async def test_a_link_known_by_its_webhook_alone_has_its_page() -> None:
    scene = Scene(session("paid"))
    scene.store.row = Row({"done": "paid"}, (session("paid"),), (), {})
    assert await heading(scene) == "Payment confirmed"
    assert await heading(scene, CANCELLED) == "This has already been paid"


@pytest.mark.parametrize("path", [REF, CANCELLED])
async def test_without_a_store_the_page_says_so_and_looks_again(path: str) -> None:
    scene = Scene(session("paid"))
    scene.store.away = True
    page = await scene.page(path)
    assert page.status == 503
    assert (b"retry-after", b"5") in page.headers
    assert renewal(page) == (5, f"?since={int(NOW)}")
    assert "do not pay again" in html(page)
    later = await scene.page(path, query=f"since={int(NOW) - 120}")
    assert renewal(later) == (15, f"?since={int(NOW) - 120}")
    scene.store.away = False
    assert (await scene.page(path)).status == 200


@pytest.mark.parametrize("junk", ["/", ".", "%0D", ")", "//"])
async def test_junk_at_the_end_of_the_address_does_no_harm(junk: str) -> None:
    scene = Scene(session("open"))
    assert await heading(scene, REF + junk) == CONFIRMING
    assert await heading(scene, CANCELLED + junk) == LEFT


async def test_it_is_said_in_the_persons_language() -> None:
    scene = Scene(session("paid"))
    assert await heading(scene, accept_language="de-AT, en;q=0.5") == "Zahlung bestätigt"
    assert "Spring sale" in html(await scene.page(accept_language="ja"))
