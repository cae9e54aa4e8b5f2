"""What sections are made of: their base, common types, and what people are told of a setting."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from linkgate.config import checks


@dataclass(frozen=True, slots=True)
class About:
    """What people are told of a setting beside its description.

    `kind` is its type in words, `example` a TOML value, `missing` the mend where it is required.
    For a table within a section, `example` is the whole of it, heading included.
    """

    kind: str
    example: str = ""
    missing: str = ""

    @property
    def heading(self) -> str:
        """The heading that such a table stands under."""
        return self.example.partition("\n")[0]


Whole = Annotated[int, BeforeValidator(checks.number)]
Seconds = Annotated[float, BeforeValidator(checks.number), About("seconds")]
Days = Annotated[Whole, About("days")]


class Table(BaseModel):
    """What all tables share: they don't change, and know no settings but their own."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        # Without it, pydantic's own messages quote what was given, secrets included.
        hide_input_in_errors=True,
    )


class Section(Table):
    """A table that stands by itself; its values take part in the cross-checks."""

    @field_validator("*")
    @classmethod
    def _keep_for_cross_checks(cls, value: Any, info: ValidationInfo) -> Any:
        # Values that are valid take part in the cross-checks even where a neighbour is not.
        if info.context is not None:
            info.context[f"{cls.__name__.lower()}.{info.field_name}"] = value
        return value


def about(info: FieldInfo) -> About:
    """What people are told of a setting."""
    return next((note for note in info.metadata if isinstance(note, About)), About("value"))


def inner_table(info: FieldInfo) -> type[Table] | None:
    """The table that a setting holds, or holds a list of; None for a plain setting."""
    return next(_tables(info.annotation), None)


def _tables(annotation: Any) -> Iterator[type[Table]]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        yield annotation
    for inner in get_args(annotation):
        yield from _tables(inner)
