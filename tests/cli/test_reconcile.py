"""`linkgate reconcile`, beside a linkgate that runs and whose webhooks were lost."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from linkgate.cli import app
from linkgate.cli.reconcile import moment
from linkgate.errors import Invalid
from linkgate.tokens import Link
from tests.paying.kit import act, bought, fields
from tests.stack import SIGNING_KEY, STRIPE_KEY, WEBHOOK_SECRET, Stack
from tests.threaded import Threaded

CONFIG = """
[server]
public_url = "{url}"
[signing]
keys = ["{key}"]
[store]
url = "embedded:{folder}"
[stripe]
api_key = "{api_key}"
api_base = "{base}"
webhook_secrets = ["{secret}"]
timeout_seconds = 1
"""
NOW = datetime(2026, 5, 10, 12, tzinfo=UTC).timestamp()

Reconcile = Callable[..., Result]


@pytest.fixture(scope="module")
def linkgate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Threaded, Path]]:
    """A running linkgate that looks for nothing by itself, and its configuration."""
    folder = tmp_path_factory.mktemp("reconcile") / "data"
    with Threaded(folder) as threaded:

        async def begin(stack: Stack) -> None:
            await stack.campaign()
            await stack.gateway.reconciler.stop()
            await stack.gateway.watcher.stop()

        threaded.do(begin)
        stack = threaded.stack
        file = folder.parent / "linkgate.toml"
        file.write_text(
            CONFIG.format(
                url=stack.url,
                key=SIGNING_KEY,
                folder=folder,
                api_key=STRIPE_KEY,
                base=stack.sandbox_url,
                secret=WEBHOOK_SECRET,
            )
        )
        file.chmod(0o600)
        yield threaded, file


@pytest.fixture
def running(linkgate: tuple[Threaded, Path]) -> Threaded:
    return linkgate[0]


@pytest.fixture
def reconcile(linkgate: tuple[Threaded, Path], elsewhere: Path) -> Reconcile:
    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["--config", str(linkgate[1]), "reconcile", *arguments])
        # A traceback is no answer to whatever a user does.
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return invoke


@pytest.fixture
def lost(running: Threaded) -> Iterator[Link]:
    """A link that was paid ten minutes ago, unheard."""

    async def pay(stack: Stack) -> Link:
        stack.sandbox.world.objects.pop("event", None)
        await stack.control("POST", "clock", {"offset": -600})
        await stack.control("POST", "webhooks/lose", {"events": None})
        link = stack.link()
        await act(stack, await bought(stack, link))
        await stack.control("POST", "clock", {"offset": 0})
        return link

    async def mend(stack: Stack) -> None:
        await stack.control("DELETE", "webhooks")
        await stack.control("DELETE", "faults")

    yield running.do(pay)
    running.do(mend)


def done(running: Threaded, link: Link) -> str | None:
    found = running.do(lambda stack: fields(stack, link))
    return found.get("done")


def test_it_says_what_was_missed_and_repairs_it(
    running: Threaded, reconcile: Reconcile, lost: Link
) -> None:
    result = reconcile("--since", "1h")
    assert result.exit_code == 0, result.output
    assert "2 events gone through since 20" in result.stdout
    assert re.search(rf"^checkout\.session\.completed +{lost.id}$", result.stdout, re.MULTILINE)
    assert "2 events had not come, " in result.stdout
    assert result.stdout.rstrip().endswith("repaired.")
    assert "would be" not in result.stdout
    assert done(running, lost) == "paid"
    again = reconcile("--since", "1h")
    assert again.stdout.rstrip().endswith("Nothing was missed.")


def test_a_dry_run_only_says_it(running: Threaded, reconcile: Reconcile, lost: Link) -> None:
    result = reconcile("--since", "1h", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith("would be repaired.")
    assert done(running, lost) is None
    data = json.loads(reconcile("--since", "1h", "--dry-run", "--json").stdout)
    assert (data["dry_run"], len(data["missed"])) == (True, 2)
    assert done(running, lost) is None


def test_json_of_it(running: Threaded, reconcile: Reconcile, lost: Link) -> None:
    result = reconcile("--since", "30m", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert {one["type"] for one in data["missed"]} == {
        "payment_intent.succeeded",
        "checkout.session.completed",
    }
    assert {one["link"] for one in data["missed"]} == {lost.id}
    since, until = (datetime.fromisoformat(data[name]) for name in ("since", "until"))
    assert 1795 <= (until - since).total_seconds() <= 1805
    assert (data["events"], data["failed"], data["dry_run"]) == (2, 0, False)
    assert set(data) == {
        "since", "until", "events", "missed", "asked", "drifted", "failed", "dry_run"
    }  # fmt: skip
    assert done(running, lost) == "paid"


def test_without_a_time_it_goes_on_from_the_last(reconcile: Reconcile, lost: Link) -> None:
    first = json.loads(reconcile("--json").stdout)
    assert lost.id in {one["link"] for one in first["missed"]}
    second = json.loads(reconcile("--json").stdout)
    assert second["missed"] == []
    assert second["since"] > first["since"]


def test_while_stripe_is_away_it_says_so_and_fails(
    running: Threaded, reconcile: Reconcile, lost: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linkgate import reconciling

    monkeypatch.setattr(reconciling, "PAGE_SECONDS", 0.3)
    running.do(lambda stack: stack.fault(match="GET /v1/events", status=500, times=None))
    result = reconcile("--since", "1h")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Stripe answered 500" in result.stderr
    assert STRIPE_KEY not in result.output
    assert done(running, lost) is None


def test_what_could_not_be_asked_about_is_counted(
    running: Threaded, reconcile: Reconcile, lost: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linkgate import watching

    monkeypatch.setattr(watching, "ASKING_SECONDS", 0.2)

    async def lose_sight(stack: Stack) -> None:
        stack.sandbox.world.objects.pop("event", None)
        await stack.fault(match="GET /v1/checkout/sessions/*", status=500, times=None)

    running.do(lose_sight)
    result = reconcile("--since", "1h")
    assert result.exit_code == 1
    assert "could not be asked about; run it again later." in result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("12h", 43_200), (" 3d ", 259_200), ("0m", 0), ("3 d", 259_200)],
)
def test_times_ago(text: str, seconds: int) -> None:
    assert moment(text, NOW) == NOW - seconds


@pytest.mark.parametrize(
    "text", ["2026-05-01T08:00:00Z", "2026-05-01T10:00:00+02:00", "2026-05-01 08:00:00+00:00"]
)
def test_moments(text: str) -> None:
    assert moment(text, NOW) == datetime(2026, 5, 1, 8, tzinfo=UTC).timestamp()


ODD: list[Any] = ["", "1w", "-3d", "d", "12", "2026-05-01", "2026-05-01T08:00:00", "yesterday"]
ODD += ["2026-05-11T00:00:00Z", "9999999d", "3d 2h"]


@pytest.mark.parametrize("text", ODD)
def test_what_is_no_time_is_told_with_its_mend(text: str) -> None:
    with pytest.raises(Invalid, match="90m, 12h or 3d"):
        moment(text, NOW)


def test_what_is_no_time_is_a_misuse(reconcile: Reconcile) -> None:
    result = reconcile("--since", "yesterday")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("--since: write 90m, 12h or 3d")


def test_without_a_store_it_fails_in_words(reconcile: Reconcile, tmp_path: Path) -> None:
    file = tmp_path / "linkgate.toml"
    file.write_text(
        CONFIG.format(
            url="https://go.example.com",
            key=SIGNING_KEY,
            folder="x",
            api_key=STRIPE_KEY,
            base="http://127.0.0.1:9",
            secret=WEBHOOK_SECRET,
        ).replace("embedded:x", "redis://127.0.0.1:9")
    )
    file.chmod(0o600)
    result = CliRunner().invoke(app, ["--config", str(file), "reconcile"])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "the store" in result.stderr
