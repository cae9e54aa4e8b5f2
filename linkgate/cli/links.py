"""`linkgate links`: issue a link, look one up, revoke one."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linkgate.cli import printing
from linkgate.cli.context import with_store
from linkgate.errors import Invalid, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from linkgate.config import Config
    from linkgate.issuing import Desk
    from linkgate.picturing import Picture, PicturedSession, PicturedVisit
    from linkgate.store import Store

app = typer.Typer(no_args_is_help=True, help="Links: create, show, revoke.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[
    str, typer.Argument(metavar="LINK", help="The link's id (lnk_...), its token, or its URL.")
]


@app.command()
def create(
    ctx: typer.Context,
    campaign: Annotated[str, typer.Argument(help="The slug of the campaign it leads into.")],
    recipient: Annotated[
        str, typer.Argument(help="Your own opaque id of the person; never an e-mail address.")
    ],
    sent_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When its e-mail goes out: 2026-05-01T08:00:00Z."),
    ] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="CUS", help="The person's customer id at Stripe.")
    ] = None,
    email: Annotated[
        str | None,
        typer.Option(help="To fill in at Stripe, and for reminders; kept, never part of the link."),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=TEXT", help="For the session at Stripe; may be repeated."),
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it stops to open.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a link and print its URL."""
    wanted: dict[str, Any] = {
        "campaign": campaign,
        "recipient": recipient,
        "sent_at": sent_at,
        "customer": customer,
        "email": email,
        "metadata": _metadata(metadata or []),
        "expires_at": expires_at,
    }
    issued = with_store(ctx, lambda config, store: _desk(config, store).issue(wanted, time.time()))
    if as_json:
        printing.as_json(_plain(issued))
        return
    printing.line(issued.url)
    printing.note(f"Link {issued.id}, good until {printing.when(issued.expires_at)}.")


@app.command()
def show(ctx: typer.Context, link: Name, as_json: Json = False) -> None:
    """Show what happened to a link: its state, visits with their evidence, and sessions."""
    _print(
        with_store(
            ctx, lambda config, store: _desk(config, store).picture(_name(link), time.time())
        ),
        as_json,
    )


@app.command()
def revoke(ctx: typer.Context, link: Name, as_json: Json = False) -> None:
    """Make a link lead nowhere, for good."""
    picture = with_store(
        ctx, lambda config, store: _desk(config, store).revoke(_name(link), time.time())
    )
    if as_json:
        _print(picture, as_json)
        return
    printing.line(f"Link {picture.id} is revoked.")
    if picture.state != "revoked":
        printing.note(f"It was {picture.state} before; that is not undone.")


def _metadata(pairs: list[str]) -> dict[str, str] | None:
    wrong = [
        Problem("--metadata", f"{pair!r} has no =; write it like order=1234")
        for pair in pairs
        if "=" not in pair
    ]
    if wrong:
        raise Invalid(wrong)
    return {key: text for key, _, text in (pair.partition("=") for pair in pairs)} or None


def _name(link: str) -> str:
    """A whole URL is what people have at hand."""
    return link.rpartition("/l/")[2] if "/l/" in link else link


def _desk(config: "Config", store: "Store") -> "Desk":
    from linkgate.issuing import Desk
    from linkgate.tokens import Keyring, LinkTokens

    keyring = Keyring([key.get_secret_value() for key in config.signing.keys])
    return Desk(store, LinkTokens(keyring), config.server.public_url, config.links)


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def _print(picture: "Picture", as_json: bool) -> None:
    if as_json:
        printing.as_json(_plain(picture))
        return
    printing.facts(
        {
            "link": picture.id,
            "state": picture.state,
            "campaign": picture.campaign,
            "recipient": picture.recipient,
            "expires": picture.expires_at,
            "revoked": picture.revoked_at,
            "reminder": _reminder(picture),
            "url": picture.url,
        }
    )
    # Blocks, not tables: ids and reasons are long, and there to copy.
    for session in picture.sessions:
        printing.line()
        printing.line(f"session {session.id}")
        until = f", open until {printing.when(session.expires_at)}"
        printing.line(
            f"  {session.state}{_amount(session)}, made {printing.when(session.created_at)}"
            f"{until if session.state == 'open' else ''}"
        )
    for visit in picture.visits:
        printing.line()
        for text in _told(visit):
            printing.item(text, indent=6)
    if not picture.visits:
        printing.note()
        printing.note("Nobody has visited it yet.")


def _reminder(picture: "Picture") -> str | None:
    if (known := picture.reminder) is None:
        return None
    return f"{known.result}, {printing.when(known.at)}{f': {known.reason}' if known.reason else ''}"


def _told(visit: "PicturedVisit") -> "Iterator[str]":
    """A visit's lines: what it is held for, what was done with it, and why."""
    from linkgate.cli.verdicts import findings, labelled, named

    yield f"visit {printing.when(visit.at)}, {visit.method}"
    now = named(visit.verdict, visit.kind)
    # What was done doesn't fit a verdict that was changed later, and isn't meant to.
    then = labelled(visit.changes[0].before) if visit.changes else now
    who = f"{now} now, {then} when it came" if visit.changes else now
    why = f" ({visit.reason})" if visit.reason not in ("", then) else ""
    yield f"  {who}: {visit.decision}{why}{f', {visit.outcome}' if visit.outcome else ''}"
    for change in visit.changes:
        yield (
            f"  {labelled(change.before)} became {labelled(change.after)} at "
            f"{printing.when(change.at)}, by {change.rule}"
        )
    for rule, points_to, reason in findings(visit.evidence):
        yield f"  - {rule} points to {points_to}: {reason}"
    if visit.shadow:
        yield f"  in shadow, without effect: {named(visit.shadow.verdict, visit.shadow.kind)}"
        for rule, points_to, reason in findings(visit.shadow.evidence):
            yield f"    - {rule} points to {points_to}: {reason}"


def _amount(session: "PicturedSession") -> str:
    # In the minor unit, as Stripe writes it: how many digits that has differs by currency.
    if session.amount_total is None or not session.currency:
        return ""
    return f", {session.amount_total} {session.currency}"
