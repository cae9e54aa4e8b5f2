"""The OpenAPI document: it has to say what the API does."""

import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from linkgate.decision import Action
from linkgate.destinations import KINDS
from linkgate.payments import SessionState
from linkgate.web.api.documents import COMPONENTS
from tests.web.conftest import CAMPAIGN, Api

BODIES = {
    ("/campaigns", "post"),
    ("/campaigns/{slug}", "patch"),
    ("/links", "post"),
    ("/keys", "post"),
    ("/deliveries/resend", "post"),
}


LISTED = ("/deliveries", "get")


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    answer = await api.client.get("/api/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path.removeprefix("/api/v1"), method, operation)
        for path, methods in document["paths"].items()
        if path.startswith("/api/v1")
        for method, operation in methods.items()
        if method in {"get", "post", "patch", "delete"}
    ]


async def test_every_operation_says_its_key_and_its_errors(document: dict[str, Any]) -> None:
    assert len(operations(document)) == 18
    for path, method, operation in operations(document):
        assert operation["summary"]
        assert all(set(needed) == {"bearer"} for needed in operation["security"])
        statuses = set(operation["responses"])
        assert statuses >= {"401", "403", "503"}
        assert ("requestBody" in operation) == ((path, method) in BODIES)
        if (path, method) in BODIES:
            assert statuses >= {"400", "413", "422"}
        if "{" in path:
            assert "404" in statuses
        for status, response in operation["responses"].items():
            if status.startswith("4"):
                assert set(response["content"]) == {"application/problem+json"}
    assert COMPONENTS.security_schemes
    assert set(COMPONENTS.security_schemes) == {"bearer"}
    assert "bearer" in document["components"]["securitySchemes"]


async def test_bodies_are_described_as_they_are_validated(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    campaign = schemas["NewCampaign"]
    assert set(campaign["required"]) == {"slug", "name", "destination"}
    assert campaign["additionalProperties"] is False
    assert campaign["properties"]["policy"]["enum"] == ["adaptive", "confirm", "direct"]
    assert campaign["properties"]["session_minutes"]["minimum"] == 30
    goals = {
        goal["properties"]["kind"]["const"]: goal
        for goal in campaign["properties"]["destination"]["oneOf"]
    }
    assert list(goals) == [kind.name for kind in KINDS]
    items = goals["checkout"]["properties"]["line_items"]
    assert items["items"]["properties"]["quantity"]["default"] == 1
    assert items["maxItems"] == 100

    schema = patch_schema(document)
    assert "required" not in schema
    assert "slug" not in schema["properties"]


LINE = {"price": "price_1"}
CHECKOUT = {"mode": "payment", "line_items": [LINE]}
URL = {"kind": "url", "url": "https://a.example/"}


#: What is said of a campaign, some of it refused.
SAID: list[dict[str, Any]] = [
    {"max_payments": 3},
    {"max_payments": "unlimited", "completed_url": "https://a.example/done"},
    {"max_payments": None, "reminder": None, "completed_url": None},
    {"max_payments": 0},
    {"max_payments": "many"},
    {"reminder": {}},
    {"reminder": {"after_minutes": 5, "subject": "Still there", "language": "ja"}},
    {"reminder": {"language": "tlh"}},
    {"public": True, "public_prices": ["price_1"]},
    {"destination": None},
    {"destination": {**CHECKOUT, "kind": "checkout", "trial_days": 0}},
    {"destination": {**CHECKOUT, "existing_customer": "page", "recovery": True}},
    {"destination": {**CHECKOUT, "return_url": "https://a.example/"}},
    {"destination": {"kind": "portal", "flow_data": {"type": "payment_method_update"}}},
    {"destination": {"kind": "portal", "flow_data": {"type": "coffee"}}},
    {"destination": {"kind": "portal", "line_items": [LINE]}},
    {"destination": {**URL, "proof": True, "params": {"a": "b"}}},
    {"destination": {**URL, "proof_seconds": 30}},
    {"destination": {"url": "https://a.example/"}},
    {"destination": {"url": "https://a.example/", "proof": True}},
    {"destination": {"return_url": "https://a.example/"}},
    {"destination": {"kind": "url"}},
    {"destination": {**URL, "kind": "callback", "timeout_seconds": 8}},
    {"destination": {**URL, "kind": "pigeon"}},
]
#: Where a campaign leads, and what is then said otherwise, some of it refused.
SAID_LATER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (CHECKOUT, {"destination": {"cancel_url": None, "trial_days": None}}),
    (CHECKOUT, {"destination": {"params": {"billing_address_collection": None}}}),
    (CHECKOUT, {"destination": {"line_items": [{"price": "price_1", "quantity": 0}]}}),
    (CHECKOUT, {"destination": URL}),
    (CHECKOUT, {"max_payments": None, "reminder": {"text": None}, "link_days": None}),
    (CHECKOUT, {"reminder": {"language": "tlh"}}),
    (CHECKOUT, {"name": None}),
    (CHECKOUT, {"slug": "other"}),
    (URL, {"destination": {"proof": True}}),
    (URL, {"destination": {"params": {"a": None, "b": "c"}}}),
    (URL, {"destination": {"url": None}}),
    (URL, {"destination": {"url": 5}}),
    (URL, {"destination": {**CHECKOUT, "kind": None}}),
    ({**URL, "kind": "callback"}, {"destination": {"timeout_seconds": 2}}),
    ({**URL, "kind": "callback"}, {"destination": {"timeout_seconds": 20}}),
    ({"kind": "portal"}, {"destination": {"flow_data": {"type": "payment_method_update"}}}),
]


