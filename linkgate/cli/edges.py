"""`linkgate sandbox`: the stand-in for Stripe alone, and what is ordered of a running one."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from linkgate.cli import edge_webhooks, printing, running
from linkgate.cli.remote import Json, Key, Url, find
from linkgate.errors import Invalid, Problem

CREATIONS = "POST /v1/checkout/sessions"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

app = typer.Typer(invoke_without_command=True, callback=running.sandbox)
app.add_typer(edge_webhooks.app, name="webhooks")

Which = Annotated[
    str,
    typer.Argument(
        metavar="[SESSION]",
        help="A Checkout Session's id, or a subscription's; without one, the newest session.",
    ),
]

#: Commands that take nothing but a session, with what they do; named as the controls are.
DEEDS: Mapping[str, str] = {
    "pay": "Pay an open session: the money is there at once.",
    "pay-later": "Complete an open session by a debit, whose money comes later or not.",
    "decline": "Decline the card of an open session, which stays open.",
    "settle": "Let the money of a session that was paid later arrive.",
    "fail-async": "Let the money of a session that was paid later fail.",
    "expire": "Let an open session expire.",
    "recover": "Open the recovery page of an expired session: a fresh copy of it.",
    "fail-refund": "Let the bank send the newest refund back.",
    "win-dispute": "Close a dispute in the shop's favour.",
    "lose-dispute": "Close a dispute in the bank's favour.",
    "close-inquiry": "Close an inquiry, which moved no money.",
    "keep": "Take back a cancellation at the period's end.",
    "announce-trial-end": "Say that a trial ends soon, as Stripe does three days before.",
    "renew": "End a subscription's period, or its trial, and pay for the next one.",
    "fail-renewal": "End a subscription's period, or its trial, and get no money.",
    "fail-again": "Try the open invoice of a subscription again, in vain.",
    "unpaid": "Give up on a subscription that is past due.",
    "catch-up": "Pay the open invoice of a subscription after all.",
}


def _deed(name: str) -> Callable[..., None]:
    def act(
        ctx: typer.Context,
        session: Which = "last",
        url: Url = None,
        key: Key = None,
        as_json: Json = False,
    ) -> None:
        _do(ctx, url, key, name, session, {}, as_json=as_json)

    return act


for _name, _help in DEEDS.items():
    app.command(_name, help=_help)(_deed(_name))


@app.command()
def refund(
    ctx: typer.Context,
    session: Which = "last",
    amount: Annotated[
        int | None,
        typer.Option(min=1, help="How much, in the currency's smallest unit; else all of it."),
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Give back what was paid, or a part of it."""
    body = {} if amount is None else {"amount": amount}
    _do(ctx, url, key, "refund", session, body, as_json=as_json)


