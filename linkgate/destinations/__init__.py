"""Where campaigns lead. A destination is one module and one line in KINDS.

The module holds the destination's settings and the way there (see `base`); the line makes it known
to campaigns, to the API's documents and to the gateway.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, Union

from pydantic import Discriminator, Tag

from linkgate.destinations import callback, checkout, portal, url
from linkgate.destinations.base import DestinationSettings, InTurn, Kind, Means, PerVisit

__all__ = ["KINDS", "Destination", "DestinationSettings", "InTurn", "Means", "PerVisit", "registry"]

KINDS: Final[tuple[Kind, ...]] = (checkout.KIND, portal.KIND, url.KIND, callback.KIND)

#: What a destination is taken for that doesn't say its kind.
DEFAULT_KIND: Final = checkout.KIND.name


def _kind_of(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return getattr(value, "kind", DEFAULT_KIND)
    if "kind" not in value:
        return None if _is_another(value) else DEFAULT_KIND
    kind = value["kind"]
    return kind if isinstance(kind, str) else None


def _is_another(value: Mapping[str, Any]) -> bool:
    """Say whether a destination without its kind has a field that only other kinds have."""
    own = checkout.KIND.settings.model_fields
    known = {name for kind in KINDS for name in kind.settings.model_fields}
    return any(name in known and name not in own for name in value)


if TYPE_CHECKING:
    Destination: TypeAlias = DestinationSettings
else:
    Destination = Annotated[
        Union[tuple(Annotated[kind.settings, Tag(kind.name)] for kind in KINDS)],  # noqa: UP007
        Discriminator(
            _kind_of,
            custom_error_type="destination_kind",
            custom_error_message="kind must be one of " + ", ".join(kind.name for kind in KINDS),
        ),
    ]


def registry(means: Means) -> dict[str, InTurn | PerVisit]:
    """Return the destinations by their `kind`."""
    return {kind.name: kind.build(means) for kind in KINDS}
