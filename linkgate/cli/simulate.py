"""`linkgate simulate`: the behaviours of known machines, replayed against a running gateway."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import asyncio
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from linkgate.cli import printing
from linkgate.errors import Invalid, Problem

if TYPE_CHECKING:
    from linkgate.simulation import Behaviour, Result, Targets

#: Longer than the second within which two visits of one link count as twins.
PAUSE_SECONDS = 1.2
_SHAPE = "is not shaped like a link; give the whole address, like https://go.example.com/l/..."


def simulate(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL...",
            show_default=False,
            help="A link's address; three or more for the bursts over every link of a mail.",
        ),
    ] = None,
    decoy: Annotated[
        str | None, typer.Option(metavar="URL", help="The first link's decoy address.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Replay this behaviour alone; may be repeated."),
    ] = None,
    pause: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, max=3600, help="How long to wait between two."),
    ] = PAUSE_SECONDS,
    yes: Annotated[bool, typer.Option("--yes", help="Begin without asking.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List the behaviours, and open nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay known scanners and previewers on a link.

    Opens the link of a running gateway for real, as some forty machines do, and prints what each
    got. Status 1 if any of them was sent on to a session.
    """
    chosen = _chosen(only or [])
    if listing:
        _list(chosen, as_json)
        return
    targets = _targets(urls or [], decoy)
    _announce(targets, yes)
    results = asyncio.run(_run(chosen, targets, pause))
    if as_json:
        printing.as_json(_as_data(results))
    else:
        _print(results)
    if any(result.passed or result.trouble for result in results if not result.skipped):
        raise typer.Exit(1)


def _chosen(names: list[str]) -> "tuple[Behaviour, ...]":
    from difflib import get_close_matches

    from linkgate.simulation import behaviours

    known = {behaviour.name: behaviour for behaviour in behaviours()}
    problems = []
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            mend = f"did you mean {near[0]}?" if near else "`linkgate simulate --list` names them"
            problems.append(Problem("--only", f"{name!r} is no behaviour; {mend}"))
    if problems:
        raise Invalid(problems)
    return tuple(one for one in known.values() if not names or one.name in names)


def _targets(urls: list[str], decoy: str | None) -> "Targets":
    from linkgate.simulation import Targets

    problems = [] if urls else [Problem("URL", "is missing; give a link's address, or --list")]
    problems += [Problem("URL", f"{url!r} {_SHAPE}") for url in urls if not _is_link(url)]
    if len(set(urls)) < len(urls):
        problems.append(Problem("URL", "is given twice; a burst is over different links"))
    if decoy is not None and not _is_link(decoy):
        problems.append(Problem("--decoy", f"{decoy!r} {_SHAPE}"))
    elif decoy in urls:
        problems.append(Problem("--decoy", "is the link itself; give the decoy_url of its making"))
    if problems:
        raise Invalid(problems)
    return Targets(tuple(urls), decoy)


def _is_link(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is none
    except ValueError:
        return False
    token = parts.path.removeprefix("/l/").strip("/")
    is_web = parts.scheme in {"http", "https"} and bool(parts.hostname)
    plain = url.isprintable() and not any(sign in url for sign in " ?#")
    return is_web and plain and parts.path.startswith("/l/") and bool(token)


def _announce(targets: "Targets", yes: bool) -> None:
    number = len(targets.links)
    which = "this link" if number == 1 else f"these {number} links"
    hosts = ", ".join(dict.fromkeys(urlsplit(url).netloc for url in targets.links))
    printing.note(
        f"This opens {which} on {hosts} for real, as machines do: the visits are recorded and "
        "counted, and if judging fails, sessions are made. Use a link that is nobody's."
    )
    if not yes and _at_a_terminal() and not typer.confirm("Begin?", err=True):
        printing.note("Nothing was sent.")
        raise typer.Exit(1)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


async def _run(chosen: "tuple[Behaviour, ...]", targets: "Targets", pause: float) -> "list[Result]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from linkgate.simulation import Result, examine, replay

    await examine(targets)
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    results: list[Result] = []
    replayed = False
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(chosen))
        for behaviour in chosen:
            progress.update(bar, description=behaviour.name)
            if lack := behaviour.lacks(targets):
                results.append(Result(behaviour, (), lack, skipped=True))
            else:
                if replayed:
                    await asyncio.sleep(pause)
                replayed = True
                results.append(await replay(behaviour, targets))
            progress.advance(bar)
    return results


def _outcome(result: "Result") -> str:
    if result.skipped:
        return "not replayed"
    if result.passed:
        return "went through"
    return "incomplete" if result.trouble else "held"


def _list(chosen: "tuple[Behaviour, ...]", as_json: bool) -> None:
    if as_json:
        printing.as_json(
            {
                "behaviours": [
                    {
                        "name": one.name,
                        "what": one.what,
                        "source": one.source,
                        "date": one.date.isoformat(),
                    }
                    for one in chosen
                ]
            }
        )
        return
    rows = [(one.name, one.what, f"{one.source} ({one.date:%Y-%m})") for one in chosen]
    printing.table(("behaviour", "what it does", "source"), rows)


def _as_data(results: "list[Result]") -> dict[str, Any]:
    counts = Counter(map(_outcome, results))
    return {
        "behaviours": [
            {
                "name": result.behaviour.name,
                "what": result.behaviour.what,
                "outcome": _outcome(result),
                "trouble": result.trouble or None,
                "answers": [
                    {
                        "method": got.method,
                        "status": got.status,
                        "got": got.what,
                        "passed": got.passed,
                        "location": got.location or None,
                    }
                    for got in result.answers
                ],
            }
            for result in results
        ],
        "counts": {
            "held": counts["held"],
            "went_through": counts["went through"],
            "incomplete": counts["incomplete"],
            "not_replayed": counts["not replayed"],
        },
    }


def _print(results: "list[Result]") -> None:
    rows = [
        (
            result.behaviour.name,
            _outcome(result),
            _grouped([f"{got.method} {got.status}" for got in result.answers]),
            "; ".join(filter(None, [_grouped([g.what for g in result.answers]), result.trouble])),
        )
        for result in results
    ]
    printing.table(("behaviour", "outcome", "answers", "what it got"), rows)
    printing.line()
    for sentence in _conclusion(results):
        printing.line(sentence)


def _grouped(words: list[str]) -> str:
    return ", ".join(f"{n} x {word}" if n > 1 else word for word, n in Counter(words).items())


def _conclusion(results: "list[Result]") -> list[str]:
    """What the table comes to, and what to do about it."""
    counts = Counter(map(_outcome, results))
    ran = sum(counts.values()) - counts["not replayed"]
    through = [result for result in results if result.passed]
    said = []
    if through:
        said.append(
            f"{len(through)} of {ran} behaviours went through: "
            f"{', '.join(result.behaviour.name for result in through)}."
        )
        said.append(
            "A campaign with policy direct lets through whatever is not automated: that is its "
            "meaning. Else see each visit's evidence with `linkgate links show URL`, and until a "
            "rule catches it, ask everyone for the press: `linkgate campaigns change SLUG --policy "
            "confirm`. Sessions that were made close by themselves when they expire."
        )
    elif ran:
        said.append(f"None of {ran} behaviours went through: nothing was minted.")
    else:
        said.append("No behaviour was replayed.")
    if counts["incomplete"]:
        said.append(
            f"{counts['incomplete']} could not be replayed to their end, so that they show nothing."
        )
    return said
