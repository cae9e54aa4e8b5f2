"""The page about the architecture: whoever is new finds each module in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
MODULES = sorted(
    path.stem
    for path in (ROOT / "linkgate").iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem != "__init__"
)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__main__"])
def test_each_module_has_its_place(module: str) -> None:
    assert re.search(rf"`{module}(\.py|/)", TEXT)


def test_each_named_module_is_there() -> None:
    named = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py|(?:[a-z_]+/)+)`", TEXT)
    assert len(named) > 50
    # Beside its neighbour a module is named without their folder.
    there = ROOT / "linkgate"
    assert [name for name in named if not list(there.rglob(name.removesuffix("/")))] == []
