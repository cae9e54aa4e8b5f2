"""A configuration on a real store, and the command line run in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from linkgate.cli import app

Invoke = Callable[..., Result]

CONFIG = """
[server]
public_url = "https://go.example.com"
[signing]
keys = ["0123456789abcdefghijklmnopqrstuvwxyz"]
[store]
url = "{store}"
[stripe]
api_key = "sk_test_nothing"
api_base = "http://127.0.0.1:9"
webhook_secrets = ["whsec_nothing"]
"""


@pytest.fixture
def config_file(tmp_path: Path, valkey_url: str) -> Path:
    """A configuration with an empty store."""
    with Redis.from_url(valkey_url) as client:
        client.flushall()
    file = tmp_path / "linkgate.toml"
    file.write_text(CONFIG.format(store=valkey_url))
    file.chmod(0o600)
    return file


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a configuration, and an environment without one."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LINKGATE_CONFIG", raising=False)
    return folder


@pytest.fixture
def linkgate(config_file: Path, elsewhere: Path) -> Invoke:
    """Run `linkgate --config FILE ARGUMENTS...`."""

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, ["--config", str(config_file), *arguments], input=stdin)
        # A traceback is no answer to whatever a user does.
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return invoke
