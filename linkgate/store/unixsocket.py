"""Where the embedded server listens, and the few words that its starter exchanges with it."""

import hashlib
import os
import socket
import stat
import subprocess
import tempfile
from contextlib import suppress
from enum import Enum
from pathlib import Path

from linkgate.store.folder import misconfigured

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
PATH_LIMIT_BYTES = 100
_REPLY_SECONDS = 1.0


class State(Enum):
    """What a server's socket tells about it."""

    READY = "ready"
    LOADING = "loading"
    SILENT = "silent"
    ABSENT = "absent"


def socket_for(folder: Path, recorded: str | None = None) -> Path:
    """The socket of the folder's server: in the folder, or in a private one when that is too long.

    `recorded` is where the running server listens; it wins, since processes with another TMPDIR
    would otherwise look for it elsewhere. Raises ConfigError for a private folder that isn't.
    """
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= PATH_LIMIT_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"linkgate-{os.geteuid()}-{name}"
    if recorded and Path(recorded).exists():
        private = Path(recorded).parent
    try:
        with suppress(FileExistsError):
            private.mkdir(mode=0o700)
        found = private.lstat()
    except OSError as error:
        raise misconfigured(
            f"the folder's path is too long for a socket, and {private} can't be made "
            f"({error.strerror}); choose a shorter path"
        ) from error
    # The attack: another local user makes the folder first and listens in it.
    owned = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not owned or found.st_mode & 0o077:
        raise misconfigured(f"{private} is not a private folder of linkgate's user; remove it")
    path = private / "valkey.sock"
    if len(os.fsencode(path)) > PATH_LIMIT_BYTES:
        raise misconfigured("the folder's path is too long for a socket; choose a shorter one")
    return path


def probe(path: Path) -> State:
    """Ask the server behind the socket how it is, waiting about a second at most."""
    reply = _ask(path, b"PING\r\n")
    if reply is None:
        return State.ABSENT
    if reply.startswith(b"+PONG"):
        return State.READY
    return State.LOADING if reply.startswith(b"-LOADING") else State.SILENT


def shut_down(path: Path) -> bool:
    """Tell the server to write everything to the disk and end; False when there is none."""
    return _ask(path, b"SHUTDOWN NOSAVE\r\n") is not None


def runs_with(pid: int, arguments: str) -> bool:
    """Whether a process runs whose command line, NUL-separated, holds `arguments`."""
    if pid <= 0:
        return False
    with suppress(OSError):
        return os.fsencode(arguments) in Path(f"/proc/{pid}/cmdline").read_bytes()
    with suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(  # noqa: S603 - a fixed command with a number
            ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            timeout=5,
            check=False,
        )
        return os.fsencode(arguments.replace("\0", " ")) in listed.stdout
    return False


def _ask(path: Path, command: bytes) -> bytes | None:
    """One inline command's reply (empty when none came), or None when nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(_REPLY_SECONDS)
        try:
            channel.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError:
            return b""
        try:
            channel.sendall(command)
            return channel.recv(512)
        except OSError:
            return b""
