"""`linkgate sandbox`: the stand-in for Stripe, alone."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from urllib.parse import urlsplit

from linkgate.config import Log
from linkgate.errors import Invalid, Problem
from linkgate.logs import set_up
from linkgate.sandbox import Sandbox, WebhookEndpoint
from linkgate.serving import Server, bind, run, stop_on_signals, url_of


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options; None where one wasn't given."""

    host: str
    port: int
    public_url: str | None
    api_key: str | None
    webhook: str | None
    webhook_secret: str | None


def run_sandbox(wishes: Wishes, say: Callable[[str], None]) -> None:
    """Run until a signal; raises Invalid for options that can't be used, Unservable."""
    _check(wishes)
    key = wishes.api_key or f"sk_test_{secrets.token_hex(16)}"
    secret = wishes.webhook_secret or f"whsec_{secrets.token_hex(16)}"
    set_up(Log(level="warning"))
    with bind(wishes.host, wishes.port) as listener:
        url = (wishes.public_url or url_of(listener)).rstrip("/")
        hooks = [WebhookEndpoint(wishes.webhook, secret)] if wishes.webhook else []
        sandbox = Sandbox(url, key, hooks)
        text = _how_to_use(url, key, secret if hooks else None)
        run(_serve(sandbox, listener, lambda: say(text)))


async def _serve(sandbox: Sandbox, listener: socket, on_ready: Callable[[], None]) -> None:
    server = Server(sandbox.app(), on_ready)
    stop_on_signals(lambda at_once: server.stop(at_once=at_once))
    await server.serve(sockets=[listener])


def _check(wishes: Wishes) -> None:
    problems = []
    if wishes.api_key and not wishes.api_key.startswith("sk_test_"):
        # A live key has no business here: nothing that the sandbox says is true.
        problems.append(Problem("--api-key", "must start with sk_test_"))
    if wishes.webhook_secret and not wishes.webhook_secret.startswith("whsec_"):
        problems.append(Problem("--webhook-secret", "must start with whsec_"))
    if wishes.webhook_secret and not wishes.webhook:
        problems.append(Problem("--webhook", "is missing: where should signed events go?"))
    for option, url in (("--webhook", wishes.webhook), ("--public-url", wishes.public_url)):
        if url and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
            problems.append(Problem(option, "must be a full http or https URL"))
    if problems:
        raise Invalid(problems)


def _how_to_use(url: str, key: str, secret: str | None) -> str:
    lines = [
        f"The sandbox listens on {url}. To use it, write into linkgate.toml:",
        "",
        "[stripe]",
        f'api_base = "{url}"',
        f'api_key = "{key}"',
    ]
    if secret:
        lines.append(f'webhook_secrets = ["{secret}"]')
    else:
        lines += [
            "",
            "No events are sent: give --webhook with the gateway's /webhooks/stripe to have them,",
            "or run `linkgate webhooks install` with that configuration.",
        ]
    lines += ["", "Its prices: price_demo_once and price_demo_monthly. Ctrl-C ends it."]
    return "\n".join(lines)
