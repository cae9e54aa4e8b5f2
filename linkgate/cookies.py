"""Cookies that a browser sent. Pure."""

#: A browser has one or two of a name; more in a header are somebody's attempt to keep us verifying.
MOST = 4


def values(header: str, name: str, most: int = MOST) -> list[str]:
    """Return what a Cookie header gives for a name, so many values of it at most."""
    named = (part.strip().partition("=") for part in header.split(";"))
    return [value for each, _, value in named if each == name][:most]
