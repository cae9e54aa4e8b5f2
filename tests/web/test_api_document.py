"""The OpenAPI document: it has to say what the API does."""

from pathlib import Path
from typing import Any

import pytest

from linkgate.web.api.documents import COMPONENTS
from tests.web.conftest import CAMPAIGN, Api

BODIES = {
    ("/campaigns", "post"),
    ("/campaigns/{slug}", "patch"),
    ("/links", "post"),
    ("/keys", "post"),
    ("/deliveries/resend", "post"),
}


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
    assert len(operations(document)) == 17
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
    items = campaign["properties"]["destination"]["properties"]["line_items"]
    assert items["items"]["properties"]["quantity"]["default"] == 1
    assert items["maxItems"] == 100

    patch = document["paths"]["/api/v1/campaigns/{slug}"]["patch"]["requestBody"]
    schema = patch["content"]["application/json"]["schema"]
    assert "required" not in schema
    assert "slug" not in schema["properties"]


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


REFERENCE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


async def test_the_reference_names_every_route_scope_and_status(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        row = f"| `{method.upper()} /api/v1{path}` | "
        assert row in REFERENCE
        scopes = {scope for needed in operation["security"] for scope in needed["bearer"]}
        named = REFERENCE.partition(row)[2].partition(" |")[0]
        assert set(named.replace("`", "").split(" or ")) == (scopes or {"any"})
        errors = REFERENCE.partition("## Errors")[2]
        assert all(status in errors for status in operation["responses"] if status >= "4")


@pytest.mark.parametrize("name", ["NewCampaign", "NewLink", "Issued", "Picture", "NewKey"])
async def test_the_reference_names_every_field(document: dict[str, Any], name: str) -> None:
    def names(schema: dict[str, Any]) -> set[str]:
        properties = schema.get("properties", {})
        below = [*properties.values(), *([schema["items"]] if "items" in schema else [])]
        return set(properties).union(*map(names, below))

    found = names(document["components"]["schemas"][name])
    assert found
    assert not {field for field in found if f"`{field}`" not in REFERENCE}