@app.command()
def dispute(
    ctx: typer.Context,
    session: Which = "last",
    inquiry: Annotated[
        bool, typer.Option("--inquiry", help="Only ask: no money is taken back yet.")
    ] = False,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Let the person's bank take the money back and ask why."""
    _do(ctx, url, key, "dispute", session, {"inquiry": inquiry}, as_json=as_json)


@app.command()
def cancel(
    ctx: typer.Context,
    session: Which = "last",
    at_period_end: Annotated[
        bool, typer.Option("--at-period-end", help="When what is paid for is over, not now.")
    ] = False,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Cancel a subscription."""
    _do(ctx, url, key, "cancel", session, {"at_period_end": at_period_end}, as_json=as_json)


@app.command()
def fault(
    ctx: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            help="A status (400 to 599), slow, cut, truncate or hang; or clear, to end all."
        ),
    ],
    match: Annotated[
        str, typer.Option(help="The endpoint, as METHOD /v1/path; * stands for anything.")
    ] = CREATIONS,
    times: Annotated[
        int, typer.Option(min=0, help="How many requests it meets; 0 means all, until cleared.")
    ] = 1,
    skip: Annotated[int, typer.Option(min=0, help="How many pass before it begins.")] = 0,
    seconds: Annotated[
        float, typer.Option(min=0, max=600, help="How long slow and hang take.")
    ] = 30.0,
    executed: Annotated[
        bool, typer.Option("--executed", help="Let the work be done before it fails.")
    ] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Let requests to Stripe's API fail."""
    remote = find(ctx, url, key)
    if kind == "clear":
        remote.ask("DELETE", "faults")
        printing.line("No faults are ordered any more.")
        return
    order = {
        **_fault(kind),
        "match": match,
        "times": times or None,
        "skip": skip,
        "seconds": seconds,
        "executed": executed,
    }
    remote.ask("POST", "faults", order)
    which = "every request" if not times else "1 request" if times == 1 else f"{times} requests"
    printing.line(f"{which} to {match}: {kind}")


def _fault(kind: str) -> dict[str, Any]:
    modes = {"slow": "slow", "cut": "drop", "truncate": "truncate", "hang": "hang"}
    if kind in modes:
        return {"mode": modes[kind]}
    if re.fullmatch("[45][0-9][0-9]", kind):
        return {"mode": "status", "status": int(kind)}
    raise Invalid(
        [Problem("KIND", "must be a status from 400 to 599, slow, cut, truncate, hang or clear")]
    )


# So that -30m is a time and no option.
@app.command(context_settings={"ignore_unknown_options": True})
def clock(
    ctx: typer.Context,
    change: Annotated[
        str | None, typer.Argument(metavar="[CHANGE]", help="Like +1h, -30m or +14d; or right.")
    ] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Move the sandbox's clock, or set it right; without a change, say how far off it is."""
    remote = find(ctx, url, key)
    told = (
        remote.ask("GET", "state")
        if change is None
        else remote.ask("POST", "clock", _clock_order(change))
    )
    off = round(told["offset"])
    how = "is right" if not off else f"is {abs(off)} s {'ahead' if off > 0 else 'behind'}"
    printing.line(f"The sandbox's clock {how}.")
    if told.get("expired"):
        printing.note(f"Sessions that expired by this: {told['expired']}.")


def _clock_order(change: str) -> dict[str, float]:
    if change in ("right", "0"):
        return {"offset": 0.0}
    match = re.fullmatch(r"([+-])([0-9]{1,7})([smhd])", change)
    if match is None:
        raise Invalid([Problem("CHANGE", "must be like +1h, -30m or +14d, or right")])
    return {"by": float(f"{match[1]}{int(match[2]) * UNITS[match[3]]}")}


@app.command()
def limit(
    ctx: typer.Context,
    creations: Annotated[
        str, typer.Argument(help="How many creations a second each endpoint takes; or off.")
    ],
    url: Url = None,
    key: Key = None,
) -> None:
    """Limit creations as Stripe does, which allows 25 a second; counting begins anew."""
    if creations != "off" and not re.fullmatch("[0-9]{1,6}", creations):
        raise Invalid([Problem("CREATIONS", "must be a number, or off")])
    most = None if creations == "off" else int(creations)
    find(ctx, url, key).ask("POST", "limits", {"creations_per_second": most})
    printing.line("No limit." if most is None else f"{most} creations a second for each endpoint.")


@app.command("api-version")
def api_version(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="A version of Stripe's API, like 2022-11-15.")],
    url: Url = None,
    key: Key = None,
) -> None:
    """Set the account's API version: the shape of the events that come from now on."""
    told = find(ctx, url, key).ask("POST", "api-version", {"version": version})
    printing.line(f"Events come in version {told['version']}.")


def _do(
    ctx: typer.Context,
    url: str | None,
    key: str | None,
    action: str,
    session: str,
    body: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_]{1,200}", session):
        raise Invalid([Problem("SESSION", "must be the id of a session or of a subscription")])
    thing = find(ctx, url, key).ask("POST", f"sessions/{session}/{action}", body)
    if as_json:
        printing.as_json(thing)
        return
    state = str(thing["status"]).replace("_", " ")
    if thing["object"] == "checkout.session":
        state += ", " + str(thing["payment_status"]).replace("_", " ")
    printing.line(f"{thing['id']}: {state}")
