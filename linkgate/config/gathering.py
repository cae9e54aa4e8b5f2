"""Collects what the file and the environment say, before anything is judged valid."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from linkgate.config.explaining import (
    VARIABLE_PREFIX,
    misplaced,
    unknown_section,
    unknown_setting,
    unknown_variable,
    variable,
)
from linkgate.config.fields import inner_table
from linkgate.config.sections import SECTIONS
from linkgate.errors import Problem

# Kubernetes and Docker put the addresses of services next to our own variables.
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
_VALUE_FILE_MAX_BYTES = 65_536


@dataclass(slots=True)
class Gathered:
    """The values by section and key, where they came from, and what was wrong on the way."""

    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)  # section.key -> variable
    unread: set[str] = field(default_factory=set)  # section.key that is set but has no value
    secret_files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def complain(self, where: str, message: str) -> None:
        """Note a problem, and go on."""
        self.problems.append(Problem(where, message))

    def put(self, section: str, key: str, value: Any, file: Path | None) -> None:
        """Keep a value, and the file that it came from if it is a secret."""
        self.values.setdefault(section, {})[key] = value
        if file is not None and _holds_secret(section, key, value):
            self.secret_files.append(file)

    def drop_unknown(self) -> None:
        """Report and drop what is no setting, so that the rest can still be judged."""
        for section in list(self.values):
            if section not in SECTIONS:
                self.complain(section, unknown_section(section))
                del self.values[section]
                continue
            known = SECTIONS[section].model_fields
            for key in [key for key in self.values[section] if key not in known]:
                self.complain(f"{section}.{key}", unknown_setting(section, key))
                del self.values[section][key]


def _holds_secret(section: str, key: str, value: Any) -> bool:
    if section not in SECTIONS or key not in SECTIONS[section].model_fields:
        return False
    if (section, key) == ("store", "url"):
        return "@" in str(value)
    return _is_secret(SECTIONS[section].model_fields[key].annotation)


def _is_secret(annotation: Any) -> bool:
    """Say whether a secret may be anywhere in a value of this type: in a list, or in a table."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(_is_secret(field.annotation) for field in annotation.model_fields.values())
    return annotation is SecretStr or any(map(_is_secret, get_args(annotation)))


def read_file(file: Path, gathered: Gathered) -> bool:
    """Read a TOML file; False if that can't be done, which is then among the problems."""
    document = _read_toml(file, gathered)
    for section, keys in (document or {}).items():
        if not isinstance(keys, dict):
            gathered.complain(section, misplaced(section))
            continue
        for key, value in keys.items():
            gathered.put(section, key, _from_folder(section, key, value, file.parent), file)
    return document is not None


def _read_toml(file: Path, gathered: Gathered) -> dict[str, Any] | None:
    try:
        # utf-8-sig: some editors put a byte order mark first, which TOML doesn't allow.
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        problem = "there is no such file; `linkgate init` writes one"
    except OSError as error:
        problem = f"can't be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not UTF-8 text; save it in that encoding"
    except tomllib.TOMLDecodeError as error:
        problem = f"is not valid TOML: {error}"
    gathered.complain(str(file), problem)
    return None


def _from_folder(section: str, key: str, value: Any, folder: Path) -> Any:
    """Relative paths in a file are relative to that file, so that it works from any folder."""
    if (section, key) in {("detection", "rules"), ("detection", "shadow")}:
        return _with_networks_files(value, folder)
    if not isinstance(value, str) or not value:
        return value
    if (section, key) in {("brand", "logo"), ("mail", "ca_bundle"), ("detection", "asn_database")}:
        return str(folder.absolute() / value)
    if (section, key) == ("store", "url") and value.startswith("embedded:"):
        inside = value.removeprefix("embedded:")
        return f"embedded:{folder.absolute() / inside}" if inside else value
    return value


def _with_networks_files(value: Any, folder: Path) -> Any:
    """The same for every `networks_file` in a table, or in the tables of a list."""
    if isinstance(value, list):
        return [_with_networks_files(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: str(folder.absolute() / inner)
        if key == "networks_file" and isinstance(inner, str) and inner
        else _with_networks_files(inner, folder)
        for key, inner in value.items()
    }


def read_environment(env: Mapping[str, str], gathered: Gathered) -> None:
    """Read every LINKGATE_SECTION__KEY and LINKGATE_SECTION__KEY_FILE."""
    for name in sorted(env):
        # An empty variable counts as unset: compose files pass ${NAME:-} along like that.
        if not name.startswith(VARIABLE_PREFIX) or not env[name]:
            continue
        section, separator, key = name.removeprefix(VARIABLE_PREFIX).lower().partition("__")
        if not separator:
            _check_single_underscore(name, env[name], gathered)
            continue
        from_file = key.endswith("_file")
        key = key.removesuffix("_file")
        setting = f"{section}.{key}"
        if section not in SECTIONS or key not in SECTIONS[section].model_fields:
            gathered.complain(name, unknown_variable(section, key, from_file=from_file))
        elif setting in gathered.origins:
            both = f"{gathered.origins[setting]} and {name}"
            gathered.complain(setting, f"is set by both {both}; remove one")
        else:
            gathered.origins[setting] = name
            _read_variable(
                section, key, env[name], Path(env[name]) if from_file else None, gathered
            )


def _read_variable(
    section: str, key: str, value: str, file: Path | None, gathered: Gathered
) -> None:
    text = value if file is None else _read_value_file(f"{section}.{key}", file, gathered)
    if text is None:
        gathered.unread.add(f"{section}.{key}")
    else:
        gathered.put(section, key, _from_text(section, key, text), file)


def _check_single_underscore(name: str, value: str, gathered: Gathered) -> None:
    """Report LINKGATE_STRIPE_API_KEY; leave alone what isn't meant for us."""
    words = name.removeprefix(VARIABLE_PREFIX).lower()
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            if words.removesuffix("_file") == f"{section}_{key}":
                if not _SERVICE_ADDRESS.match(value):
                    right = variable(section, key, from_file=words.endswith("_file"))
                    gathered.complain(name, f"needs two underscores after the section: {right}")
                return


def _read_value_file(setting: str, file: Path, gathered: Gathered) -> str | None:
    origin = f"(set by {gathered.origins[setting]})"
    try:
        with file.open("rb") as stream:
            data = stream.read(_VALUE_FILE_MAX_BYTES + 1)
        text = data.decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        gathered.complain(setting, f"is in a file that can't be read: {error.strerror} {origin}")
        return None
    except UnicodeDecodeError:
        gathered.complain(setting, f"is in a file that is not UTF-8 text {origin}")
        return None
    if not text or len(data) > _VALUE_FILE_MAX_BYTES:
        what = "too large to be a setting" if text else "empty"
        gathered.complain(setting, f"is in a file that is {what} {origin}")
        return None
    return text


def _from_text(section: str, key: str, text: str) -> Any:
    """A variable's text as its setting wants it; lists are JSON, or parted by commas or lines.

    Tables, and lists of them, are JSON and nothing else.
    """
    info = SECTIONS[section].model_fields[key]
    is_table = inner_table(info) is not None
    if get_origin(info.annotation) is not tuple and not is_table:
        return text
    if is_table or text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text  # no list after all: reported under the setting's name
    return [part.strip() for part in re.split(r"[,\r\n]", text) if part.strip()]
