"""Stripe's form encoding: brackets nest, `[]` appends, and nothing is JSON.

`line_items[0][price]=p&expand[]=customer` reads as
`{"line_items": {"0": {"price": "p"}}, "expand": {"0": "customer"}}`. Lists stay dictionaries with
numbers for keys until a shape says that a list is meant: the encoding itself can't tell.
"""

import re
from typing import TypeAlias
from urllib.parse import parse_qsl

from linkgate.sandbox.errors import ApiError

Raw: TypeAlias = "str | dict[str, Raw]"

# Deeper than anything of Stripe's; stops a body of brackets from eating the stack.
DEPTH = 12
FIELDS = 2_000
_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def decode(encoded: str) -> dict[str, Raw]:
    """Read a query string or a form body; raises ApiError (400) when it doesn't nest."""
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise ApiError(f"Invalid request: the parameters can't be decoded ({error}).") from error
    tree: dict[str, Raw] = {}
    for name, value in pairs:
        _place(tree, name, value)
    return tree


def _place(tree: dict[str, Raw], name: str, value: str) -> None:
    path = _path(name)
    node = tree
    for depth, key in enumerate(path[:-1]):
        index = _index(node, key, then=path[depth + 1])
        child = node.setdefault(index, {})
        if isinstance(child, str):
            raise ApiError(f"Invalid request: {name} is given as a value and as a hash.", param=key)
        node = child
    last = _index(node, path[-1], then=None)
    if isinstance(node.get(last), dict):
        raise ApiError(f"Invalid request: {name} is given as a hash and as a value.", param=last)
    node[last] = value


def _path(name: str) -> list[str]:
    match = _NAME.match(name)
    if match is None:
        raise ApiError(f"Invalid request: the parameter name {name[:100]!r} doesn't nest.")
    path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    if len(path) > DEPTH:
        raise ApiError(f"Invalid request: {match[1]} is nested too deeply.", param=match[1])
    return path


def _index(node: dict[str, Raw], key: str, *, then: str | None) -> str:
    """`[]` means: the next element, or still the last one while it lacks the key that follows."""
    if key:
        return key
    if node and then:
        last = node.get(str(len(node) - 1))
        if isinstance(last, dict) and then not in last:
            return str(len(node) - 1)
    return str(len(node))
