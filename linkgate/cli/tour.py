"""What `linkgate demo` prints."""

import json
from dataclasses import asdict
from shlex import quote

from rich.console import Console
from rich.text import Text

from linkgate.demo import Tour, steps


def as_line(tour: Tour) -> str:
    """Return the tour as one line of JSON, for scripts."""
    data = {
        **asdict(tour),
        "config": str(tour.config),
        "links": {link.name: asdict(link) for link in tour.links},
        "steps": [asdict(step) for step in steps(tour)],
    }
    return json.dumps(data)


def show(tour: Tour, console: Console | None = None) -> None:
    """Print the tour for people. URLs and commands are never broken: they are there to copy."""
    out = console or Console(highlight=False)
    out.print()
    out.print(Text("linkgate runs, with a stand-in for Stripe. No money moves.", "bold"))
    _heading(out, "To click, as a person with e-mail would")
    for link in tour.inbox:
        out.print(f"{link.title}. {link.about}", markup=False)
        _verbatim(out, link.url)
    out.print(
        "On the pay page: Pay, Pay later, Fail or Cancel. After Pay, open the link again: it says "
        "that it is paid. The same links, as an inbox:"
    )
    _verbatim(out, tour.url + "/")
    _heading(out, "To paste into another terminal, in this order")
    for step in steps(tour):
        out.print(step.shows, markup=False)
        _verbatim(out, step.command)
    _heading(out, "To look further")
    out.print("The other commands work on this demo too, for example:")
    _verbatim(out, f"linkgate --config {quote(str(tour.config))} campaigns list")
    out.print("The API's description:")
    _verbatim(out, f"{tour.url}/api/openapi.json")
    where = f"The data is kept in {tour.config.parent}." if tour.kept else "Its data goes with it."
    out.print(Text(f"\nCtrl-C ends the demo. {where}", "bold"))
    out.print("\nWhat happens to these links, as it happens:")
    out.file.flush()


def _heading(out: Console, text: str) -> None:
    out.print(Text(f"\n{text}\n", "bold underline"))


def _verbatim(out: Console, text: str) -> None:
    for line in text.split("\n"):
        out.print(f"  {line}", markup=False, soft_wrap=True, style="cyan")
    out.print()
