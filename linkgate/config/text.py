"""The configuration in writing: the reference, the example and a new file, from the sections."""

import json
import os
import secrets
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from linkgate.config.fields import Table, about, inner_table
from linkgate.config.loading import parse
from linkgate.config.sections import SECTIONS
from linkgate.errors import ConfigError, Problem

TomlValue = str | int | float | bool | Sequence[str]
EXAMPLE_URL = "https://go.example.com"

_INTRODUCTION = """\
# Configuration

linkgate reads, each overriding the one before:

1. a TOML file: the one named by `--config` or by `LINKGATE_CONFIG`, or else `linkgate.toml` in the
   working folder, if there is one. `linkgate init` writes it.
2. environment variables named `LINKGATE_SECTION__KEY`, with two underscores between section and
   key: `LINKGATE_SERVER__PORT=8000` is `port` in `[server]`. A list is JSON (`["a", "b"]`) or
   parted by commas: `a,b`. An empty variable counts as unset.
3. environment variables named `LINKGATE_SECTION__KEY_FILE`, which name a file that holds the value.
   That is how to hand over secrets: `LINKGATE_STRIPE__API_KEY_FILE=/run/secrets/stripe_key`. The
   line ends at the file's end are ignored; a list may stand on several lines. Setting both
   `..._KEY` and `..._KEY_FILE` is an error.

Relative paths in the file are relative to the file; in the environment, to the working folder.

A table within a section (`[[detection.rules]]`, `[detection.shadow]`) is JSON in the environment:
`LINKGATE_DETECTION__SHADOW={"burst_links": 2}`; a list of them is a list of such objects.

All problems are reported at once, each with the setting's name and the mend. Unknown settings are
problems too, so that a misspelt name never goes unnoticed. `linkgate doctor` checks what can only
be seen by trying: the store, the Stripe key, the webhook endpoint and the proxy.

This page is printed by `python -m linkgate.config`, and a test keeps the two alike.
"""

_HEADER = """\
# linkgate's configuration. A line like "#port = 8080" shows the default, or an example where there
# is none; remove the # to set it. Every setting can also come from the environment: api_key in
# [stripe] is LINKGATE_STRIPE__API_KEY, or LINKGATE_STRIPE__API_KEY_FILE for a file that holds it.
# docs/configuration.md explains it all, and `linkgate doctor` checks it.
"""


def document() -> str:
    """The text of docs/configuration.md."""
    parts = [_INTRODUCTION]
    for name, model in SECTIONS.items():
        parts.append(f"## [{name}]\n\n{_intro(model)}\n")
        parts.append(_reference(model))
        parts += [
            f"### {about(info).heading}\n\n{_intro(inner)}\n\n"
            f"```toml\n{about(info).example}\n```\n\n{_reference(inner)}".rstrip()
            + "\n"
            for info in model.model_fields.values()
            if (inner := inner_table(info)) is not None
        ]
    return "\n".join(parts)


def _reference(model: type[Table]) -> str:
    """A table of what can be set; of settings that only repeat others, none."""
    rows = [
        f"| `{key}` | {_kind(info)} | {_default(info)} | {info.description} |"
        for key, info in model.model_fields.items()
        if info.description
    ]
    if not rows:
        return ""
    return "\n".join(["| setting | what | default | meaning |", "|---|---|---|---|", *rows, ""])


def example() -> str:
    """The text of config.example.toml: what `linkgate init` writes, without the key."""
    return _toml({"server.public_url": EXAMPLE_URL})


def write_new(path: Path, public_url: str, values: Mapping[str, TomlValue] | None = None) -> None:
    """Write a first configuration with a fresh signing key, readable by its owner alone.

    `values` are further settings, named like `brand.name`. Raises ConfigError when the file exists
    already (it is never overwritten), can't be written, or would not load; a missing Stripe key is
    left for the operator to fill in.
    """
    chosen: dict[str, TomlValue] = {
        "server.public_url": public_url,
        "signing.keys": [secrets.token_urlsafe(32)],
        **(values or {}),
    }
    _check(chosen)
    _write_private(path, _toml(chosen))


def _check(chosen: Mapping[str, TomlValue]) -> None:
    sections: dict[str, dict[str, TomlValue]] = {}
    for setting, value in chosen.items():
        section, _, key = setting.partition(".")
        sections.setdefault(section, {})[key] = value
    try:
        parse(sections)
    except ConfigError as error:
        left = [
            problem
            for problem in error.problems
            if problem.field != "stripe.api_key" or problem.field in chosen
        ]
        if left:
            raise ConfigError(left) from None


def _write_private(path: Path, text: str) -> None:
    try:
        # O_EXCL: never over an existing file, nor through a link that someone put there.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        message = "exists already and is left as it is; move it away, or choose another name"
        raise ConfigError([Problem(str(path), message)]) from None
    except OSError as error:
        message = f"can't be written: {error.strerror}"
        raise ConfigError([Problem(str(path), message)]) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)  # half a file would be in the way of the next try
        message = f"can't be written: {error.strerror}"
        raise ConfigError([Problem(str(path), message)]) from None


def _toml(values: Mapping[str, TomlValue]) -> str:
    lines = [_HEADER.rstrip()]
    for name, model in SECTIONS.items():
        lines += ["", "", *_comment(_intro(model)), f"[{name}]"]
        for key, info in model.model_fields.items():
            required = "Required. " if info.is_required() else ""
            lines += ["", *_comment(required + (info.description or ""))]
            lines.append(_setting(f"{name}.{key}", key, info, values))
    return "\n".join(lines) + "\n"


def _setting(name: str, key: str, info: FieldInfo, values: Mapping[str, TomlValue]) -> str:
    if name in values:
        return f"{key} = {_literal(values[name])}"
    if inner_table(info) is not None:
        return "\n".join(f"#{line}" for line in about(info).example.splitlines())
    if info.is_required() or info.default in (None, ()):
        return f"#{key} = {about(info).example}"
    return f"#{key} = {_literal(info.default)}"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, width=96, break_on_hyphens=False, break_long_words=False):
        yield f"# {line}"


def _intro(model: type[Table]) -> str:
    return " ".join((model.__doc__ or "").split())


def _kind(info: FieldInfo) -> str:
    low = next((note.ge for note in info.metadata if isinstance(note, Ge)), None)
    high = next((note.le for note in info.metadata if isinstance(note, Le)), None)
    kind = about(info).kind
    return kind if low is None or high is None else f"{kind}, {low} to {high}"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default is None:
        return "unset"
    if info.default in ((), ""):
        return "none"
    return f"`{_literal(info.default)}`"


def _literal(value: object) -> str:
    """A value in TOML's spelling; JSON's strings, numbers and lists are TOML's too."""
    assert value is not PydanticUndefined
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    assert tomllib.loads(f"x = {text}")
    return text
