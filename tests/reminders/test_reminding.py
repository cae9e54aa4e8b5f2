"""Who is reminded and when, through a real mail server and a real store; never twice."""

import asyncio
import logging
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from linkgate.campaigns import Status, change, change_status
from linkgate.payments import SessionState
from linkgate.picturing import picture
from linkgate.reminding import LOOKS, PATIENCE_SECONDS, Reminders
from linkgate.store import keys
from linkgate.store.queue import Item
from linkgate.store.reminders import ReminderStore
from linkgate.tokens import Keyring, Link, LinkTokens
from tests.reminders.conftest import KEY, URL, Scene
from tests.stack import Clock


@pytest.fixture(autouse=True)
async def campaign(scene: Scene) -> None:
    await scene.campaign()


async def work(scene: Scene, link: Link, reminders: Reminders | None = None) -> None:
    """Let the link's session have run out, and the worker do what is due."""
    reminders = reminders or scene.reminders()
    assert await reminders.consider(link.id, link.campaign)
    await reminders.worker.work()


async def waits(reminders: Reminders) -> bool:
    return bool(await reminders.queue.depth())


async def test_one_reminder_with_the_link_that_still_works(scene: Scene) -> None:
    link = await scene.link(customer="cus_1")
    reminders = scene.reminders()
    await work(scene, link, reminders)
    [message] = scene.mailman.messages
    assert message["To"] == "anna@example.com"
    assert message["From"] == "Example Shop <shop@example.com>"
    body = message.get_body(("plain",))
    assert body
    [url] = [line for line in body.get_content().split() if "/l/" in line]
    read = LinkTokens(Keyring([KEY])).read(url.removeprefix(f"{URL}/l/"), scene.clock()).link
    assert (read.id, read.customer) == (link.id, "cus_1")
    # Scanners open this e-mail's link when it comes, and not when the first one was sent.
    assert read.sent_at == pytest.approx(scene.clock(), abs=30)
    assert await scene.said(link) == "sent"
    assert await scene.counts() == {"sent": 1}
    assert not await waits(reminders)


async def test_never_a_second_one(scene: Scene) -> None:
    link = await scene.link()
    for _ in range(3):
        await work(scene, link)
    assert len(scene.mailman.envelopes) == 1
    assert await scene.counts() == {"sent": 1}


async def test_two_processes_at_once_send_one(scene: Scene) -> None:
    link = await scene.link()
    one, other = scene.reminders(), scene.reminders()
    await one.consider(link.id, "spring")
    [item] = await one.queue.take(1, lease_ms=60_000)
    # Even where the lease has run out, and both are at it.
    await asyncio.gather(one.handle(item), other.handle(item))
    assert len(scene.mailman.envelopes) == 1
    assert await scene.counts() == {"sent": 1}


async def test_many_links_are_reminded_of_by_several_processes_once_each(scene: Scene) -> None:
    links = [await scene.link(f"r-{n}", email=f"p{n}@example.com") for n in range(12)]
    processes = [scene.reminders() for _ in range(3)]
    for link in links:
        await processes[0].consider(link.id, "spring")
    while await waits(processes[0]):
        await asyncio.gather(*(process.worker.work() for process in processes))
        await asyncio.sleep(0.005)
    sent = sorted(envelope.rcpt_tos[0] for envelope in scene.mailman.envelopes)
    assert sent == sorted(f"p{n}@example.com" for n in range(12))


@pytest.mark.parametrize(
    "scenery",
    [
        {"email": None},
        {"expires_s": -10},
        {"done": "paid"},
        {"done": "pending"},
        {"done": "complete"},
        {"revoked_at": "1"},
        {"campaign": "autumn"},
    ],
)
async def test_who_is_not_reminded(scene: Scene, scenery: dict[str, Any]) -> None:
    link = await scene.link(**scenery)
    reminders = scene.reminders()
    await reminders.consider(link.id, "spring")
    await reminders.worker.work()
    assert scene.mailman.envelopes == []
    assert await scene.said(link) is None
    assert not await waits(reminders)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.ENDED])
