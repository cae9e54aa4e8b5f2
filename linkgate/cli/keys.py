"""`linkgate keys`: API keys."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from linkgate.cli import printing
from linkgate.cli.context import with_store
from linkgate.errors import Invalid, NotFound, Problem

if TYPE_CHECKING:
    from linkgate.store.apikeys import ApiKey, Scope

NAME_LIMIT = 120

app = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="What it is for, so that you know it again.")],
    scope: Annotated[
        list[str], typer.Option(help="admin, links:write or stats:read; may be repeated.")
    ],
) -> None:
    """Create an API key and print it, this once: linkgate keeps only a hash of it."""
    scopes = _checked(name, scope)
    key, text = with_store(
        ctx, lambda _, store: store.keys.create(name.strip(), scopes, time.time())
    )
    printing.line(text)
    printing.note(
        f"Key {key.id} ({', '.join(sorted(key.scopes))}). Keep the line above: it can't be shown "
        "again. Use it as the header Authorization: Bearer <key>."
    )


@app.command("list")
def show_all(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the API keys, without their secrets."""
    keys = with_store(ctx, lambda _, store: store.keys.list())
    if as_json:
        printing.as_json({"keys": [_shown(key) for key in keys]})
    elif keys:
        printing.table(
            ("id", "name", "scopes", "created"),
            [
                (key.id, key.name, ", ".join(sorted(key.scopes)), printing.when(_at(key)))
                for key in keys
            ],
        )
    else:
        printing.note("There are no API keys. `linkgate keys create --help` tells how to make one.")


@app.command()
def revoke(ctx: typer.Context, key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Revoke an API key; whoever holds it is turned away from now on."""
    # The whole key works too: who has to revoke one often has nothing else at hand.
    parts = key_id.split("_")
    short = parts[1] if parts[0] == "lg" and len(parts) > 2 else key_id
    if not with_store(ctx, lambda _, store: store.keys.revoke(short)):
        raise NotFound(f"there is no API key {short}; `linkgate keys list` shows those there are")
    printing.line(f"Key {short} is revoked.")


def _checked(name: str, scopes: list[str]) -> "list[Scope]":
    from linkgate.store.apikeys import Scope

    known = [scope.value for scope in Scope]
    problems = [
        Problem("--scope", f"{scope!r} is no scope; there are {', '.join(known)}")
        for scope in scopes
        if scope not in known
    ]
    if not 0 < len(name.strip()) <= NAME_LIMIT:
        problems.append(Problem("--name", f"must have 1 to {NAME_LIMIT} characters"))
    if problems:
        raise Invalid(problems)
    return [Scope(scope) for scope in scopes]


def _shown(key: "ApiKey") -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": _at(key).isoformat().replace("+00:00", "Z"),
    }


def _at(key: "ApiKey") -> datetime:
    return datetime.fromtimestamp(key.created_at, UTC)
