"""The behaviours in behaviours.toml, read and checked."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Literal

#: From so many links on, `[detection]`'s thresholds call it a burst; fewer would show nothing.
BURST_LINKS = 3


@dataclass(frozen=True, slots=True)
class Targets:
    """The links that behaviours are replayed on, as full URLs, and the first one's decoy."""

    links: tuple[str, ...]
    decoy: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How a machine sends the interstitial's form.

    `gesture` is what the page's script would put in; empty where no script runs. `second` presses
    the button that no person sees; `blind` sends it without having read a page.
    """

    gesture: str = ""
    second: bool = False
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `after` is in seconds; `alongside`: the next step does not wait for its answer.

    A `form` makes it a POST of the page that came last.
    """

    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    alongside: bool = False
    target: Literal["link", "decoy", "every"] = "link"
    query: str = ""
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one machine does at a link, and where that was seen or is documented."""

    name: str
    what: str
    source: str
    date: date
    steps: tuple[Step, ...]

    def lacks(self, targets: Targets) -> str | None:
        """Return what `targets` would need for this behaviour to show anything, if they lack it."""
        wanted = {step.target for step in self.steps}
        if "decoy" in wanted and targets.decoy is None:
            return "it needs the link's decoy: give --decoy URL"
        if "every" in wanted and len(targets.links) < BURST_LINKS:
            return f"it needs {BURST_LINKS} links at least: give more URLs"
        return None


@cache
def behaviours() -> tuple[Behaviour, ...]:
    """All behaviours, in the order in which they are to be replayed."""
    text = files("linkgate.simulation").joinpath("behaviours.toml").read_text("utf-8")
    data = tomllib.loads(text)
    return tuple(_behaviour(item, data["headers"]) for item in data["behaviour"])


def _behaviour(item: dict[str, Any], sets: Mapping[str, Mapping[str, str]]) -> Behaviour:
    steps = tuple(_step(dict(step), sets) for step in item.pop("step"))
    return Behaviour(**item, steps=steps)


def _step(item: dict[str, Any], sets: Mapping[str, Mapping[str, str]]) -> Step:
    agent, extra = item.pop("agent", None), item.pop("extra", {})
    headers = {**sets[item.pop("headers", "none")], **extra}
    if agent is not None:
        headers["user-agent"] = agent
    form = item.pop("form", None)
    if form is not None:
        item |= {"form": Form(**form), "method": "POST"}
    return Step(headers=headers, **item)
