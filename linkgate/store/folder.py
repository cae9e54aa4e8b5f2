"""The embedded store's folder: made ready, locked, and what its log last said."""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from linkgate.errors import ConfigError, LinkgateError, Problem, StoreUnavailable

POLL_SECONDS = 0.02
_LOG_LIMIT_BYTES = 1_000_000
# What passes, or is mended without touching the configuration.
_OUTAGES = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO)


class Folder:
    """The folder at `path`, which is absolute."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "valkey.log"

    def prepare(self) -> None:
        """Create the folder, private to its user, unless it is there.

        Raises ConfigError for one that can't be created, or that is open to every user.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.path.stat().st_mode
        except OSError as error:
            raise self._unusable(error) from error
        # The attack: in a folder open to all (/tmp), another local user plants valkey.sock, and
        # links' private attributes are handed to whoever listens there.
        if mode & 0o002:
            raise misconfigured(f"the folder {self.path} is writable by every user; chmod o-w it")

    def open(self, name: str) -> int:
        """A descriptor of one of the lock files, which is created where it is missing."""
        try:
            return os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def locked(
        self, name: str, seconds: float, *, give_up: threading.Event | None = None
    ) -> Iterator[None]:
        """Hold a lock file; raises StoreUnavailable after `seconds`, or when told to give up."""
        descriptor = self.open(name)
        try:
            # flock can't be interrupted while it waits, so it is polled.
            until = time.monotonic() + seconds
            while not lock(descriptor):
                if (give_up and give_up.is_set()) or time.monotonic() > until:
                    raise StoreUnavailable(f"another process holds {self.path / name}")
                time.sleep(POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def rotate_log(self) -> None:
        """Put a large log aside; one old log is kept."""
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > _LOG_LIMIT_BYTES:
                self.log.replace(self.log.with_name(f"{self.log.name}.1"))

    def log_tail(self) -> str:
        """The log's last lines, in one line."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 4000))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            lines = []
        return " | ".join(lines[-4:]) or "(empty)"

    def _unusable(self, error: OSError) -> LinkgateError:
        if error.errno in _OUTAGES:
            return StoreUnavailable(f"the embedded store can't use {self.path}: {error.strerror}")
        return misconfigured(
            f"the folder {self.path} can't be used ({error.strerror}); "
            "choose one that linkgate's user may write to"
        )


def lock(descriptor: int) -> bool:
    """Whether the file is now locked exclusively; False when somebody else has a lock on it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise misconfigured(
            f"the embedded store's folder is on a file system without locks ({error.strerror}); "
            "choose one on a local disk"
        ) from error
    return True


def misconfigured(message: str) -> ConfigError:
    """A ConfigError that names `store.url`."""
    return ConfigError([Problem("store.url", message)])
