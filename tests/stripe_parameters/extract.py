"""Write parameters.json from Stripe's OpenAPI document.

    python tests/stripe_parameters/extract.py path/to/openapi.json

The document is https://github.com/stripe/openapi, `openapi/spec3.json`. Only facts are kept: names,
types, enumerations, longest texts and what is required, of the endpoints that linkgate asks.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

WRITTEN = Path(__file__).parent / "parameters.json"
ENDPOINTS = (
    "GET /v1/account",
    "POST /v1/billing_portal/sessions",
    "GET /v1/charges/{charge}",
    "GET /v1/checkout/sessions",
    "POST /v1/checkout/sessions",
    "GET /v1/checkout/sessions/{session}",
    "POST /v1/checkout/sessions/{session}/expire",
    "GET /v1/checkout/sessions/{session}/line_items",
    "GET /v1/customers",
    "GET /v1/customers/{customer}",
    "GET /v1/disputes",
    "GET /v1/disputes/{dispute}",
    "GET /v1/events",
    "GET /v1/events/{id}",
    "GET /v1/invoice_payments",
    "GET /v1/invoices",
    "GET /v1/invoices/{invoice}",
    "GET /v1/payment_intents",
    "GET /v1/payment_intents/{intent}",
    "GET /v1/prices",
    "GET /v1/prices/{price}",
    "GET /v1/products/{id}",
    "GET /v1/refunds",
    "GET /v1/setup_intents/{intent}",
    "GET /v1/subscriptions",
    "GET /v1/subscriptions/{subscription_exposed_id}",
    "GET /v1/webhook_endpoints",
    "POST /v1/webhook_endpoints",
    "GET /v1/webhook_endpoints/{webhook_endpoint}",
    "POST /v1/webhook_endpoints/{webhook_endpoint}",
    "DELETE /v1/webhook_endpoints/{webhook_endpoint}",
)
_TEXT = {"string": 5000}
_LIST = {
    "ending_before": _TEXT,
    "expand": {"array": _TEXT},
    "limit": "integer",
    "starting_after": _TEXT,
}
_TIMES = {
    "any": [
        {"object": dict.fromkeys(("gt", "gte", "lt", "lte"), "integer")},
        "integer",
    ]
}
#: Where a document lacks an endpoint: https://docs.stripe.com/api/invoice-payment/list and
#: https://docs.stripe.com/api/disputes.
MISSING: dict[str, Any] = {
    "GET /v1/invoice_payments": {
        "object": {
            **_LIST,
            "created": _TIMES,
            "invoice": _TEXT,
            "payment": {
                "object": {
                    "payment_intent": _TEXT,
                    "payment_record": _TEXT,
                    "type": {"enum": ["payment_intent", "payment_record"]},
                },
                "required": ["type"],
            },
            "status": {"enum": ["canceled", "open", "paid"]},
        }
    },
    "GET /v1/disputes": {
        "object": {**_LIST, "charge": _TEXT, "created": _TIMES, "payment_intent": _TEXT}
    },
    "GET /v1/disputes/{id}": {"object": {"expand": {"array": _TEXT}}},
}


def extracted(document: dict[str, Any]) -> dict[str, Any]:
    """The compact form of every endpoint's parameters, by the name that the sandbox gives it."""
    found = {}
    for endpoint in ENDPOINTS:
        method, path = endpoint.split()
        name = f"{method} {re.sub('{.*?}', '{id}', path)}"
        described = document["paths"].get(path, {}).get(method.lower())
        if described is None:
            found[name] = MISSING[name]
        else:
            found[name] = _record(_properties(described), _required(described))
    return dict(sorted(found.items()))


def _form(described: dict[str, Any]) -> dict[str, Any]:
    content = described.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
    return schema


def _properties(described: dict[str, Any]) -> dict[str, Any]:
    query = [each for each in described.get("parameters", []) if each["in"] == "query"]
    return {
        **{each["name"]: each["schema"] for each in query},
        **_form(described).get("properties", {}),
    }


def _required(described: dict[str, Any]) -> list[str]:
    query = [each["name"] for each in described.get("parameters", []) if each["in"] == "query"]
    wanted = {each["name"] for each in described.get("parameters", []) if each.get("required")}
    return [*(name for name in query if name in wanted), *_form(described).get("required", [])]


def _record(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    inner = {"object": {name: compact(schema) for name, schema in sorted(properties.items())}}
    return {**inner, "required": sorted(required)} if required else inner


def compact(schema: dict[str, Any]) -> Any:
    """One schema without prose; raises KeyError for a kind that Stripe's documents don't have."""
    if "anyOf" in schema:
        return {"any": [compact(each) for each in schema["anyOf"]]}
    if "enum" in schema:
        return {"enum": schema["enum"]}
    kind = schema["type"]
    if kind == "object":
        if "properties" in schema:
            return _record(schema["properties"], schema.get("required", []))
        return {"map": compact(schema["additionalProperties"])}
    if kind == "array":
        return {"array": compact(schema["items"])}
    if kind == "string":
        if schema.get("format") == "decimal":
            return "number"
        return {"string": schema.get("maxLength", 5000)}
    return {"integer": "integer", "number": "number", "boolean": "boolean"}[kind]


def main() -> None:
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = [
        f"{json.dumps(name)}: {json.dumps(schema, separators=(',', ':'))}"
        for name, schema in extracted(document).items()
    ]
    WRITTEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
