"""One endpoint as a value, and what the endpoints have in common: lists and `expand`.

An operation has two steps, since Stripe's idempotency knows two: what `check` refuses was never
begun and leaves no trace, what `run` answers (a refusal included) is what the key replays.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from linkgate.sandbox.errors import ApiError, no_such
from linkgate.sandbox.world import Cause, Object, World

# Singular, as Stripe's messages and `expand` name what hangs on an object by its id.
EXPANDABLE = frozenset(
    {
        "charge",
        "coupon",
        "customer",
        "default_price",
        "invoice",
        "latest_charge",
        "latest_invoice",
        "payment_intent",
        "payment_method",
        "price",
        "product",
        "promotion_code",
        "setup_intent",
        "subscription",
    }
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API, read and checked; `object_id` is what stood in the address."""

    world: World
    object_id: str
    params: dict[str, Any]
    cause: Cause


def _nothing_more(_: Call) -> None:
    return


@dataclass(frozen=True, slots=True)
class Operation:
    """`params` is the TypedDict of stripe-python; `path` has at most one `{id}`."""

    method: str
    path: str
    params: Any
    run: Callable[[Call], Object]
    check: Callable[[Call], None] = _nothing_more
    limits: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def creates(self) -> bool:
        """Whether it makes something new, which is what Stripe limits most."""
        return self.method == "POST" and "{id}" not in self.path

    def match(self, method: str, path: str) -> str | None:
        """The id in the address (or an empty string), or None when this isn't the endpoint."""
        if method != self.method:
            return None
        head, brace, tail = self.path.partition("{id}")
        if not brace:
            return "" if path == self.path else None
        if not (path.startswith(head) and path.endswith(tail)):
            return None
        object_id = path[len(head) : len(path) - len(tail)]
        return object_id if object_id and "/" not in object_id else None


def fetch(call: Call, noun: str, param: str) -> Object:
    """The object that the address names, or Stripe's 404."""
    thing = call.world.get(noun, call.object_id)
    if thing is None:
        raise no_such(noun, call.object_id, param, status=404)
    return thing


def check_page(call: Call) -> None:
    """A list's `limit` and cursors, as Stripe limits them."""
    limit = call.params.get("limit", 10)
    if not 1 <= limit <= 100:
        bound = "greater than or equal to 1" if limit < 1 else "less than or equal to 100"
        raise ApiError(
            f"This value must be {bound}.", code="parameter_invalid_integer", param="limit"
        )
    if "starting_after" in call.params and "ending_before" in call.params:
        raise ApiError("Received both starting_after and ending_before parameters. Pass only one.")


def page(call: Call, url: str, things: list[Object]) -> Object:
    """One page of a list that is ordered as Stripe orders it, the newest first."""
    params = call.params
    things = [
        thing
        for thing in things
        if "created" not in params or within(thing["created"], params["created"])
    ]
    limit = params.get("limit", 10)
    if "ending_before" in params:
        before = _cursor(call.world, things, params["ending_before"], "ending_before")
        chosen = things[max(0, before - limit) : before]
        has_more = before > limit
    else:
        start = 0
        if "starting_after" in params:
            after = params["starting_after"]
            start = _cursor(call.world, things, after, "starting_after")
            start += start < len(things) and things[start]["id"] == after
        chosen = things[start : start + limit]
        has_more = start + limit < len(things)
    return {"object": "list", "data": chosen, "has_more": has_more, "url": url}


def _cursor(world: World, things: list[Object], object_id: str, param: str) -> int:
    """Where a cursor stands in a list; one that the list's filters leave out, where it would."""
    for place, thing in enumerate(things):
        if thing["id"] == object_id:
            return place
    cursor = world.find(object_id)
    if cursor is None or (things and things[0]["object"] != cursor["object"]):
        raise no_such(things[0]["object"] if things else "object", object_id, param)
    return sum(thing["created"] >= cursor["created"] for thing in things)


def within(value: int, bounds: Any) -> bool:
    """Whether a filter wants a time (Unix s): it may be one, or `gt`, `gte`, `lt`, `lte`."""
    if bounds is None:
        return True
    if isinstance(bounds, int):
        return bool(value == bounds)
    return bool(
        bounds.get("gt", value - 1) < value < bounds.get("lt", value + 1)
        and bounds.get("gte", value) <= value <= bounds.get("lte", value)
    )


def expand(world: World, answer: Object, paths: list[str]) -> Object:
    """A copy of an answer with what `expand` asks for put in the place of its ids.

    Raises ApiError for what can't be expanded, in Stripe's words.
    """
    copied = copy.deepcopy(answer)
    for path in paths:
        _expand(world, copied, path.split("."), path)
    return copied


def _expand(world: World, node: Any, path: list[str], whole: str) -> None:
    key, rest = path[0], path[1:]
    if isinstance(node, list):
        for each in node:
            _expand(world, each, path, whole)
        return
    if not isinstance(node, dict) or len(whole.split(".")) > 4:
        raise _not_expandable(key)
    if key == "line_items" and node.get("object") == "checkout.session":
        node.setdefault(key, line_items(world, node["id"]))
    value = node.get(key)
    if isinstance(value, str):
        if key not in EXPANDABLE:
            raise _not_expandable(key)
        value = node[key] = copy.deepcopy(world.find(value)) or value
    elif key not in node or not (value is None or isinstance(value, dict | list)):
        raise _not_expandable(key)
    if rest and value is not None:
        _expand(world, value, rest, whole)


def _not_expandable(key: str) -> ApiError:
    return ApiError(f"This property cannot be expanded ({key}).", param="expand")


def line_items(world: World, session_id: str) -> Object:
    """A session's line items as the list that `expand` and the endpoint of that name give."""
    return {
        "object": "list",
        "data": copy.deepcopy(world.carts[session_id].items),
        "has_more": False,
        "url": f"/v1/checkout/sessions/{session_id}/line_items",
    }
