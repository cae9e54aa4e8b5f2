"""docs/webhooks.md names every type of message and nothing that isn't one."""

import re
from pathlib import Path

from linkgate.config.outbound import TYPES

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def test_every_type_is_explained_and_its_data_told() -> None:
    _, _, types = TEXT.partition("## Types")
    types, _, data = types.partition("## What `data` holds")
    rows = re.findall(r"^\| `([^|]*)` \|", types, re.M)
    assert sorted(rows) == sorted(TYPES)
    told = re.findall(r"^\| (`[^|]*\.[^|]*`) \|", data, re.M)
    named = [name for row in told for name in re.findall(r"`([a-z.]+)`", row)]
    assert sorted(name for name in named if not name.startswith("link.") or name in TYPES) == (
        sorted(TYPES)
    )