async def test_nobody_is_reminded_of_a_campaign_that_rests(scene: Scene, status: Status) -> None:
    link, reminders = await scene.link(), scene.reminders()
    await reminders.consider(link.id, "spring")
    campaign = await scene.store.campaigns.read("spring")
    rests = change_status(campaign, status, campaign.updated_at)
    await scene.store.campaigns.put(rests, replaces=campaign)
    await reminders.worker.work()
    assert scene.mailman.envelopes == []


async def test_a_campaign_may_change_its_mind(scene: Scene) -> None:
    link, reminders = await scene.link(), scene.reminders()
    await reminders.consider(link.id, "spring")
    campaign = await scene.store.campaigns.read("spring")
    without = change(campaign, {"reminder": None}, campaign.updated_at)
    assert without.reminder is None
    await scene.store.campaigns.put(without, replaces=campaign)
    await reminders.worker.work()
    assert scene.mailman.envelopes == []
    assert not await reminders.consider(link.id, "spring")


async def test_without_a_mail_server_nothing_is_planned(scene: Scene) -> None:
    link = await scene.link()
    assert not await scene.reminders(host=None).consider(link.id, "spring")
    assert not await scene.reminders().consider(link.id, "none-such")


async def test_a_reminder_comes_when_the_campaign_says(scene: Scene) -> None:
    await scene.campaign("later", reminder={"after_minutes": 90})
    link, reminders = await scene.link(campaign="later"), scene.reminders()
    await reminders.consider(link.id, "later")
    await reminders.worker.work()
    assert scene.mailman.envelopes == []
    [(_, due)] = await reminders.queue.waiting()
    assert due == pytest.approx(Clock()() + 5400, abs=30)
    # Another session that runs out meanwhile makes it no later.
    await reminders.consider(link.id, "later")
    assert await reminders.queue.waiting() == [(link.id, due)]
    await scene.make_due(link)
    await reminders.worker.work()
    assert len(scene.mailman.envelopes) == 1


async def test_a_payment_between_expiry_and_sending(scene: Scene) -> None:
    """The last question is asked when the mail server waits for the message."""
    link = await scene.link()
    mailman = scene.mailman
    handle = mailman.handle_RCPT

    async def paid_meanwhile(*args: Any) -> str:
        await scene.set(link, done="paid")
        return await handle(*args)

    mailman.handle_RCPT = paid_meanwhile  # type: ignore[method-assign]
    await work(scene, link)
    assert mailman.envelopes == []
    assert await scene.said(link) is None
    assert await scene.counts() == {}


async def test_nobody_is_reminded_while_paying(scene: Scene) -> None:
    link = await scene.link(state=SessionState.OPEN, session_s=600)
    reminders = scene.reminders()
    await work(scene, link, reminders)
    assert scene.mailman.envelopes == []
    [(_, due)] = await reminders.queue.waiting()
    assert due == pytest.approx(scene.clock() + 600 + 120, abs=30)
    # It ends unpaid after all.
    await scene.link()
    await scene.make_due(link)
    await reminders.worker.work()
    assert len(scene.mailman.envelopes) == 1


async def test_a_session_whose_end_nobody_tells_is_waited_for_a_few_times(scene: Scene) -> None:
    link = await scene.link(state=SessionState.OPEN, session_s=-10)
    reminders = scene.reminders()
    await work(scene, link, reminders)
    for _ in range(LOOKS - 1):
        await scene.make_due(link)
        await reminders.worker.work()
        assert await waits(reminders)
    await scene.make_due(link)
    await reminders.worker.work()
    assert not await waits(reminders)
    assert scene.mailman.envelopes == []


async def test_a_refused_recipient_is_noted_without_the_address(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "linkgate")
    scene.mailman.rcpt = ["550 5.1.1 <anna@example.com>: anna is unknown"]
    link, reminders = await scene.link(), scene.reminders()
    await work(scene, link, reminders)
    assert await scene.said(link) == "refused: 550 5.1.1 (there is no such mailbox)"
    assert await scene.counts() == {"failed": 1}
    assert not await waits(reminders)
    await work(scene, link, reminders)
    assert scene.mailman.envelopes == []
    told = [record.getMessage() for record in caplog.records if record.name.startswith("linkgate")]
    assert any(link.id in line for line in told)
    assert not any("anna" in line or "example.com" in line for line in told)


