"""What parameters an endpoint takes, read from stripe-python's own type definitions.

The library declares every request as a TypedDict. Taking the shapes from there means that the
sandbox refuses what the installed version of the library doesn't know, and that nothing has to be
kept by hand when the library moves on.

The library writes closed enumerations as `Literal[...] | str`, so that an old client survives a
new word. Stripe refuses an unknown word, and so does the sandbox.
"""

import functools
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import (
    Any,
    Literal,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from stripe import RequestOptions
from stripe._stripe_object import UntypedStripeObject


@dataclass(frozen=True, slots=True)
class Text:
    pass


@dataclass(frozen=True, slots=True)
class Whole:
    pass


@dataclass(frozen=True, slots=True)
class Flag:
    pass


@dataclass(frozen=True, slots=True)
class Number:
    pass


@dataclass(frozen=True, slots=True)
class Choice:
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Array:
    item: "Shape"


@dataclass(frozen=True, slots=True)
class Table:
    """Any keys, one shape of value: metadata, amounts by currency."""

    value: "Shape"


@dataclass(frozen=True, slots=True)
class Record:
    """Known keys; resolved when first needed, since Stripe's nest by the hundred."""

    declared: Any


@dataclass(frozen=True, slots=True)
class OneOf:
    options: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Clearable:
    """May be given as an empty string, which unsets it."""

    shape: "Shape"


Shape: TypeAlias = (
    Text | Whole | Flag | Number | Choice | Array | Table | Record | OneOf | Clearable
)


@dataclass(frozen=True, slots=True)
class Fields:
    shapes: Mapping[str, Shape]
    required: frozenset[str]


@functools.cache
def fields_of(declared: Any) -> Fields:
    """The parameters of one TypedDict; the library's own request options are not parameters."""
    options = RequestOptions.__annotations__.keys()
    annotations: dict[str, Any] = dict(declared.__annotations__)
    if options <= annotations.keys():
        annotations = {key: hint for key, hint in annotations.items() if key not in options}
    holder = type("Holder", (), {"__annotations__": annotations})
    scope = vars(sys.modules[declared.__module__])
    hints = get_type_hints(holder, globalns=scope, include_extras=True)
    return Fields(
        shapes={key: shape_of(hint) for key, hint in hints.items()},
        required=frozenset(declared.__required_keys__),
    )


_SCALARS: dict[Any, Shape] = {
    str: Text(),
    int: Whole(),
    bool: Flag(),
    float: Number(),
    Decimal: Number(),
}


def shape_of(hint: Any) -> Shape:
    """Translate one type hint; raises TypeError for one that no request of Stripe's uses."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin in (NotRequired, Required):
        return shape_of(arguments[0])
    if origin in (Union, types.UnionType, Literal):
        return _union((hint,) if origin is Literal else arguments)
    if origin is list:
        return Array(shape_of(arguments[0]))
    if origin in (dict, UntypedStripeObject):
        return Table(shape_of(arguments[-1]))
    # `is_typeddict` of typing doesn't know the TypedDict of typing_extensions.
    if hasattr(hint, "__required_keys__"):
        return Record(hint)
    raise TypeError(f"the sandbox has no shape for {hint!r}")


def _union(hints: tuple[Any, ...]) -> Shape:
    words = [word for hint in hints if get_origin(hint) is Literal for word in get_args(hint)]
    others = [hint for hint in hints if get_origin(hint) is not Literal and hint is not type(None)]
    if any(words) and str in others:
        others.remove(str)
    shapes: list[Shape] = [Choice(tuple(word for word in words if word))] if any(words) else []
    for shape in map(shape_of, others):
        if shape not in shapes:
            shapes.append(shape)
    found = shapes[0] if len(shapes) == 1 else OneOf(tuple(shapes))
    return Clearable(found) if "" in words else found
