"""Serving in one or several processes that share one socket.

One worker serves in this very process. With several, this process starts them as
``python -m linkgate.workers``, hands each the listening socket, replaces one that dies, and takes
them along when it ends: each holds the other end of a pipe, and stops when that breaks, even by
kill -9. Otherwise workers without a parent would hold the port against the next start.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from linkgate.config import Config
from linkgate.serving import (
    DRAIN_SECONDS,
    Server,
    Unservable,
    bind,
    held_store,
    run,
    stop_on_signals,
    url_of,
)

log = logging.getLogger(__name__)

#: How long a worker that was told to stop is waited for before it is killed.
KILL_SECONDS = DRAIN_SECONDS + 5
RESTART_PAUSE_SECONDS = 1.0

_READY = b"ready\n"


def serve(config: Config, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Serve until a signal, in `config.server.workers` processes; `env` is what they load it from.

    `say` is told where, once everything answers. Raises ConfigError, StoreUnavailable or
    Unservable when it can't begin.
    """
    if not config.stripe.webhook_secrets:
        log.warning(
            "stripe.webhook_secrets is empty: every webhook will be refused, and no link will be "
            "known to be paid"
        )
    with bind(config.server.host, config.server.port) as listener:
        workers = config.server.workers
        counted = f", {workers} workers" if workers > 1 else ""
        line = f"linkgate listens on {url_of(listener)}{counted}; links begin with "
        line += config.server.public_url

        if workers == 1:
            run(_alone(config, listener, lambda: say(line)))
        else:
            asyncio.run(_together(config, listener, env, lambda: say(line)))


async def _alone(config: Config, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    from linkgate.web.app import create  # noqa: PLC0415 - not needed where workers serve

    async with held_store(config.store.url):
        server = Server(create(config), on_ready)
        stop_on_signals(lambda at_once: server.stop(at_once=at_once))
        await server.serve(sockets=[listener])


async def _together(
    config: Config,
    listener: socket.socket,
    env: Mapping[str, str],
    on_ready: Callable[[], None],
) -> None:
    async with held_store(config.store.url):
        crew = _Crew(listener, env, config.server.workers, on_ready)
        stop_on_signals(crew.stop)
        await crew.work()


class _Crew:
    """The workers of one socket."""

    def __init__(
        self,
        listener: socket.socket,
        env: Mapping[str, str],
        size: int,
        on_ready: Callable[[], None],
    ) -> None:
        self._listener = listener
        # The worker imports from where this process does, and from nowhere else: `-P` keeps the
        # working folder out, whose files could have the names of modules.
        path = os.pathsep.join(part for part in sys.path if part)
        self._env = {**env, "PYTHONPATH": path}
        self._size = size
        self._on_ready = on_ready
        self._waiting = size
        self._stopped = asyncio.Event()

    def stop(self, _at_once: bool) -> None:
        self._stopped.set()

    async def work(self) -> None:
        """Keep the workers running until `stop`; raises Unservable if they don't even start."""
        stopped = asyncio.create_task(self._stopped.wait())
        places = [asyncio.create_task(self._keep()) for _ in range(self._size)]
        await asyncio.wait([stopped, *places], return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, *places):
            task.cancel()
        for result in await asyncio.gather(*places, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _keep(self) -> None:
        started = False
        while True:
            worker = await self._start()
            try:
                assert worker.stdout
                ready = await worker.stdout.readline() == _READY
                if ready and not started:
                    started = True
                    self._one_more()
                status = await worker.wait()
            finally:
                await _end(worker)
            if not started:
                raise Unservable("a worker did not start; the messages above say why")
            log.error("worker %d ended with status %d; starting another", worker.pid, status)
            await asyncio.sleep(RESTART_PAUSE_SECONDS)

    async def _start(self) -> asyncio.subprocess.Process:
        descriptor = self._listener.fileno()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "linkgate.workers", str(descriptor)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(descriptor,),
            env=self._env,
        )

    def _one_more(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._on_ready()


async def _end(worker: asyncio.subprocess.Process) -> None:
    if worker.returncode is not None:
        return
    with suppress(ProcessLookupError):
        worker.terminate()
    try:
        async with asyncio.timeout(KILL_SECONDS):
            await worker.wait()
    except TimeoutError:
        log.error("worker %d does not stop; it is killed", worker.pid)
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


def worker(arguments: Sequence[str]) -> None:
    """Serve as one of several processes, on the inherited socket whose number is given."""
    from linkgate.web.app import create_from_environment  # noqa: PLC0415 - see _alone

    threading.Thread(target=_stop_with_parent, daemon=True).start()
    listener = socket.socket(fileno=int(arguments[0]))
    run(_serve_as_worker(Server(create_from_environment(), _tell_parent), listener))


async def _serve_as_worker(server: Server, listener: socket.socket) -> None:
    stop_on_signals(lambda at_once: server.stop(at_once=at_once))
    await server.serve(sockets=[listener])


def _tell_parent() -> None:
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), _READY)


def _stop_with_parent() -> None:
    # Nothing is ever written to it: it ends when the parent does.
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    worker(sys.argv[1:])
