"""`linkgate webhooks`: the endpoint at Stripe that tells linkgate what was paid."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer

from linkgate.cli import printing
from linkgate.cli.context import configuration
from linkgate.errors import Invalid, LinkgateError, Problem

if TYPE_CHECKING:
    import stripe

    from linkgate.config import Config
    from linkgate.webhook_endpoint import Endpoint, Installed, Refused

T = TypeVar("T")

SECRETS = "LINKGATE_STRIPE__WEBHOOK_SECRETS"

app = typer.Typer(
    no_args_is_help=True, help="Stripe's webhook endpoint: install it, show how it stands."
)

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The endpoint's address, where it isn't /webhooks/stripe below server.public_url.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def install(ctx: typer.Context, url: Url = None, as_json: Json = False) -> None:
    """Create the endpoint at Stripe, or make the one that is there send exactly what is needed.

    A new endpoint's signing secret is printed this once.
    """
    from linkgate import webhook_endpoint

    config = configuration(ctx)
    target = _target(config, url)
    reason = webhook_endpoint.unreachable(config, target)
    if reason:
        raise LinkgateError(reason)
    installed = _with_stripe(
        config, lambda client: webhook_endpoint.install(client, target), "write"
    )
    if as_json:
        printing.as_json(
            {"done": installed.done.value, **_shown(installed.endpoint), "secret": installed.secret}
        )
        return
    _tell(ctx, config, installed)


@app.command()
def show(ctx: typer.Context, url: Url = None, as_json: Json = False) -> None:
    """Show how the endpoint stands at Stripe; status 1 if events would be missed."""
    from linkgate import webhook_endpoint
    from linkgate.payments import EVENTS

    config = configuration(ctx)
    target = _target(config, url)
    endpoints = _with_stripe(
        config, lambda client: webhook_endpoint.registered(client, target), "read"
    )
    missing = webhook_endpoint.missing(endpoints)
    if as_json:
        printing.as_json(
            {
                "url": target,
                "endpoints": [_shown(endpoint) for endpoint in endpoints],
                "missing": list(missing),
            }
        )
    else:
        for endpoint in endpoints:
            heard = sum(event in endpoint.events for event in EVENTS)
            printing.facts(
                {
                    "id": endpoint.id,
                    "url": endpoint.url,
                    "status": "enabled" if endpoint.enabled else "disabled",
                    "API version": endpoint.api_version or "the account's own",
                    "events": "all (*)"
                    if webhook_endpoint.ALL in endpoint.events
                    else f"{heard} of the {len(EVENTS)} needed",
                    "not needed": ", ".join(endpoint.superfluous),
                }
            )
            printing.line()
        printing.line(_conclusion(target, endpoints, missing))
    if missing:
        raise typer.Exit(1)


def _target(config: "Config", url: str | None) -> str:
    from linkgate.webhook_endpoint import address

    if url is None:
        return address(config)
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable()
    except ValueError:
        good = False
    if not good or " " in url:
        raise Invalid([Problem("--url", "must be a full https URL")])
    return url


def _with_stripe(
    config: "Config", work: "Callable[[stripe.StripeClient], Awaitable[T]]", access: str
) -> T:
    from linkgate.webhook_endpoint import Refused, client_of

    async def run() -> T:
        async with client_of(config) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except Refused as refusal:
        raise LinkgateError(_refusal(config, refusal, access)) from refusal


def _refusal(config: "Config", refusal: "Refused", access: str) -> str:
    base = config.stripe.api_base
    match refusal.status:
        case 0:
            return (
                f"{base} can't be reached: {refusal}; check the network, the firewall and "
                "stripe.api_base"
            )
        case 401:
            return (
                f"Stripe does not accept the key: {refusal}; copy stripe.api_key again from "
                "https://dashboard.stripe.com/apikeys"
            )
        case 403:
            return (
                f"the key may not do this: {refusal}; give the restricted key {access} access to "
                "Webhook Endpoints, or use another key for this command"
            )
        case 429:
            return "Stripe accepts no more requests for the moment; try again in a minute"
        case status if status >= 500:
            return (
                f"Stripe has a problem ({status}: {refusal}); see https://status.stripe.com, and "
                "run this again: what was made already is found"
            )
    return f"Stripe refuses it: {refusal}"


def _tell(ctx: typer.Context, config: "Config", installed: "Installed") -> None:
    from linkgate.webhook_endpoint import Done

    endpoint, mode = installed.endpoint, "live mode" if config.stripe.is_live else "test mode"
    name = f"webhook endpoint {endpoint.id} at {endpoint.url}"
    if installed.done is Done.CREATED:
        printing.note(f"Created the {name} with {len(endpoint.events)} events ({mode}).")
        # Alone on standard output, so that it can be piped to where secrets are kept.
        printing.line(installed.secret or "")
        printing.note(
            f"Keep the line above: it is the endpoint's signing secret, shown this once. "
            f"{_where(ctx, config)} Restart linkgate then."
        )
        return
    if installed.done is Done.UPDATED:
        printing.line(f"Updated the {name}: {'; '.join(_changes(installed))}.")
    else:
        printing.line(f"The {name} is as it should be.")
    for other in installed.others:
        state = "enabled" if other.enabled else "disabled"
        printing.note(
            f"There is another one at this address, {other.id} ({state}), which is left as it is. "
            "Every event that both send comes twice: linkgate counts it once. Remove one of them "
            "in Stripe's dashboard."
        )
    if not config.stripe.webhook_secrets:
        printing.note(
            "No webhook secret is configured, and Stripe tells it here only when an endpoint is "
            f"created. Reveal it at https://dashboard.stripe.com/webhooks. {_where(ctx, config)}"
        )


def _changes(installed: "Installed") -> Iterator[str]:
    before, after = installed.before, installed.endpoint
    assert before
    if not before.enabled:
        yield "enabled it again"
    added = [event for event in after.events if event not in before.events]
    if added:
        yield f"it now sends {', '.join(added)}"
    if before.superfluous:
        yield f"it no longer sends {', '.join(before.superfluous)}"


def _where(ctx: typer.Context, config: "Config") -> str:
    """Say where the secret goes, by where the others came from."""
    beside = " beside those that are there" if config.stripe.webhook_secrets else ""
    if named := os.environ.get(f"{SECRETS}_FILE"):
        return f"Put it into the file {named}, on a line of its own{beside}."
    if os.environ.get(SECRETS):
        return f"Put it into {SECRETS}, parted by a comma from what is there."
    file = ctx.obj or os.environ.get("LINKGATE_CONFIG") or Path("linkgate.toml")
    return (
        f"Put it into stripe.webhook_secrets in {file}{beside}, or into a file that "
        f"{SECRETS}_FILE names."
    )


def _conclusion(url: str, endpoints: "list[Endpoint]", missing: tuple[str, ...]) -> str:
    mend = "`linkgate webhooks install` mends it."
    if not endpoints:
        return f"Stripe has no webhook endpoint {url}. {mend}"
    if not any(endpoint.enabled for endpoint in endpoints):
        return f"It is disabled: no event comes. {mend}"
    if missing:
        return f"Not sent: {', '.join(missing)}. {mend}"
    return "Every event that linkgate needs is sent."


def _shown(endpoint: "Endpoint") -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "enabled": endpoint.enabled,
        "api_version": endpoint.api_version,
        "events": list(endpoint.events),
        "superfluous": list(endpoint.superfluous),
    }
