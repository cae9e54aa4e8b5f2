"""`linkgate deliveries`: outbound webhooks that wait or are parked."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linkgate.cli import printing
from linkgate.cli.context import with_store
from linkgate.errors import Conflict, Invalid, Problem

if TYPE_CHECKING:
    from linkgate.config import Config
    from linkgate.deliveries import Deliveries, Delivery, Resent, State
    from linkgate.store import Store

#: Of a table; --json has them all.
ROWS = 200

app = typer.Typer(no_args_is_help=True, help="Deliveries of webhooks: list, resend.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def show(
    ctx: typer.Context,
    parked: Annotated[
        bool, typer.Option("--parked", help="Only what was given up and waits for you.")
    ] = False,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those of this endpoint.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what waits to be delivered, and what is parked."""
    from linkgate.deliveries import State

    states = [State.PARKED] if parked else [State.WAITING, State.PARKED]
    most = None if as_json else ROWS + 1

    async def work(config: "Config", store: "Store") -> "list[Delivery]":
        found: list[Delivery] = []
        for state in states:
            found += await _all(_deliveries(config, store), state, endpoint, most)
        return found

    found = with_store(ctx, work)
    if as_json:
        printing.as_json({"deliveries": [_plain(each) for each in found]})
    elif found:
        printing.table(
            ("delivery", "state", "type", "link", "since", "behind", "reason"),
            [_row(each) for each in found[:ROWS]],
        )
        if len(found) > ROWS:
            printing.note(f"These are the first {ROWS}; --json prints all of them.")
    else:
        printing.note("Nothing is parked." if parked else "Nothing waits, and nothing is parked.")


@app.command()
def resend(
    ctx: typer.Context,
    delivery: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The parked delivery's id.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that is parked, of every configured endpoint.")
    ] = False,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --all: only those of this endpoint.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send parked deliveries again; a running linkgate takes them up within a second."""
    if (delivery is None) is not everything or (endpoint and not everything):
        raise Invalid([Problem("ID", "give the id of one delivery, or --all (with --endpoint)")])
    if delivery is not None:
        one = with_store(ctx, lambda config, store: _deliveries(config, store).resend(delivery))
        if as_json:
            printing.as_json(_plain(one))
        else:
            printing.line(f"Delivery {one.id} waits to be sent.")
        return

    async def work(config: "Config", store: "Store") -> "dict[str, Resent]":
        return await _resend_all(_deliveries(config, store), endpoint)

    done = with_store(ctx, work)
    if as_json:
        printing.as_json({"endpoints": {name: _plain(each) for name, each in done.items()}})
        return
    for name, each in done.items():
        printing.line(f"{name}: {each.resent} wait to be sent.")
    if not done:
        printing.note("Nothing is parked.")


async def _resend_all(deliveries: "Deliveries", endpoint: str | None) -> "dict[str, Resent]":
    from linkgate.deliveries import Resent

    done: dict[str, Resent] = {}
    names = [endpoint] if endpoint else list(await deliveries.parked_at())
    for name in names:
        total = 0
        while True:
            try:
                some = await deliveries.resend_all(name)
            except Conflict as error:
                if endpoint:
                    raise
                printing.note(f"{name} is left out: {error}")
                break
            total += some.resent
            done[name] = Resent(total, some.left)
            if not (some.left and some.resent):
                break
            printing.note(f"{name}: {total} so far, {some.left} left")
    return done


async def _all(
    deliveries: "Deliveries", state: "State", endpoint: str | None, most: int | None
) -> "list[Delivery]":
    found: list[Delivery] = []
    cursor: str | None = None
    while most is None or len(found) < most:
        page = await deliveries.page(state, endpoint=endpoint, cursor=cursor)
        found += page.deliveries
        cursor = page.next
        if cursor is None:
            break
    return found


def _deliveries(config: "Config", store: "Store") -> "Deliveries":
    from linkgate.deliveries import Deliveries

    return Deliveries(config.outbound, store, time.time)


def _row(each: "Delivery") -> tuple[object, ...]:
    return (
        each.id,
        each.state.value,
        each.type,
        each.link,
        printing.when(each.parked_at or each.queued_at),
        each.behind or "",
        each.reason,
    )


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)