async def test_a_campaign_is_described_as_it_is_taken(api: Api, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    taken = set()
    for number, changes in enumerate(SAID):
        body = {**CAMPAIGN, **changes, "slug": f"c-{number}"}
        answer = await api.post("/campaigns", body)
        assert answer.status_code in {201, 422}
        assert (answer.status_code == 201) == fits(schemas["NewCampaign"], body), changes
        if answer.status_code == 201:
            assert fits(schemas["ShownCampaign"], answer.json()), changes
        taken.add(answer.status_code)
    assert taken == {201, 422}


async def test_a_patch_is_described_as_it_is_taken(api: Api, document: dict[str, Any]) -> None:
    schema = patch_schema(document)
    taken = set()
    for number, (goal, changes) in enumerate(SAID_LATER):
        await api.campaign(destination=goal, slug=f"c-{number}")
        answer = await api.patch(f"/campaigns/c-{number}", changes)
        assert answer.status_code in {200, 422}
        assert (answer.status_code == 200) == fits(schema, changes), changes
        taken.add(answer.status_code)
    assert taken == {200, 422}


def patch_schema(document: dict[str, Any]) -> dict[str, Any]:
    body = document["paths"]["/api/v1/campaigns/{slug}"]["patch"]["requestBody"]
    schema: dict[str, Any] = body["content"]["application/json"]["schema"]
    return schema


_TYPES: dict[str, Any] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "string": str,
}
_CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "type": lambda kind, value: (
        isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    ),
    "const": lambda only, value: value == only,
    "enum": lambda known, value: value in known,
    "minimum": lambda least, value: not _number(value) or value >= least,
    "maximum": lambda most, value: not _number(value) or value <= most,
    "minLength": lambda least, value: not isinstance(value, str) or len(value) >= least,
    "maxLength": lambda most, value: not isinstance(value, str) or len(value) <= most,
    "maxItems": lambda most, value: not isinstance(value, list) or len(value) <= most,
    "maxProperties": lambda most, value: not isinstance(value, dict) or len(value) <= most,
    "pattern": lambda shape, value: not isinstance(value, str) or bool(re.search(shape, value)),
    "required": lambda names, value: not isinstance(value, dict) or set(names) <= set(value),
    "items": lambda one, value: not isinstance(value, list) or all(fits(one, v) for v in value),
    "anyOf": lambda ways, value: any(fits(way, value) for way in ways),
    "oneOf": lambda ways, value: sum(fits(way, value) for way in ways) == 1,
    "propertyNames": lambda one, value: (
        not isinstance(value, dict) or all(fits(one, n) for n in value)
    ),
}
_WORDS = {"title", "description", "default", "format", "properties", "additionalProperties"}


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value fits a JSON schema, all of whose words have to be known here."""
    assert set(schema) <= {*_CHECKS, *_WORDS}, schema
    if not all(check(schema[word], value) for word, check in _CHECKS.items() if word in schema):
        return False
    if not isinstance(value, dict):
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if isinstance(others, bool):
        others = {} if others else {"enum": []}
    return all(fits(known.get(name, others), inner) for name, inner in value.items())


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def test_answers_have_the_fields_that_are_described(
    api: Api, document: dict[str, Any]
) -> None:
    schemas = document["components"]["schemas"]
    made = await api.campaign()
    link = await api.link()
    await api.scan(link["url"])
    picture = (await api.get(f"/links/{link['id']}")).json()
    key = (await api.post("/keys", {"name": "x", "scopes": ["admin"]})).json()
    wrong = (await api.post("/campaigns", {**CAMPAIGN, "slug": "A"})).json()
    visit = schemas["Picture"]["properties"]["visits"]["items"]
    for answer, schema in [
        (made, schemas["ShownCampaign"]),
        (link, schemas["Issued"]),
        (picture, schemas["Picture"]),
        (picture["visits"][0], visit),
        (picture["visits"][0]["evidence"][0], visit["properties"]["evidence"]["items"]),
        (key, schemas["CreatedKey"]),
        (
            (await api.get("/keys")).json()["keys"][0],
            schemas["KeyList"]["properties"]["keys"]["items"],
        ),
        ((await api.get("/stats?campaign=spring")).json(), schemas["Stats"]),
        (wrong, schemas["ProblemDetails"]),
    ]:
        assert set(answer) == set(schema["properties"])


async def test_the_parameters_of_deliveries_say_what_they_take(
    api: Api, document: dict[str, Any]
) -> None:
    [listed] = [op for path, method, op in operations(document) if (path, method) == LISTED]
    parameters = {each["name"]: each for each in listed["parameters"]}
    assert set(parameters) == {"state", "endpoint", "cursor", "limit"}
    assert all(each["description"] for each in parameters.values())
    state, limit = parameters["state"]["schema"], parameters["limit"]["schema"]
    assert (set(state["enum"]), state["default"]) == ({"parked", "waiting"}, "parked")
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 100, 100)
    for query, status in {
        **{f"state={word}": 200 for word in state["enum"]},
        **{"limit=1": 200, "limit=100": 200, "limit=0": 422, "limit=101": 422, "state=x": 422},
    }.items():
        assert (await api.get(f"/deliveries?{query}")).status_code == status


async def test_nothing_in_the_document_refers_to_nothing(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            found = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return found + [r for inner in node.values() for r in references(inner)]
        if isinstance(node, list):
            return [r for inner in node for r in references(inner)]
        return []

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known
    assert references(document)


DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "api.md").read_text()


async def test_the_reference_names_every_route_scope_and_status(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        row = f"| `{method.upper()} /api/v1{path}` | "
        assert row in REFERENCE
        scopes = {scope for needed in operation["security"] for scope in needed["bearer"]}
        named = REFERENCE.partition(row)[2].partition(" |")[0]
        assert set(named.replace("`", "").split(" or ")) == (scopes or {"any"})
        errors = REFERENCE.partition("## Errors")[2]
        assert all(status in errors for status in operation["responses"] if status >= "4")


#: Bodies and answers, each with the pages that describe what is further down in it.
DESCRIBED: dict[str, list[str]] = {
    "NewCampaign": ["destinations", "reminders"],
    "ShownCampaign": ["destinations", "reminders"],
    "CampaignSecrets": [],
    "NewLink": [],
    "Issued": [],
    "Picture": [],
    "NewKey": [],
    "CreatedKey": [],
    "Stats": [],
    "Delivery": [],
    "DeliveryPage": [],
    "ResendOrder": [],
    "Resent": [],
}
#: What Stripe's own reference describes.
STRIPES = {"flow_data", "price_data"}


async def test_the_reference_names_every_field_and_every_word(document: dict[str, Any]) -> None:
    def names(schema: dict[str, Any]) -> set[str]:
        properties = schema.get("properties", {})
        below = [inner for name, inner in properties.items() if name not in STRIPES]
        below += [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        below += [schema["items"]] if "items" in schema else []
        words = {word for word in schema.get("enum", ()) if isinstance(word, str)}
        return words.union(properties, *map(names, below))

    def unnamed(fields: Iterable[str], text: str) -> set[str]:
        return {field for field in fields if not re.search(rf'[`"=]{field}[`"]', text)}

    for name, pages in DESCRIBED.items():
        schema = document["components"]["schemas"][name]
        assert schema["properties"]
        assert not unnamed(schema["properties"], REFERENCE), name
        assert all(f"({page}.md)" in REFERENCE for page in pages)
        text = REFERENCE + "".join((DOCS / f"{page}.md").read_text() for page in pages)
        assert not unnamed(names(schema), text), name


def test_the_reference_names_every_counter() -> None:
    source = "".join(path.read_text() for path in (DOCS.parent / "linkgate").rglob("*.py"))
    groups = "sessions|minting|reminders|drift|verdicts"
    counted = set(re.findall(rf"[\"']((?:{groups})\.[a-z_]+)[\"']", source))
    counted |= {f"sessions.{state}" for state in SessionState if state is not SessionState.OPEN}
    counted |= {f"decisions.{action}" for action in Action}
    assert counted >= {"minting.busy", "sessions.taken_back", "drift.events", "verdicts.changed"}
    assert not {name for name in counted if f"`{name}`" not in REFERENCE}


async def test_what_the_pages_show_by_curl_is_taken(api: Api) -> None:
    """The pages one after the other, as somebody follows them who begins with the API."""
    sent = []
    for page in (
        DOCS / "api.md",
        DOCS / "reminders.md",
        DOCS / "public.md",
        DOCS.parent / "README.md",
    ):
        for words in curls(page.read_text()):
            body = words[words.index("-d") + 1] if "-d" in words else None
            method = words[words.index("-X") + 1] if "-X" in words else "POST" if body else "GET"
            path = next(word for word in words if word.startswith(HOST)).removeprefix(HOST)
            if "..." not in path:
                answer = await api.send(method, path, content=body)
                assert answer.status_code in {200, 201}, (page.name, words, answer.text)
                sent.append((method, path))
    assert set(sent) == {
        ("POST", "/campaigns"),
        ("PATCH", "/campaigns/spring"),
        ("POST", "/links"),
    }


HOST = "https://go.example.com/api/v1"


def curls(text: str) -> list[list[str]]:
    """The curl commands in a page's blocks, as words, if they ask the API."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S)
    commands = [found for block in blocks for found in re.split(r"(?m)^ *(?=curl )", block)]
    split = [shlex.split(command) for command in commands if command.startswith("curl ")]
    return [words for words in split if any(word.startswith(HOST) for word in words)]
