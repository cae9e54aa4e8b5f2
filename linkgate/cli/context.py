"""What most commands begin with: the configuration, and the store that it names."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from linkgate.config import Config
    from linkgate.store import Store

T = TypeVar("T")


def environment(ctx: typer.Context, overrides: Mapping[str, object]) -> dict[str, str]:
    """Return the environment with the options in it, as another process can be handed it.

    `overrides` are settings like `server.port`; None means that the option wasn't given.
    """
    env = dict(os.environ)
    path: Path | None = ctx.obj
    if path is not None:
        env["LINKGATE_CONFIG"] = str(path.absolute())
    for setting, value in overrides.items():
        if value is not None:
            name = f"LINKGATE_{setting.replace('.', '__')}".upper()
            # Both forms of one setting would be an error, and the option is the later word.
            env.pop(f"{name}_FILE", None)
            env[name] = str(value)
    return env


def configuration(ctx: typer.Context) -> "Config":
    """Read the configuration; raises ConfigError with every problem."""
    from linkgate.config import load

    return load(ctx.obj, os.environ)


def with_store(ctx: typer.Context, work: Callable[["Config", "Store"], Awaitable[T]]) -> T:
    """Do `work` with the configuration and its store, opened for just that."""
    config = configuration(ctx)
    return asyncio.run(_with_store(config, work))


async def _with_store(config: "Config", work: Callable[["Config", "Store"], Awaitable[T]]) -> T:
    from linkgate.store import Store

    store = await Store.open(
        config.store.url,
        visits_kept=config.store.visits_per_link,
        retention_days=config.store.retention_days,
    )
    try:
        return await work(config, store)
    finally:
        await store.close()
