"""Puts what is wrong into words: the setting's name, what is wrong with it, and the mend."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from linkgate.config.fields import About, Table, about, inner_table
from linkgate.config.sections import SECTIONS
from linkgate.errors import Problem

VARIABLE_PREFIX = "LINKGATE_"

Path = tuple[int | str, ...]

# Pydantic's kinds of error. Its own messages aren't used, because some quote the value.
_MESSAGES = {
    "missing": "is missing; {missing}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number, and a much smaller one",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "tuple_type": "must be a list{like}",
    "string_type": "must be text in quotes{like}",
    "path_type": "must be text in quotes{like}",
}


# The same where the setting holds a table, or a list of tables.
_TABLE_MESSAGES = {
    "model_type": "must be a table, with its settings below {heading}",
    "tuple_type": "must be a list of tables, each below {heading}",
}


def explain(
    detail: ErrorDetails, origins: Mapping[str, str], values: Mapping[str, Mapping[str, Any]]
) -> Problem:
    """One of pydantic's findings in our words; `origins` tells which variable a setting is from,
    `values` what was given.
    """
    path = detail["loc"]
    message = _message(detail)
    if called := _called(path, values):
        message += f' (in "{called}")'
    origin = origins.get(".".join(map(str, path[:2])))
    if origin:
        message += f" (set by {origin})"
    return Problem(".".join(map(str, path)), message)


def _message(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    table, info = _place(detail["loc"])
    if kind == "extra_forbidden":
        near = _nearest(str(detail["loc"][-1]), table.model_fields)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(table.model_fields)}"
        return f"there is no such setting; {hint}"
    told = about(info) if info else About("value")
    if info and kind in _TABLE_MESSAGES and inner_table(info):
        return _TABLE_MESSAGES[kind].format(heading=told.heading)
    template = _MESSAGES.get(kind, "must be: {kind}{like}")
    like = f", like {told.example}" if told.example else ""
    return template.format(**{"missing": told.missing, "kind": told.kind, "like": like, **context})


def _place(path: Path) -> tuple[type[Table], FieldInfo | None]:
    """The innermost table on the way to a setting, and the setting; None if it isn't one."""
    table: type[Table] = SECTIONS[str(path[0])]
    info: FieldInfo | None = None
    for step in path[1:]:
        if isinstance(step, int):
            continue
        table = (inner_table(info) if info else None) or table
        info = table.model_fields.get(step)
    return table, info


def _called(path: Path, values: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of the table in a list that a path leads into: nobody counts tables."""
    value: Any = values
    name: Any = None
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            break
        if isinstance(step, int) and isinstance(value, Mapping):
            name = value.get("name")
    return name if isinstance(name, str) and name.isprintable() and len(name) <= 80 else ""


def variable(section: str, key: str, *, from_file: bool = False) -> str:
    """The environment variable for a setting, or for the file that holds its value."""
    return f"{VARIABLE_PREFIX}{section}__{key}{'_file' if from_file else ''}".upper()


def misplaced(key: str) -> str:
    """What to say of something outside of every section, or of a section that isn't one."""
    if key in SECTIONS:
        return f"must be a section: write [{key}] on a line of its own and its settings below"
    homes = [section for section, model in SECTIONS.items() if key in model.model_fields]
    if homes:
        return f"stands outside of a section; move it below [{homes[0]}]"
    return f"is not a setting; the sections are {', '.join(SECTIONS)}"


def unknown_section(section: str) -> str:
    """What to say of a section that linkgate doesn't have."""
    near = _nearest(section, SECTIONS)
    hint = f"did you mean [{near}]?" if near else f"the sections are {', '.join(SECTIONS)}"
    return f"there is no such section; {hint}"


def unknown_setting(section: str, key: str) -> str:
    """What to say of a key that its section doesn't have."""
    near = _closest(section, key)
    hint = f"did you mean {'.'.join(near)}?" if near else _known(section)
    return f"there is no such setting; {hint}"


def unknown_variable(section: str, key: str, *, from_file: bool) -> str:
    """What to say of a variable with our prefix that names no setting."""
    near = _closest(section, key)
    hint = f"did you mean {variable(*near, from_file=from_file)}?" if near else _known(section)
    return f"there is no such setting; {hint}"


def _known(section: str) -> str:
    if section in SECTIONS:
        return f"[{section}] has {', '.join(SECTIONS[section].model_fields)}"
    return f"the sections are {', '.join(SECTIONS)}"


def _nearest(word: str, choices: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)), None)


def _closest(section: str, key: str) -> tuple[str, str] | None:
    """The setting that was probably meant: one like it, or the same key of another section."""
    home = section if section in SECTIONS else _nearest(section, SECTIONS)
    near = _nearest(key, SECTIONS[home].model_fields) if home else None
    if home and near:
        return home, near
    return next(
        ((name, key) for name, model in SECTIONS.items() if key in model.model_fields), None
    )
