"""Commands around the configuration: init and doctor."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from linkgate.cli import printing
from linkgate.cli.context import configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from linkgate.doctor import Finding


def init(
    ctx: typer.Context,
    public_url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="The origin that links will have, like https://go.example.com; it can be "
            "changed in the file.",
        ),
    ] = "http://localhost:8080",
) -> None:
    """Write a configuration with fresh keys.

    It goes to ./linkgate.toml, or to where --config says. An existing file is never overwritten.
    """
    from linkgate.config import write_new
    from linkgate.config.loading import DEFAULT_FILE

    path: Path = ctx.obj or DEFAULT_FILE
    write_new(path, public_url)
    option = f" --config {path}" if ctx.obj else ""
    printing.line(f"Wrote {path}, with a fresh signing key that is in no other place: back it up.")
    printing.line()
    printing.line("Next:")
    printing.line(f"1. Put stripe.api_key into {path}; it is in Stripe's dashboard.")
    for text in _webhooks(option, public_url.rstrip("/")):
        printing.line(text)
    printing.line(f"3. linkgate{option} doctor    says what is missing, and how to mend it")
    printing.line(f"4. linkgate{option} serve     serves the links")


def _webhooks(option: str, public_url: str) -> "Iterator[str]":
    """Yield how Stripe's events get here, and where their secret goes."""
    from linkgate.config.checks import is_loopback

    target = f"{public_url}/webhooks/stripe"
    if is_loopback(urlsplit(public_url).hostname or ""):
        yield f"2. stripe listen --forward-to {target}"
        yield "   brings events to this machine, and prints the secret that is to be put"
    else:
        yield f"2. linkgate{option} webhooks install    has Stripe send events to"
        yield f"   {target}, and prints the secret that is to be put"
    yield "   into stripe.webhook_secrets"


def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the whole setup by trying it.

    Looks at the store, Stripe, the way in from outside and the files, and says how to mend what is
    wrong. Status 1 if there is a problem.
    """
    from linkgate.doctor import Level, examine

    findings = asyncio.run(examine(configuration(ctx)))
    if as_json:
        printing.as_json({"findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise typer.Exit(1)


_MARKS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


def _print(findings: "list[Finding]") -> None:
    from collections import Counter

    width = max(len(finding.area) for finding in findings)
    for finding in findings:
        mark = _MARKS[finding.level]
        printing.line(f"{mark}  {finding.area.ljust(width)}  {finding.message}")
        if finding.mend:
            printing.line(f"{' ' * (len(mark) + width + 4)}-> {finding.mend}")
    counts = Counter(finding.level.value for finding in findings)
    printing.line()
    printing.line(
        f"{_counted(counts['problem'], 'problem')}, {_counted(counts['warning'], 'warning')}, "
        f"{counts['ok']} as they should be."
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
