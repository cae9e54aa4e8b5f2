"""Puts a rule set together: linkgate's rules but those that are off, and the operator's own."""

import difflib
from collections.abc import Collection, Iterable
from typing import NamedTuple

from linkgate.detection import RULES
from linkgate.detection.history import Limits
from linkgate.detection.networks import Networks
from linkgate.detection.own import OwnRule, own_rules
from linkgate.detection.rules import Ruleset
from linkgate.detection.verdict import Authority


class Choice(NamedTuple):
    """What an operator chooses of a rule set: the one in force, or the one in its shadow."""

    limits: Limits = Limits()
    own: tuple[OwnRule, ...] = ()
    off: tuple[str, ...] = ()
    """The names of linkgate's rules that are not asked."""


def assemble(
    limits: Limits | None = None,
    networks: Networks | None = None,
    own: Iterable[OwnRule] = (),
    off: Collection[str] = (),
) -> Ruleset:
    """Return the rule set of linkgate's rules but those in `off`, and of the operator's `own`.

    Without `limits` or `networks`, those of linkgate's rules stand. Raises ValueError when a name
    in `off` can't be switched off, or two own rules have one name.
    """
    for name in off:
        check_off(name)
    rules = [rule for rule in RULES.rules if rule.name not in off]
    return Ruleset([*rules, *own_rules(own)], limits or RULES.limits, networks or RULES.networks)


def check_off(name: str) -> str:
    """Return the name of a rule that can be switched off; raises ValueError with the mend.

    The laws' rules can't: what they find never mints, whatever anyone says.
    """
    rules = {rule.name: rule for rule in RULES.rules}
    if name not in rules:
        near = difflib.get_close_matches(name, rules, n=3, cutoff=0.75)
        hint = f"did you mean {' or '.join(near)}?" if near else "docs/detection.md lists them"
        raise ValueError(f"is not the name of a rule; {hint}")
    if rules[name].authority is Authority.LAW:
        raise ValueError(
            "can't be switched off: what it finds must never cost a session; remove it"
        )
    return name
