"""`linkgate sandbox webhooks`: what becomes of events on their way."""

import re
from typing import Annotated, Any
from urllib.parse import quote

import typer

from linkgate.cli import printing
from linkgate.cli.remote import Key, Url, find
from linkgate.errors import Invalid, Problem

app = typer.Typer(
    no_args_is_help=True, help="What becomes of the sandbox's webhooks: lost, doubled, late."
)

Events = Annotated[
    int, typer.Argument(min=0, help="How many events it meets; 0 means all, until cleared.")
]
Kind = Annotated[str, typer.Option(help="Only events of this type; * stands for anything.")]


@app.command()
def lose(
    ctx: typer.Context, events: Events = 1, kind: Kind = "*", url: Url = None, key: Key = None
) -> None:
    """Never deliver the next events; Stripe's API still lists them."""
    _order(ctx, url, key, "lose", {"events": events or None, "kind": kind})


@app.command()
def double(
    ctx: typer.Context,
    events: Events = 1,
    copies: Annotated[
        int, typer.Option(min=1, max=1000, help="How often each is delivered, all at once.")
    ] = 2,
    kind: Kind = "*",
    url: Url = None,
    key: Key = None,
) -> None:
    """Deliver each of the next events several times at once."""
    _order(ctx, url, key, "double", {"events": events or None, "copies": copies, "kind": kind})


@app.command()
def delay(
    ctx: typer.Context,
    events: Events = 1,
    seconds: Annotated[float, typer.Option(min=0, max=86_400, help="How late they come.")] = 10.0,
    kind: Kind = "*",
    url: Url = None,
    key: Key = None,
) -> None:
    """Deliver the next events late."""
    _order(ctx, url, key, "delay", {"events": events or None, "seconds": seconds, "kind": kind})


@app.command()
def hold(ctx: typer.Context, url: Url = None, key: Key = None) -> None:
    """Keep events back until they are released."""
    find(ctx, url, key).ask("POST", "webhooks/hold")
    printing.line("Events are held.")


@app.command()
def release(
    ctx: typer.Context,
    backwards: Annotated[bool, typer.Option("--backwards", help="The newest first.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Send the events that are held, one by one."""
    order = "?order=backwards" if backwards else ""
    told = find(ctx, url, key).ask("POST", f"webhooks/release{order}")
    printing.line(f"Events sent: {told['sent']}.")


@app.command()
def clear(ctx: typer.Context, url: Url = None, key: Key = None) -> None:
    """Let events come as they should again."""
    find(ctx, url, key).ask("DELETE", "webhooks")
    printing.line("Nothing is ordered of webhooks any more.")


@app.command()
def resend(
    ctx: typer.Context,
    event: Annotated[
        str, typer.Argument(metavar="[EVENT]", help="Its id, evt_...; without one, the newest.")
    ] = "last",
    copies: Annotated[int, typer.Option(min=1, max=1000, help="How often, all at once.")] = 1,
    url: Url = None,
    key: Key = None,
) -> None:
    """Deliver an event again, whatever else is ordered."""
    if not re.fullmatch(r"[A-Za-z0-9_]{1,200}", event):
        raise Invalid([Problem("EVENT", "must be the id of an event")])
    told = find(ctx, url, key).ask("POST", f"events/{quote(event)}/resend?copies={copies}")
    printing.line(f"{told['resent']}: sent again")


def _order(
    ctx: typer.Context, url: str | None, key: str | None, fate: str, order: dict[str, Any]
) -> None:
    find(ctx, url, key).ask("POST", f"webhooks/{fate}", order)
    events = order["events"]
    which = "all events" if events is None else "1 event" if events == 1 else f"{events} events"
    of = "" if order["kind"] == "*" else f" of {order['kind']}"
    printing.line(f"{which}{of}: {fate}")
