"""Whether parameters are ones that Stripe takes, by its OpenAPI document and its live rules.

It shares nothing with the sandbox, which goes by stripe-python's types: what linkgate sends has to
please both. parameters.json holds the document's facts; `extract` wrote it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Sent: TypeAlias = "str | Mapping[str, Sent]"

PARAMETERS: Mapping[str, Any] = json.loads(
    (Path(__file__).parent / "parameters.json").read_text(encoding="utf-8")
)
_SCALARS: Mapping[str, str] = {
    "integer": r"-?[0-9]{1,18}",
    "number": r"-?[0-9]+(\.[0-9]+)?",
    "boolean": "true|false",
}


def problems(endpoint: str, sent: Mapping[str, Any]) -> list[str]:
    """What Stripe would refuse of a request, as sentences; `sent` as the form nests."""
    if endpoint not in PARAMETERS:
        return [f"{endpoint}: not among the endpoints that are checked"]
    found = [*_check(PARAMETERS[endpoint], sent, ""), *_live(endpoint, sent)]
    return [f"{endpoint}: {each}" for each in found]


@dataclass
class Checker:
    """Keeps what is wrong with the requests that it is told of."""

    found: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __call__(self, endpoint: str, sent: Mapping[str, Any]) -> None:
        self.seen.add(endpoint)
        self.found += problems(endpoint, sent)

    def take(self) -> list[str]:
        """What was found, once: for a test that sends something wrong on purpose."""
        found, self.found = self.found, []
        return found


def _check(schema: Any, sent: Sent, path: str) -> Iterator[str]:
    if isinstance(schema, str):
        if not isinstance(sent, str) or not re.fullmatch(_SCALARS[schema], sent, re.ASCII):
            yield f"{path} isn't {schema}: {sent!r}"
        return
    (kind,) = schema.keys() - {"required"}
    yield from _KINDS[kind](schema, sent, path)


def _any(schema: Any, sent: Sent, path: str) -> Iterator[str]:
    tried = [list(_check(option, sent, path)) for option in schema["any"]]
    if all(tried):
        yield min(tried, key=len)[0]


def _enum(schema: Any, sent: Sent, path: str) -> Iterator[str]:
    if sent not in schema["enum"]:
        yield f"{path} is none of its words: {sent!r}"


def _string(schema: Any, sent: Sent, path: str) -> Iterator[str]:
    if not isinstance(sent, str) or not sent:
        yield f"{path} isn't text: {sent!r}"
    elif len(sent) > schema["string"]:
        yield f"{path} has {len(sent)} of at most {schema['string']} characters"


def _array(schema: Any, sent: Sent, path: str) -> Iterator[str]:
    if isinstance(sent, str) or set(sent) != {str(place) for place in range(len(sent))}:
        yield f"{path} isn't a list: {sent!r}"
        return
    for place, each in sent.items():
        yield from _check(schema["array"], each, f"{path}[{place}]")


def _map(schema: Any, sent: Sent, path: str) -> Iterator[str]:
    if isinstance(sent, str):
        yield f"{path} isn't a hash: {sent!r}"
        return
    for name, value in sent.items():
        # An empty value unsets a key of metadata.
        if value != "":
            yield from _check(schema["map"], value, f"{path}[{name}]")


def _object(schema: Any, sent: Sent, path: str) -> Iterator[str]:
    if isinstance(sent, str):
        yield f"{path} isn't a hash: {sent!r}"
        return
    for name, value in sent.items():
        inner = f"{path}[{name}]" if path else name
        if name not in schema["object"]:
            yield f"{inner} is unknown"
            continue
        yield from _check(schema["object"][name], value, inner)
        if name == "metadata" and not isinstance(value, str):
            yield from _metadata(value, inner)
    for name in schema.get("required", []):
        if name not in sent:
            yield f"{path}[{name}] is missing" if path else f"{name} is missing"


_KINDS: Mapping[str, Callable[[Any, Sent, str], Iterator[str]]] = {
    "any": _any,
    "enum": _enum,
    "string": _string,
    "array": _array,
    "map": _map,
    "object": _object,
}


def _metadata(sent: Mapping[str, Sent], path: str) -> Iterator[str]:
    """https://docs.stripe.com/api/metadata: 50 keys of 40 characters, values of 500."""
    if len(sent) > 50:
        yield f"{path} has more than 50 keys"
    for name, value in sent.items():
        if not re.fullmatch(r"[^\[\]]{1,40}", name):
            yield f"{path} has a key that Stripe takes not: {name!r}"
        if len(value) > 500:
            yield f"{path}[{name}] has more than 500 characters"


#: Of these, a new Checkout Session takes one at most.
_APART = (
    ("customer", "customer_email"),
    ("customer", "customer_creation"),
    ("allow_promotion_codes", "discounts"),
)
#: What only some modes take.
_OF_MODE = {
    "payment_intent_data": ("payment",),
    "subscription_data": ("subscription",),
    "setup_intent_data": ("setup",),
    "line_items": ("payment", "subscription"),
    "discounts": ("payment", "subscription"),
    "allow_promotion_codes": ("payment", "subscription"),
    "invoice_creation": ("payment",),
    "customer_creation": ("payment", "setup"),
    "payment_method_collection": ("subscription",),
}


def _live(endpoint: str, sent: Mapping[str, Any]) -> Iterator[str]:
    """What Stripe refuses and its document doesn't say.

    Source: https://docs.stripe.com/api/checkout/sessions/create and errors met with.
    """
    if endpoint == "GET /v1/events" and len(sent.get("types", {})) > 20:
        yield "types has more than 20 words"
    if endpoint == "POST /v1/billing_portal/sessions" and "customer" not in sent:
        yield "customer is missing"
    limit = str(sent.get("limit", "10"))
    if limit.isdecimal() and not 1 <= int(limit) <= 100:
        yield "limit isn't within 1 and 100"
    if endpoint != "POST /v1/checkout/sessions":
        return
    mode = sent.get("mode")
    if mode is None:
        yield "mode is missing"
    for name, modes in _OF_MODE.items():
        if name in sent and mode not in modes:
            yield f"{name} isn't taken in mode {mode}"
    for pair in _APART:
        if all(name in sent for name in pair):
            yield f"{' and '.join(pair)} are not taken together"
    if mode != "setup" and not sent.get("line_items"):
        yield "line_items is missing"
    if "customer_update" in sent and "customer" not in sent:
        yield "customer_update needs customer"
    if sent.get("ui_mode", "hosted_page") == "hosted_page" and "success_url" not in sent:
        yield "success_url is missing"
    if mode == "setup" and not {"currency", "allowed_payment_method_types"} & sent.keys():
        yield "currency is missing"
