"""Reads the configuration and judges it; every problem is reported at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from linkgate.config.crosschecks import cross_check
from linkgate.config.explaining import explain
from linkgate.config.gathering import Gathered, read_environment, read_file
from linkgate.config.sections import SECTIONS, Config
from linkgate.errors import ConfigError

CONFIG_VARIABLE = "LINKGATE_CONFIG"
DEFAULT_FILE = Path("linkgate.toml")


def load(path: Path | None, env: Mapping[str, str]) -> Config:
    """Read the configuration from a file and the environment; the environment wins.

    `path` names the file; else LINKGATE_CONFIG does; else ./linkgate.toml is read if it is there.
    Raises ConfigError with every problem found.
    """
    gathered = Gathered()
    file = _find_file(path, env)
    readable = file is None or read_file(file, gathered)
    gathered.drop_unknown()
    read_environment(env, gathered)
    if not readable:
        # Everything that the file would have set would now be reported as missing.
        raise ConfigError(gathered.problems)
    config = _validate(gathered)
    config._secret_files = tuple(dict.fromkeys(gathered.secret_files))
    return config


def parse(values: Mapping[str, Mapping[str, Any]]) -> Config:
    """The same for values at hand, by section. Raises ConfigError with every problem found."""
    gathered = Gathered(values={section: dict(keys) for section, keys in values.items()})
    gathered.drop_unknown()
    return _validate(gathered)


def _find_file(path: Path | None, env: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if env.get(CONFIG_VARIABLE):
        return Path(env[CONFIG_VARIABLE])
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _validate(gathered: Gathered) -> Config:
    valid: dict[str, Any] = {}
    config: Config | None = None
    problems = gathered.problems
    values = {section: gathered.values.get(section, {}) for section in SECTIONS}
    try:
        config = Config.model_validate(values, context=valid)
    except ValidationError as error:
        # Not chained: pydantic's error holds what was given, secrets included.
        for detail in error.errors(include_url=False, include_input=False):
            # What could not be read was reported as that, and is not missing as well.
            if ".".join(map(str, detail["loc"])) not in gathered.unread:
                problems.append(explain(detail, gathered.origins, gathered.values))
    problems.extend(cross_check(valid))
    if problems or config is None:
        raise ConfigError(problems)
    return config