async def test_a_refused_message_is_not_tried_again(scene: Scene) -> None:
    scene.mailman.data = ["554 5.7.1 spam"]
    link, reminders = await scene.link(), scene.reminders()
    await work(scene, link, reminders)
    assert await scene.said(link) == "refused: 554 5.7.1 (the server's policy forbids it)"
    assert not await waits(reminders)


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_server_that_is_busy_is_asked_again(scene: Scene, stage: str) -> None:
    setattr(scene.mailman, stage, ["451 4.3.0 later", "421 4.3.2 later"])
    link, reminders = await scene.link(), scene.reminders()
    await work(scene, link, reminders)
    for pause in (60, 120):
        assert await scene.said(link) is None
        [(_, due)] = await reminders.queue.waiting()
        assert pause * 0.75 <= due - Clock()() <= pause * 1.25
        await scene.make_due(link)
        await reminders.worker.work()
    assert await scene.said(link) == "sent"
    assert len(scene.mailman.envelopes) == 1
    assert await scene.counts() == {"sent": 1}


async def test_a_wrong_password_costs_nobody_the_reminder(scene: Scene) -> None:
    links = [await scene.link(f"r-{n}", email=f"p{n}@example.com") for n in range(2)]
    wrong = scene.reminders(password="wrong")
    for link in links:
        await work(scene, link, wrong)
    assert scene.mailman.envelopes == []
    # A server that lets nobody in is left alone for a while: it locks out who keeps knocking.
    logins = scene.mailman.logins
    assert logins <= 3
    await scene.make_due(links[1])
    await wrong.worker.work()
    assert scene.mailman.logins == logins
    right = scene.reminders()
    for link in links:
        await scene.make_due(link)
        await right.worker.work()
        assert await scene.said(link) == "sent"


async def test_a_server_that_is_away_for_a_day_is_given_up(scene: Scene) -> None:
    link, reminders = await scene.link(expires_s=5 * 86_400), scene.reminders(port=1)
    await work(scene, link, reminders)
    assert await waits(reminders)
    scene.clock.offset += PATIENCE_SECONDS + 60
    await scene.make_due(link)
    await reminders.worker.work()
    assert await scene.said(link) == "failed: no server took it"
    assert await scene.counts() == {"failed": 1}
    assert not await waits(reminders)


@pytest.mark.parametrize("mood", ["cut", "hang"])
async def test_what_nobody_knows_is_not_sent_again(scene: Scene, mood: str) -> None:
    setattr(scene.mailman, mood, True)
    link, reminders = await scene.link(), scene.reminders(timeout_seconds=1)
    await work(scene, link, reminders)
    assert await scene.said(link) == (
        "unclear: the mail server never said whether it has the message"
    )
    scene.mailman.cut = scene.mailman.hang = False
    await work(scene, link, reminders)
    assert len(scene.mailman.envelopes) == 1


async def test_a_process_that_dies_with_the_claim_loses_the_reminder(scene: Scene) -> None:
    link, reminders = await scene.link(), scene.reminders()
    assert await ReminderStore(scene.store.connection).claim(link.id, ["x"])
    await work(scene, link, reminders)
    assert scene.mailman.envelopes == []
    drawn = picture(link.id, None, None, await scene.row(link), scene.clock())
    assert drawn.reminder
    assert (drawn.reminder.result, drawn.reminder.reason) == ("unclear", "")


async def test_a_process_that_stops_before_the_claim_loses_nothing(scene: Scene) -> None:
    link, reminders = await scene.link(), scene.reminders()
    asked = asyncio.Event()

    async def wait(*_: Any) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    mailman, scene.mailman.handle_RCPT = scene.mailman, wait  # type: ignore[method-assign]
    await reminders.consider(link.id, "spring")
    reminders.start()
    await asyncio.wait_for(asked.wait(), 5)
    await reminders.stop()
    del mailman.handle_RCPT  # type: ignore[method-assign]
    await scene.make_due(link)
    await scene.reminders().worker.work()
    assert await scene.said(link) == "sent"


