"""The checker of parameters: it knows right from wrong, and every request of a visit passes it."""

import copy
from typing import Any
from urllib.parse import urlencode

import pytest
from stripe._encode import _api_encode

from linkgate.sandbox import forms
from linkgate.sandbox.nouns import OPERATIONS
from tests.stack import Stack
from tests.stripe_parameters import PARAMETERS, problems
from tests.stripe_parameters.extract import compact

CREATE = "POST /v1/checkout/sessions"
PORTAL = "POST /v1/billing_portal/sessions"
EVENTS = "GET /v1/events"
ENDPOINT = "POST /v1/webhook_endpoints"
GOOD: dict[str, Any] = {
    "mode": "payment",
    "line_items": [{"price": "price_1", "quantity": 1}],
    "success_url": "https://shop.example.com/",
    "expires_at": 1_800_000_000,
    "metadata": {"linkgate_link": "l"},
}


def found(endpoint: str, params: dict[str, Any]) -> list[str]:
    return problems(endpoint, forms.decode(urlencode(list(_api_encode(copy.deepcopy(params))))))


@pytest.mark.parametrize(
    ("endpoint", "params"),
    [
        (CREATE, GOOD),
        (CREATE, {**GOOD, "allow_promotion_codes": True, "locale": "de"}),
        (CREATE, {**GOOD, "customer": "cus_1", "customer_update": {"address": "auto"}}),
        (
            CREATE,
            {
                "mode": "subscription",
                "line_items": [
                    {
                        "price_data": {
                            "currency": "eur",
                            "unit_amount": 500,
                            "product_data": {"name": "x"},
                            "recurring": {"interval": "month"},
                        },
                        "quantity": 2,
                    }
                ],
                "subscription_data": {"trial_period_days": 7, "metadata": {"a": "b"}},
                "success_url": "https://shop.example.com/",
            },
        ),
        (CREATE, {"mode": "setup", "currency": "eur", "success_url": "https://shop.example.com/"}),
        (PORTAL, {"customer": "cus_1", "flow_data": {"type": "payment_method_update"}}),
        (EVENTS, {"types": ["invoice.paid"], "created": {"gte": 5}, "limit": 100}),
        (ENDPOINT, {"url": "https://a.example", "enabled_events": ["invoice.paid"]}),
        (
            "GET /v1/invoice_payments",
            {"payment": {"type": "payment_intent", "payment_intent": "pi_1"}},
        ),
    ],
)
def test_what_stripe_takes_passes(endpoint: str, params: dict[str, Any]) -> None:
    assert found(endpoint, params) == []


@pytest.mark.parametrize(
    ("endpoint", "params", "word"),
    [
        (CREATE, {**GOOD, "sucess_url": "x"}, "sucess_url is unknown"),
        (CREATE, {**GOOD, "expires_at": 1.5}, "expires_at isn't integer"),
        (CREATE, {**GOOD, "expires_at": "soon"}, "expires_at isn't integer"),
        (CREATE, {**GOOD, "locale": "xx"}, "locale is none of its words"),
        (CREATE, {**GOOD, "mode": "pay"}, "mode is none of its words"),
        (CREATE, {**GOOD, "allow_promotion_codes": "yes"}, "isn't boolean"),
        (CREATE, {**GOOD, "client_reference_id": "x" * 201}, "201 of at most 200"),
        (CREATE, {**GOOD, "client_reference_id": ""}, "client_reference_id isn't text"),
        (CREATE, {**GOOD, "line_items": "price_1"}, "line_items isn't a list"),
        (CREATE, {**GOOD, "line_items": [{"prise": "p"}]}, "line_items[0][prise] is unknown"),
        (CREATE, {**GOOD, "customer": {"id": "cus_1"}}, "customer isn't text"),
        (CREATE, {**GOOD, "metadata": {"k" * 41: "v"}}, "metadata has a key"),
        (CREATE, {**GOOD, "metadata": {"k": "v" * 501}}, "more than 500"),
        (CREATE, {**GOOD, "metadata": {f"k{n}": "v" for n in range(51)}}, "more than 50 keys"),
        (CREATE, {**GOOD, "automatic_tax": {}, "tax_id_collection": {"on": True}}, "is unknown"),
        (CREATE, {**GOOD, "tax_id_collection": {"required": "never"}}, "[enabled] is missing"),
        (CREATE, {**GOOD, "customer": "cus_1", "customer_email": "a@b.example"}, "together"),
        (CREATE, {**GOOD, "customer_update": {"name": "auto"}}, "needs customer"),
        (CREATE, {**GOOD, "subscription_data": {"metadata": {}, "description": "x"}}, "mode"),
        (CREATE, {**GOOD, "payment_method_types": ["card"]}, "payment_method_types is unknown"),
        (CREATE, {"mode": "payment", "success_url": "https://a.example"}, "line_items is missing"),
        (CREATE, {"mode": "setup", "success_url": "https://a.example"}, "currency is missing"),
        (CREATE, {**GOOD, "ui_mode": "hosted"}, "ui_mode is none"),
        (PORTAL, {"return_url": "https://a.example"}, "customer is missing"),
        (PORTAL, {"customer": "c", "flow_data": {"type": "x"}}, "flow_data[type] is none"),
        (EVENTS, {"types": ["a"] * 21}, "more than 20"),
        (EVENTS, {"limit": 101}, "limit"),
        (EVENTS, {"created": {"since": 5}}, "created[since] is unknown"),
        (ENDPOINT, {"url": "https://a.example"}, "enabled_events is missing"),
        (ENDPOINT, {"url": "https://a.example", "enabled_events": ["x.y"]}, "none of its words"),
        ("POST /v1/charges", {"amount": 5}, "not among the endpoints"),
    ],
)
def test_what_stripe_refuses_is_named(endpoint: str, params: dict[str, Any], word: str) -> None:
    (first, *_) = found(endpoint, params)
    assert word in first


def test_the_endpoints_are_ones_that_the_sandbox_has_by_the_same_names() -> None:
    assert set(PARAMETERS) <= {operation.name for operation in OPERATIONS}


def test_prose_is_left_behind_and_facts_are_kept() -> None:
    schema = {
        "type": "object",
        "description": "Prose.",
        "required": ["a"],
        "properties": {
            "a": {"type": "string", "maxLength": 7, "description": "Prose."},
            "b": {"anyOf": [{"type": "integer"}, {"type": "string", "enum": [""]}]},
            "c": {"type": "array", "items": {"type": "boolean"}},
            "d": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }
    assert compact(schema) == {
        "object": {
            "a": {"string": 7},
            "b": {"any": ["integer", {"enum": [""]}]},
            "c": {"array": "boolean"},
            "d": {"map": {"string": 5000}},
        },
        "required": ["a"],
    }


async def test_what_a_visit_sends_is_checked_and_right(stack: Stack) -> None:
    await stack.campaign()
    answer = await stack.get(stack.path(stack.link()))
    assert answer.status == 303
    assert CREATE in stack.refused.seen
    assert stack.refused.found == []


async def test_what_is_wrong_is_found(stack: Stack) -> None:
    await stack.campaign(destination={"params": {"allow_promotion_codes": "maybe"}})
    await stack.get(stack.path(stack.link()))
    (told, *_) = stack.refused.take()
    assert "allow_promotion_codes isn't boolean" in told
