"""`linkgate webhooks`: the endpoint at Stripe is made, mended and shown."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from linkgate.cli import app
from linkgate.payments import EVENTS
from linkgate.sandbox import Sandbox
from linkgate.stripe_api import API_VERSION
from tests.stack import STRIPE_KEY, free_port, serving

PUBLIC = "https://go.example.com"
HOOK = f"{PUBLIC}/webhooks/stripe"
Webhooks = Callable[..., Result]

CONFIG = """
[server]
public_url = "{public}"
[signing]
keys = ["0123456789abcdefghijklmnopqrstuvwxyz"]
[stripe]
api_key = "{key}"
api_base = "{base}"
timeout_seconds = 8
"""


@dataclass
class Account:
    """A sandbox in a thread of its own, and what it knows of webhook endpoints."""

    url: str
    loop: asyncio.AbstractEventLoop
    sandbox: Sandbox

    @property
    def endpoints(self) -> list[dict[str, Any]]:
        return list(self.sandbox.world.every("webhook_endpoint"))

    def change(self, **fields: Any) -> None:
        self.endpoints[0].update(fields)


@pytest.fixture(scope="module")
def account_of_all() -> Iterator[Account]:
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    port = free_port()
    sandbox = Sandbox(f"http://127.0.0.1:{port}", STRIPE_KEY)

    async def run() -> None:
        async with serving(sandbox.app(), port):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(30)
    yield Account(f"http://127.0.0.1:{port}", loop, sandbox)
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


@pytest.fixture
def account(account_of_all: Account) -> Account:
    """An account without endpoints."""
    account_of_all.sandbox.world.objects.pop("webhook_endpoint", None)
    return account_of_all


def runner(folder: Path, base: str, public: str = PUBLIC, key: str = STRIPE_KEY) -> Webhooks:
    file = folder / "linkgate.toml"
    file.write_text(CONFIG.format(base=base, public=public, key=key))

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, ["--config", str(file), "webhooks", *arguments])
        # A traceback is no answer to whatever a user does.
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return run


@pytest.fixture
def webhooks(tmp_path: Path, account: Account, elsewhere: Path) -> Webhooks:
    return runner(tmp_path, account.url)


def test_a_new_endpoint_s_secret_stands_alone_on_standard_output(
    webhooks: Webhooks, account: Account, tmp_path: Path
) -> None:
    result = webhooks("install")
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(r"whsec_\w{32}\n", result.stdout)
    assert f"stripe.webhook_secrets in {tmp_path}/linkgate.toml" in result.stderr
    assert "shown this once" in result.stderr
    [made] = account.endpoints
    assert (made["url"], made["api_version"], made["status"]) == (HOOK, API_VERSION, "enabled")
    assert made["enabled_events"] == list(EVENTS)
    assert made["id"] in result.stderr
    assert "test mode" in result.stderr


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LINKGATE_STRIPE__WEBHOOK_SECRETS_FILE", "secrets", "the file secrets, on a line"),
        ("LINKGATE_STRIPE__WEBHOOK_SECRETS", "whsec_old", "parted by a comma"),
    ],
)
def test_it_says_where_the_secret_goes(
    webhooks: Webhooks,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    words: str,
) -> None:
    (elsewhere / "secrets").write_text("whsec_old\n")
    monkeypatch.setenv(variable, value)
    result = webhooks("install")
    assert result.exit_code == 0, result.stderr
    assert words in result.stderr
    assert "whsec_old" not in result.output


def test_again_it_does_nothing(webhooks: Webhooks, account: Account) -> None:
    webhooks("install")
    result = webhooks("install")
    assert result.exit_code == 0
    assert "is as it should be" in result.stdout
    assert "whsec_" not in result.output
    # It can't be had again here, and nothing is configured.
    assert "dashboard.stripe.com/webhooks" in result.stderr
    assert len(account.endpoints) == 1
    assert account.sandbox.world.requests["POST /v1/webhook_endpoints/{id}"] == 0


def test_what_is_wrong_is_mended_and_told(webhooks: Webhooks, account: Account) -> None:
    webhooks("install")
    account.change(status="disabled", enabled_events=[*EVENTS[2:], "customer.created"])
    result = webhooks("install")
    assert result.exit_code == 0, result.stderr
    assert "enabled it again" in result.stdout
    assert f"it now sends {EVENTS[0]}, {EVENTS[1]}" in result.stdout
    assert "it no longer sends customer.created" in result.stdout
    [endpoint] = account.endpoints
    assert endpoint["status"] == "enabled"
    assert endpoint["enabled_events"] == list(EVENTS)


def test_of_two_the_enabled_one_is_mended_and_the_other_told(
    webhooks: Webhooks, account: Account
) -> None:
    webhooks("install")
    [first] = account.endpoints
    twin = {**first, "id": "we_twin", "status": "disabled", "enabled_events": ["*"]}
    account.sandbox.world.objects["webhook_endpoint"]["we_twin"] = twin
    first["enabled_events"] = ["*"]
    result = webhooks("install")
    assert first["id"] in result.stdout
    assert "it no longer sends *" in result.stdout
    assert "we_twin (disabled)" in result.stderr
    assert twin["enabled_events"] == ["*"]


def test_another_address(webhooks: Webhooks, account: Account) -> None:
    assert webhooks("install", "--url", "https://hooks.example.com/in").exit_code == 0
    assert [endpoint["url"] for endpoint in account.endpoints] == ["https://hooks.example.com/in"]
    result = webhooks("install", "--url", "hooks.example.com")
    assert result.exit_code == 2
    assert result.stderr.startswith("--url: ")


def test_json_of_an_installation(webhooks: Webhooks, account: Account) -> None:
    first, second = (json.loads(webhooks("install", "--json").stdout) for _ in range(2))
    assert (first["done"], second["done"]) == ("created", "nothing")
    assert first["secret"].startswith("whsec_")
    assert second["secret"] is None
    assert first["events"] == second["events"] == list(EVENTS)
    assert first["id"] == account.endpoints[0]["id"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"enabled_events": ["*"]}, None),
        ({"enabled_events": [*EVENTS, "customer.created"]}, None),
        ({"status": "disabled"}, "It is disabled"),
        ({"enabled_events": list(EVENTS[1:])}, f"Not sent: {EVENTS[0]}."),
        ({"url": "https://other.example.com/"}, f"no webhook endpoint {HOOK}"),
    ],
)
def test_show(
    webhooks: Webhooks, account: Account, change: dict[str, Any], words: str | None
) -> None:
    webhooks("install")
    account.change(**change)
    result = webhooks("show")
    assert result.exit_code == (0 if words is None else 1)
    assert (words or "Every event that linkgate needs is sent.") in result.stdout
    told = json.loads(webhooks("show", "--json").stdout)
    assert bool(told["missing"]) == (words is not None)
    if "customer.created" in change.get("enabled_events", ()):
        assert re.search("^not needed +customer.created$", result.stdout, re.MULTILINE)


def test_stripe_can_t_reach_this_machine(tmp_path: Path, elsewhere: Path) -> None:
    run = runner(tmp_path, "https://api.stripe.com", "http://localhost:8080")
    result = run("install")
    assert result.exit_code == 1
    hook = "http://localhost:8080/webhooks/stripe"
    assert f"stripe listen --forward-to {hook}" in result.stderr


def test_live_events_need_https(tmp_path: Path, elsewhere: Path) -> None:
    key = STRIPE_KEY.replace("test", "live")
    result = runner(tmp_path, "https://api.stripe.com", key=key)(
        "install", "--url", "http://go.example.com/webhooks/stripe"
    )
    assert result.exit_code == 1
    assert "https addresses alone" in result.stderr


@dataclass
class Refusing:
    """A Stripe that answers everything with one error."""

    status: int
    url: str = ""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def refusing() -> Iterator[Callable[[int], Refusing]]:
    servers: list[ThreadingHTTPServer] = []

    def start(status: int) -> Refusing:
        fake = Refusing(status)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.asked.append(self.path)
                error = {"error": {"message": f"no for {status}", "type": "api_error"}}
                body = json.dumps(error).encode()
                self.send_response(fake.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                # Else the library waits, and asks again.
                self.send_header("stripe-should-retry", "false")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        return fake

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("command", ["install", "show"])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not accept the key: no for 401; copy stripe.api_key"),
        (403, "access to Webhook Endpoints"),
        (400, "Stripe refuses it: no for 400"),
        (429, "in a minute"),
        (500, "https://status.stripe.com"),
    ],
)
def test_a_refusal_is_a_sentence(
    refusing: Callable[[int], Refusing],
    tmp_path: Path,
    elsewhere: Path,
    status: int,
    words: str,
    command: str,
) -> None:
    result = runner(tmp_path, refusing(status).url)(command)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("linkgate: ")
    assert words in result.stderr
    assert ("write" in result.stderr) == (status == 403 and command == "install")
    assert STRIPE_KEY not in result.output


def test_nobody_there(tmp_path: Path, elsewhere: Path) -> None:
    base = f"http://127.0.0.1:{free_port()}"
    result = runner(tmp_path, base)("install")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"linkgate: {base} can't be reached: ")
