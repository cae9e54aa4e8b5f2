"""How bodies and answers are carried and described: JSON, and OpenAPI's schemas of it.

Litestar would describe a model by its own reading of the annotations, and misses constraints,
defaults and closed objects; pydantic, which validates the bodies, knows best what it takes. So the
schemas come from there.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Components, Reference, Schema, SecurityScheme
from litestar.typing import FieldDefinition
from pydantic import TypeAdapter

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
    """The same for a JSON merge patch (RFC 7396) of a `T`: nothing in it is required."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """Describe the patch by the model that the merged result is validated with."""
        whole = describe(cls.model_type, answer=False)
        return replace(whole, required=None, title=f"Changes to {whole.title}")


def describe(kind: type[Any], *, answer: bool) -> Schema:
    """Return the JSON schema of a model or dataclass, with what it refers to put in place."""
    mode: Any = "serialization" if answer else "validation"
    whole = TypeAdapter(kind).json_schema(mode=mode)
    return _schema(whole, whole.get("$defs", {}))


def _schema(node: Mapping[str, Any], known: Mapping[str, Any]) -> Schema:
    if "$ref" in node:
        meant = known[node["$ref"].rpartition("/")[2]]
        return _schema({**meant, **{k: v for k, v in node.items() if k != "$ref"}}, known)
    names = Schema.field_aliases()
    left_out = {"$defs", "discriminator"}
    if "properties" not in node:
        # What pydantic makes of a field's name ("Sent At") tells nothing that the name doesn't.
        left_out.add("title")
    return Schema(
        **{
            names.get(key, key): _inner(key, value, known)
            for key, value in node.items()
            if key not in left_out
        }
    )


def _inner(key: str, value: Any, known: Mapping[str, Any]) -> Any:
    match key, value:
        case "properties", _:
            return {name: _schema(inner, known) for name, inner in value.items()}
        case "anyOf" | "oneOf" | "allOf" | "prefixItems", _:
            return [_schema(inner, known) for inner in value]
        case "items" | "additionalProperties" | "propertyNames", dict():
            return _schema(value, known)
        case _:
            return value


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
    503: "The store does not answer; nothing was changed. Retry-After says when to try again.",
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
