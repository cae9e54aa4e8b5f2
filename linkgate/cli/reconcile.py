"""`linkgate reconcile`: compare what is known of payments with Stripe, by hand."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from linkgate.cli import printing
from linkgate.cli.context import configuration
from linkgate.errors import Invalid, Problem

if TYPE_CHECKING:
    from linkgate.config import Config
    from linkgate.reconciling import Progress, Report

_AGO = re.compile(r"(\d{1,6})\s*([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def reconcile(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="From when on to go through Stripe's events: 90m, 12h, 3d, or a time such as "
            "2026-05-01T08:00:00Z. By default since the last time. Stripe lists 30 days.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is wrong, and change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find out what no webhook told, and repair it.

    Asks Stripe for its events, and how the links stand of which something is open. The servers do
    the same now and then by themselves (stripe.reconcile_minutes).
    """
    begin = None if since is None else moment(since, time.time())
    config = configuration(ctx)
    with _progress() as tell:
        report = asyncio.run(_reconcile(config, begin, dry_run, tell))
    if as_json:
        printing.as_json(_as_json(report, dry_run))
        return
    found = len(report.missed) + report.drifted
    printing.line(
        f"{_counted(report.events, 'event')} gone through since {_written(report.since)}, "
        f"{_counted(report.asked, 'link')} asked about."
    )
    if report.missed:
        printing.table(("event", "link"), report.missed)
    if not found:
        printing.line("Nothing was missed.")
    else:
        done = "would be repaired" if dry_run else "repaired"
        printing.line(
            f"{_counted(len(report.missed), 'event')} had not come, "
            f"{_counted(report.drifted, 'session')} stood otherwise: {done}."
        )
    if report.failed:
        printing.note(f"{report.failed} could not be asked about; run it again later.")
        raise typer.Exit(1)


def moment(text: str, now: float) -> int:
    """Return the Unix time that `text` means: so long ago, or a time with a zone.

    Raises Invalid.
    """
    if found := _AGO.fullmatch(text.strip()):
        return int(now - int(found[1]) * _SECONDS[found[2]])
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.timestamp() > now:
        mend = "write 90m, 12h or 3d, or a time with a zone that has passed: 2026-05-01T08:00:00Z"
        raise Invalid([Problem("--since", mend)])
    return int(at.timestamp())


async def _reconcile(
    config: "Config", since: int | None, dry_run: bool, tell: "Progress"
) -> "Report":
    from linkgate.gateway import Gateway

    gateway = await Gateway.open(config, background=False)
    try:
        return await gateway.reconciler.everything(since, dry_run=dry_run, progress=tell)
    finally:
        await gateway.close()


@contextmanager
def _progress() -> Iterator["Progress"]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # On standard error: the result is for pipes.
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("asking Stripe for its events")

        def tell(events: int, asked: int) -> None:
            what = f"{_counted(events, 'event')} gone through"
            if asked:
                what += f", {_counted(asked, 'link')} asked about"
            bar.update(task, description=what)

        yield tell


def _as_json(report: "Report", dry_run: bool) -> dict[str, object]:
    return {
        "since": _written(report.since),
        "until": _written(report.until),
        "events": report.events,
        "missed": [{"type": kind, "link": link} for kind, link in report.missed],
        "asked": report.asked,
        "drifted": report.drifted,
        "failed": report.failed,
        "dry_run": dry_run,
    }


def _written(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
