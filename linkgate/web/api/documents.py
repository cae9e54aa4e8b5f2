"""How bodies and answers are carried and described: JSON, and OpenAPI's schemas of it.

Litestar would describe a model by its own reading of the annotations, and misses constraints,
defaults and closed objects; pydantic, which validates the bodies, knows best what it takes. So the
schemas come from there.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Components, Reference, Schema, SecurityScheme
from litestar.typing import FieldDefinition
from pydantic import TypeAdapter

from linkgate.destinations import DEFAULT_KIND
from linkgate.web.api.body import JsonObject, read_object

T = TypeVar("T")


class Json(AbstractDTO[T]):
    """Carries `T`: a handler's `data` is a plain object still to be validated, an answer is a T."""

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Prepare nothing: there is no transfer model in between."""

    def decode_bytes(self, value: bytes) -> JsonObject:
        """Return the body as plain values; raises what read_object raises."""
        return read_object(value)

    def data_to_encodable_type(self, data: Any) -> Any:
        """Return an answer as it is: Litestar encodes models and dataclasses itself."""
        return data

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """Describe `T`, once for the whole document."""
        registry = schema_creator.schema_registry
        field = FieldDefinition.from_annotation(cls.model_type)
        reference: Reference | None = registry.get_reference_for_field_definition(field)
        if reference is None:
            component = registry.get_schema_for_field_definition(field)
            described = describe(cls.model_type, answer=field_definition.name != "data")
            for name in Schema.__dataclass_fields__:
                setattr(component, name, getattr(described, name))
            reference = registry.get_reference_for_field_definition(field)
        assert reference
        return reference

    @classmethod
    def is_supported_model_type_field(cls, field_definition: FieldDefinition) -> bool:
        """Take whatever a handler is annotated with."""
        return True

    @classmethod
    def generate_field_definitions(
        cls, model_type: type[Any]
    ) -> Generator[DTOFieldDefinition, None, None]:
        """Transfer no single fields."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Look into no fields."""
        return False


class MergePatch(Json[T]):
    """The same for a JSON merge patch (RFC 7396) of a `T`.

    Nothing in it is required, and null takes back what can be left out.
    """

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """Describe the patch by the model that the merged result is validated with."""
        whole = _whole(cls.model_type, answer=False)
        return _schema({**_patch(whole), "title": f"Changes to {whole['title']}"})


def describe(kind: type[Any], *, answer: bool) -> Schema:
    """Return the JSON schema of a model or dataclass, with what it refers to put in place."""
    return _schema(_whole(kind, answer=answer))


Node = Mapping[str, Any]

_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "propertyNames")


def _whole(kind: type[Any], *, answer: bool) -> Node:
    mode: Any = "serialization" if answer else "validation"
    node = TypeAdapter(kind).json_schema(mode=mode)
    return _put_in_place(node, node.get("$defs", {}))


def _put_in_place(node: Node, known: Mapping[str, Any]) -> Node:
    if "$ref" in node:
        meant = known[node["$ref"].rpartition("/")[2]]
        return _put_in_place({**meant, **{k: v for k, v in node.items() if k != "$ref"}}, known)
    left_out = {"$defs", "discriminator"}
    if "properties" not in node:
        # What pydantic makes of a field's name ("Sent At") tells nothing that the name doesn't.
        left_out.add("title")
    kept = {key: value for key, value in node.items() if key not in left_out}
    placed = _each_below(kept, lambda below: _put_in_place(below, known))
    if "oneOf" in placed:
        placed = {**placed, "oneOf": [_told_apart(one) for one in placed["oneOf"]]}
    return placed


def _each_below(node: Node, change: Callable[[Node], Any]) -> dict[str, Any]:
    """Return `node` with the schemas directly below it changed."""
    below = dict(node)
    for key, value in node.items():
        if key == "properties":
            below[key] = {name: change(inner) for name, inner in value.items()}
        elif key in _LISTS:
            below[key] = [change(inner) for inner in value]
        elif key in _SINGLE and isinstance(value, dict):
            below[key] = change(value)
    return below


def _told_apart(node: Node) -> Node:
    """Require the `kind` of a destination, but of the one that is meant without."""
    kind = node.get("properties", {}).get("kind", {}).get("const", DEFAULT_KIND)
    if kind == DEFAULT_KIND:
        return node
    return {**node, "required": ["kind", *node.get("required", ())]}


def _patch(node: Node) -> Node:
    """Return the schema of a merge patch: of objects, a part; of lists, which replace, the whole.

    What is left out of a patch stays as it is, so there are no defaults.
    """
    needed = node.get("required", ())
    loose = {key: value for key, value in node.items() if key not in ("required", "default")}
    # A part of one kind of destination may be one of another kind, too.
    if "oneOf" in loose:
        loose["anyOf"] = loose.pop("oneOf")
    for key in _LISTS:
        if key in loose:
            loose[key] = [_patch(inner) for inner in loose[key]]
    if "properties" in loose:
        loose["properties"] = {
            name: _patch(inner) if name in needed and name != "kind" else _or_null(_patch(inner))
            for name, inner in loose["properties"].items()
        }
    if isinstance(loose.get("additionalProperties"), dict):
        loose["additionalProperties"] = _or_null(_patch(loose["additionalProperties"]))
    return loose


def _or_null(node: Node) -> Node:
    null = {"type": "null"}
    if null in node.get("anyOf", ()):
        return node
    said = {key: node[key] for key in ("description",) if key in node}
    inner = {key: value for key, value in node.items() if key not in said}
    return {**said, "anyOf": [inner, null]}


def _schema(node: Node) -> Schema:
    names = Schema.field_aliases()
    below = _each_below(node, _schema)
    return Schema(**{names.get(key, key): value for key, value in below.items()})


@dataclass(frozen=True, slots=True)
class WrongField:
    """One wrong value: its path, as in destination.line_items.0.price, and the mend."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """An error, as in RFC 9457. `errors` comes with 422 and names every wrong field."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[WrongField] | None = None


_WORDS = {
    400: "The request can't be read. For a body that is no JSON, `detail` names the place.",
    401: "No API key, or one that is not known; WWW-Authenticate says which.",
    403: "The API key lacks the scope that `detail` names.",
    404: "There is no such thing.",
    409: "It exists already, has ended, or was changed by someone else in between.",
    413: "The body is larger than server.max_body_bytes.",
    422: "Some fields can't be accepted; `errors` names every one.",
    503: "The store does not answer, so it may or may not have been done: look before you repeat "
    "it. Retry-After says when.",
}

#: What a route can answer with if it takes a body.
BODY = (413, 422)


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe the errors of a route: these, and those that every route can answer with."""
    return {
        status: ResponseSpec(
            ProblemDetails,
            description=_WORDS[status],
            media_type="application/problem+json",
            generate_examples=False,
        )
        for status in sorted({400, 401, 403, 503, *statuses})
    }


#: For the application's document: what the routes' `security` refers to.
COMPONENTS = Components(
    security_schemes={
        "bearer": SecurityScheme(
            type="http",
            scheme="bearer",
            bearer_format="lg_...",
            description="An API key, made by `linkgate keys create` or POST /api/v1/keys. "
            "A key with the scope `admin` may do everything.",
        )
    }
)
