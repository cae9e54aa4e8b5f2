"""The commands below `linkgate sandbox`, on a sandbox that runs."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from linkgate.cli import app
from linkgate.cli.edges import DEEDS
from linkgate.sandbox import Sandbox
from linkgate.sandbox.deeds import ACTIONS
from linkgate.sandbox.nouns.sessions import open_session
from linkgate.sandbox.world import Cart
from tests.stack import STRIPE_KEY, free_port, serving

Do = Callable[..., Result]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in a thread of its own."""
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    port = free_port()
    found = Sandbox(f"http://127.0.0.1:{port}", STRIPE_KEY)

    async def run() -> None:
        async with serving(found.app(), port):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(30)
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


@pytest.fixture
def do(sandbox: Sandbox, elsewhere: Path) -> Do:
    """Run `linkgate sandbox ARGUMENTS...` on it; it must end with `status`."""

    def run(*arguments: str, status: int = 0) -> Result:
        where = ("--url", sandbox.world.base_url, "--api-key", STRIPE_KEY)
        result = CliRunner().invoke(app, ["sandbox", *arguments, *where])
        assert result.exit_code == status, (result.output, result.exception)
        return result

    return run


def session(sandbox: Sandbox, mode: str = "payment") -> Any:
    """A new open session, made without the API."""
    world = sandbox.world
    price = world.objects["price"][
        "price_demo_monthly" if mode == "subscription" else "price_demo_once"
    ]
    amounts = dict.fromkeys(("amount_subtotal", "amount_total"), price["unit_amount"])
    item = {
        "price": price,
        "quantity": 1,
        "currency": "eur",
        "metadata": {},
        "description": "x",
        **amounts,
    }
    params = {"mode": mode, "success_url": "https://shop.example.com/"}
    return open_session(world, params, Cart([item]))


def test_every_deed_is_a_control() -> None:
    own = {"refund", "dispute", "cancel"}
    assert set(DEEDS) | own | {"fail", "end-trial"} == set(ACTIONS)


def test_a_payment_is_made_refunded_and_disputed(do: Do, sandbox: Sandbox) -> None:
    made = session(sandbox)
    assert do("decline", made["id"]).stdout == f"{made['id']}: open, unpaid\n"
    assert do("pay").stdout == f"{made['id']}: complete, paid\n"
    told = json.loads(do("refund", made["id"], "--amount", "900", "--json").stdout)
    assert (told["object"], told["amount"]) == ("refund", 900)
    assert ": needs response\n" in do("dispute").stdout
    assert ": won\n" in do("win-dispute").stdout


def test_a_subscription_lives(do: Do, sandbox: Sandbox) -> None:
    session(sandbox, "subscription")
    for words, state in (
        (["pay"], "complete, paid"),
        (["renew"], "active"),
        (["fail-renewal"], "past due"),
        (["unpaid"], "unpaid"),
        (["catch-up"], "active"),
        (["cancel", "--at-period-end"], "active"),
        (["keep"], "active"),
        (["cancel"], "canceled"),
    ):
        assert do(*words).stdout.endswith(f": {state}\n"), words


def test_an_asynchronous_payment_and_an_expiry(do: Do, sandbox: Sandbox) -> None:
    session(sandbox)
    do("pay-later")
    assert do("fail-async").stdout.endswith(": complete, unpaid\n")
    session(sandbox)
    assert do("expire").stdout.endswith(": expired, unpaid\n")


def test_what_does_not_fit_is_told_and_fails(do: Do, sandbox: Sandbox) -> None:
    made = session(sandbox)
    told = do("refund", made["id"], status=1).stderr
    assert told == "linkgate: the sandbox refuses: No money has come of this yet.\n"
    assert "No such checkout.session" in do("pay", "cs_test_none", status=1).stderr


