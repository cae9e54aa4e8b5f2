"""Whether Stripe takes the key, allows what linkgate does, and will send its webhooks here."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import stripe

from linkgate.config import Config
from linkgate.config.checks import is_loopback
from linkgate.doctor.finding import Finding, Level
from linkgate.payments import EVENTS
from linkgate.webhook_endpoint import (
    Endpoint,
    Refused,
    address,
    ask,
    client_of,
    is_for_trial,
    missing,
    registered,
)

# Sessions' expiry is reckoned on Stripe's clock; past 300 s, its webhooks count as stale.
SKEW_WARNING_SECONDS = 60
SKEW_PROBLEM_SECONDS = 300

_finding = partial(Finding, "stripe")


async def examine_stripe(config: Config, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Read the account, a session and the webhook endpoints; `clock` gives Unix seconds."""
    async with client_of(config) as client:
        findings = await _account(config, client, clock)
        if all(finding.level is not Level.PROBLEM for finding in findings):
            findings += await _sessions(client)
            findings += await _webhook_endpoints(config, client)
    return [*findings, _webhook_secrets(config)]


async def _account(
    config: Config, client: stripe.StripeClient, clock: Callable[[], float]
) -> list[Finding]:
    before = clock()
    try:
        account = await ask(client.v1.accounts.retrieve_current_async())
    except Refused as refusal:
        clock_findings = _clock(refusal.headers, (before + clock()) / 2)
        return [_key_refused(config, refusal), *clock_findings]
    middle = (before + clock()) / 2
    response = account.last_response
    return [
        *_account_itself(config, account.to_dict()),
        *_clock(response.headers if response else {}, middle),
    ]


def _key_refused(config: Config, refusal: Refused) -> Finding:
    if refusal.status == 401:
        mend = "copy stripe.api_key again from https://dashboard.stripe.com/apikeys"
        return _finding(Level.PROBLEM, f"does not accept the key: {refusal}", mend)
    if refusal.status == 403:
        # linkgate never needs the account; a restricted key that can't read it is a good one.
        return _finding(Level.OK, f"accepts the key ({_mode(config)}), a restricted one")
    if refusal.status == 429:
        message = "accepts no more requests for the moment (429)"
        return _finding(Level.PROBLEM, message, "look again in a minute")
    base = config.stripe.api_base
    if refusal.status:
        message = f"{base} answers {refusal.status}: {refusal}"
        return _finding(
            Level.PROBLEM, message, "check stripe.api_base, and https://status.stripe.com"
        )
    message = f"{base} can't be reached: {refusal}"
    return _finding(Level.PROBLEM, message, "check the network, the firewall and stripe.api_base")


def _mode(config: Config) -> str:
    return "live mode" if config.stripe.is_live else "test mode: no money moves"


def _account_itself(config: Config, account: Mapping[str, Any]) -> Iterator[Finding]:
    yield _finding(Level.OK, f"accepts the key of account {account.get('id')} ({_mode(config)})")
    if config.stripe.is_live and account.get("charges_enabled") is False:
        message = "the account may not take payments yet"
        yield _finding(Level.PROBLEM, message, "finish its activation in Stripe's dashboard")


def _clock(headers: Mapping[str, str], now: float) -> Iterator[Finding]:
    date = next((value for name, value in headers.items() if name.lower() == "date"), None)
    try:
        skew = now - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return
    if abs(skew) <= SKEW_WARNING_SECONDS:
        yield _finding(Level.OK, "has the same time as this machine")
        return
    side = "ahead of" if skew > 0 else "behind"
    level = Level.WARNING if abs(skew) <= SKEW_PROBLEM_SECONDS else Level.PROBLEM
    message = f"this machine's clock is {abs(skew):.0f} s {side} Stripe's"
    yield _finding(level, message, "let the clock be set by NTP (systemd-timesyncd or chrony)")


async def _sessions(client: stripe.StripeClient) -> list[Finding]:
    try:
        await ask(client.v1.checkout.sessions.list_async({"limit": 1}))
    except Refused as refusal:
        mend = "give the restricted key write access to Checkout Sessions"
        if refusal.status != 403:
            mend = "check https://status.stripe.com, then look again"
        return [_finding(Level.PROBLEM, f"does not show Checkout Sessions: {refusal}", mend)]
    return [_finding(Level.OK, "shows Checkout Sessions")]


async def _webhook_endpoints(config: Config, client: stripe.StripeClient) -> list[Finding]:
    url = address(config)
    try:
        endpoints = await registered(client, url)
    except Refused as refusal:
        mend = (
            "give the restricted key read access to Webhook Endpoints, or see in the dashboard "
            f"that {url} is registered for {', '.join(EVENTS)}"
        )
        return [_finding(Level.WARNING, f"does not show webhook endpoints: {refusal}", mend)]
    return [_registered(config, url, endpoints)]


def _registered(config: Config, url: str, endpoints: Sequence[Endpoint]) -> Finding:
    if not endpoints:
        return _unregistered(config, url)
    mend = "run `linkgate webhooks install`"
    if not any(endpoint.enabled for endpoint in endpoints):
        return _finding(Level.PROBLEM, f"the webhook endpoint {url} is disabled", mend)
    if left_out := missing(endpoints):
        message = f"the webhook endpoint {url} does not send {', '.join(left_out)}"
        return _finding(Level.PROBLEM, message, mend)
    return _finding(Level.OK, f"sends the needed events to {url}")


def _unregistered(config: Config, url: str) -> Finding:
    message = f"has no webhook endpoint {url}, so no payment will ever be known"
    if is_for_trial(config):
        return _finding(Level.PROBLEM, message, "run `linkgate webhooks install`")
    if is_loopback(urlsplit(url).hostname or ""):
        return _finding(
            Level.WARNING,
            f"can't send webhooks to {url}, which only this machine can reach",
            f"run `stripe listen --forward-to {url}`, and put the secret that it prints into "
            "stripe.webhook_secrets",
        )
    return _finding(
        Level.PROBLEM,
        message,
        "run `linkgate webhooks install`, or add it at https://dashboard.stripe.com/webhooks with "
        f"the events {', '.join(EVENTS)}, and its signing secret to stripe.webhook_secrets",
    )


def _webhook_secrets(config: Config) -> Finding:
    count = len(config.stripe.webhook_secrets)
    if count:
        return _finding(Level.OK, f"{count} webhook secret{'s' if count > 1 else ''} configured")
    return _finding(
        Level.PROBLEM,
        "no webhook secret is configured: every webhook is refused, no payment will ever be known",
        "set stripe.webhook_secrets to the endpoint's signing secret (whsec_...)",
    )