async def test_the_picture_of_a_link_shows_its_reminder(scene: Scene) -> None:
    link = await scene.link()
    row = await scene.row(link)
    assert picture(link.id, None, None, row, scene.clock()).reminder is None
    scene.mailman.rcpt = ["550 5.2.1 no"]
    await work(scene, link)
    drawn = picture(link.id, None, None, await scene.row(link), scene.clock()).reminder
    assert drawn
    assert (drawn.result, drawn.reason) == ("refused", "550 5.2.1 (the mailbox is disabled)")
    assert abs(drawn.at.timestamp() - Clock()()) < 30


async def test_reminders_go_out_no_faster_than_they_may(scene: Scene) -> None:
    reminders = scene.reminders(per_minute=2)
    links = [await scene.link(f"r-{n}", email=f"p{n}@example.com") for n in range(4)]
    for link in links:
        await reminders.consider(link.id, "spring")
    await reminders.worker.work()
    assert len(scene.mailman.envelopes) == 1
    # The others stand in line, half a minute apart, whoever takes them.
    dues = sorted(due for _, due in await reminders.queue.waiting())
    steps = [later - sooner for sooner, later in pairwise(dues)]
    assert steps == pytest.approx([30, 30], abs=1)
    assert dues[0] == pytest.approx(Clock()() + 30, abs=2)


async def test_a_turn_is_kept_for_who_comes_in_time(scene: Scene) -> None:
    kept = ReminderStore(scene.store.connection)
    assert (await kept.turn(30_000))[0] == 0
    waits, given = await kept.turn(30_000)
    assert 29_000 < waits <= 30_000
    # Its own turn, a moment ago: go. One that is long over, or of another clock: stand in line.
    now = given - waits
    assert await kept.turn(30_000, now - 500) == (0, now - 500)
    assert (await kept.turn(30_000, now - 70_000))[0] > 50_000
    assert (await kept.turn(30_000, now + 10**9))[0] > 80_000


async def test_a_claim_is_for_one_and_can_be_given_back(scene: Scene) -> None:
    link, kept = await scene.link(), ReminderStore(scene.store.connection)
    claim = await kept.claim(link.id, ["one", "two"])
    assert claim
    assert await kept.claim(link.id, ["one"]) is None
    assert not await kept.release(link.id, "another")
    assert await kept.reminded_to(link.id) == ("one", "two")
    assert await kept.release(link.id, claim)
    assert await kept.reminded_to(link.id) == ()
    assert await kept.claim(link.id, ["one"])
    # Nothing is kept of a link that is gone.
    assert await kept.claim("lnk_" + "0" * 32, ["one"]) is None


async def test_the_way_out_is_kept_for_as_long_as_it_may_be_needed(scene: Scene) -> None:
    link = await scene.link()
    client: Any = scene.store.connection.client
    await client.expire(keys.link(link.id), 60)
    await work(scene, link)
    assert await client.ttl(keys.link(link.id)) > 59 * 86_400
    # The address itself goes when it was to go.
    await client.expire(keys.private(link.id), 60)
    assert await client.ttl(keys.private(link.id)) <= 60


async def test_a_body_of_an_item_of_another_version_is_read(scene: Scene) -> None:
    link, reminders = await scene.link(), scene.reminders()
    item = Item(link.id, '{"looks": 1, "newer": true}', 0, 1)
    assert await reminders.handle(item) is None
    assert await scene.said(link) == "sent"
    assert await reminders.handle(replace(item, body="")) is None


async def test_an_address_that_is_none_is_no_circle(scene: Scene) -> None:
    link, reminders = await scene.link(email="anna@example.com, eve@example.com"), scene.reminders()
    await work(scene, link, reminders)
    assert await scene.said(link) == "refused: the address is not one"
    assert not await waits(reminders)