def test_webhooks_are_lost_doubled_late_and_held(do: Do, sandbox: Sandbox) -> None:
    do("webhooks", "clear")
    assert do("webhooks", "lose", "2", "--kind", "invoice.*").stdout == (
        "2 events of invoice.*: lose\n"
    )
    do("webhooks", "double", "0", "--copies", "50")
    do("webhooks", "delay", "--seconds", "1.5")
    assert [
        (order["fate"], order["events"], order["copies"], order["seconds"])
        for order in sandbox.courier.book.as_json()
    ] == [("lose", 2, 2, 10.0), ("double", None, 50, 10.0), ("delay", 1, 2, 1.5)]
    do("webhooks", "clear")
    assert sandbox.courier.book.as_json() == []
    do("webhooks", "hold")
    session(sandbox)
    do("expire")
    assert do("webhooks", "release", "--backwards").stdout == "Events sent: 1.\n"
    assert do("webhooks", "resend").stdout.endswith(": sent again\n")


def test_faults_are_ordered_and_cleared(do: Do, sandbox: Sandbox) -> None:
    do("fault", "429", "--times", "3", "--skip", "1")
    do("fault", "cut", "--match", "GET *", "--times", "0", "--executed")
    do("fault", "slow", "--seconds", "2")
    assert [
        (fault.mode, fault.status, fault.match, fault.times, fault.skip, fault.executed)
        for fault in sandbox.faults.open()
    ] == [
        ("status", 429, "POST /v1/checkout/sessions", 3, 1, False),
        ("drop", 500, "GET *", None, 0, True),
        ("slow", 500, "POST /v1/checkout/sessions", 1, 0, False),
    ]
    do("fault", "clear")
    assert sandbox.faults.open() == []
    assert "KIND: must be" in do("fault", "broken", status=2).stderr


def test_the_clock_is_moved_and_set_right(do: Do, sandbox: Sandbox) -> None:
    session(sandbox)
    assert do("clock", "-30m").stdout == "The sandbox's clock is 1800 s behind.\n"
    assert do("clock", "+2d").stdout == "The sandbox's clock is 171000 s ahead.\n"
    assert sandbox.world.every("checkout.session")[0]["status"] == "expired"
    do("clock", "right")
    assert do("clock").stdout == "The sandbox's clock is right.\n"
    assert "CHANGE: must be" in do("clock", "soon", status=2).stderr


def test_limits_and_versions_are_set(do: Do, sandbox: Sandbox) -> None:
    do("limit", "25")
    assert sandbox.limits.creations_per_second == 25
    do("limit", "off")
    assert sandbox.limits.creations_per_second is None
    assert "CREATIONS: must be" in do("limit", "few", status=2).stderr
    before = sandbox.world.api_version
    do("api-version", "2022-11-15")
    assert sandbox.world.api_version == "2022-11-15"
    do("api-version", before)
    assert "must be a version" in do("api-version", "old", status=1).stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["pay", "--url", "http://127.0.0.1:9", "--api-key", "sk_test_x"], 1, "no sandbox answers"),
        (["pay", "--url", "http://127.0.0.1:9", "--api-key", "sk_live_x"], 2, "sk_test_"),
        (["pay", "--url", "https://api.stripe.com", "--api-key", "sk_test_x"], 2, "Stripe itself"),
        (["pay", "--url", "somewhere", "--api-key", "sk_test_x"], 2, "full http"),
        (["pay", "../state", "--url", "http://127.0.0.1:9", "--api-key", "sk_test_x"], 2, "id of"),
        (["--port", "0", "pay"], 2, "--port: starts a sandbox"),
        (["pay"], 2, "stripe.api_key"),
    ],
)
def test_a_wrong_place_is_told(elsewhere: Path, words: list[str], status: int, said: str) -> None:
    result = CliRunner().invoke(app, ["sandbox", *words])
    assert result.exit_code == status, result.output
    assert said in result.stderr


def test_the_configuration_says_where_it_is(do: Do, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "linkgate.toml"
    file.write_text(
        f"""
        [server]
        public_url = "https://go.example.com"
        [signing]
        keys = ["0123456789abcdefghijklmnopqrstuvwxyz"]
        [stripe]
        api_key = "{STRIPE_KEY}"
        api_base = "{sandbox.world.base_url}"
        webhook_secrets = ["whsec_nothing"]
        """
    )
    file.chmod(0o600)
    session(sandbox)
    result = CliRunner().invoke(app, ["sandbox", "pay", "--config", str(file)])
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(": complete, paid\n")
