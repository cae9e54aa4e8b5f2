"""Real `linkgate` processes, and a plain HTTP client for them."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import linkgate

#: For a process to be ready or to end. Never asserted: a slow machine just waits longer.
PATIENCE_SECONDS = 60.0
ROOT = Path(linkgate.__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Running:
    """A process that has said its first line."""

    process: subprocess.Popen[str]
    first_line: str
    folder: Path

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; returns the status that the process ends with."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def errors(self) -> str:
        """What it has written to standard error so far."""
        return (self.folder / "stderr").read_text()


def environment(**more: str) -> dict[str, str]:
    """This process's environment without any configuration, importing linkgate from here."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LINKGATE_")}
    return {**env, "PYTHONPATH": str(ROOT), **more}


def command(*arguments: str) -> list[str]:
    """The command line that runs linkgate."""
    return [sys.executable, "-m", "linkgate", *arguments]


def run(words: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        words,
        check=False,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


@contextmanager
def running(folder: Path, *arguments: str, **env: str) -> Iterator[Running]:
    """Run `linkgate ARGUMENTS...` in `folder` from its first line to the end of the block."""
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            command(*arguments),
            cwd=folder,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        line = _first_line(process.stdout)
        assert line, f"it ended without a word: {(folder / 'stderr').read_text()}"
        yield Running(process, line, folder)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def _first_line(stream: IO[str] | None) -> str:
    assert stream
    return next((line for line in stream if line.strip()), "")


def fetch(
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Answer:
    """One request, on a connection of its own; redirects are not followed."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_SECONDS)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    with closing(connection):
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read().decode())


def paste(line: str) -> str:
    """What a printed line shows: by the shell and curl, or where there is none, by what it asks."""
    if shutil.which("curl"):
        done = run(["/bin/sh", "-c", line])
        assert done.returncode == 0, done.stderr
        return done.stdout
    return _as_curl(shlex.split(line.replace("\\\n", " "))[1:])


def _as_curl(words: list[str]) -> str:
    method, form, body, headers = "GET", "", None, {"User-Agent": "curl/8.0", "Accept": "*/*"}
    rest = iter(words[:-1])
    for word in rest:
        if word == "-sI":
            method = "HEAD"
        elif word == "-A":
            headers["User-Agent"] = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            method, body = "POST", next(rest)
        elif word == "-w":
            form = next(rest).replace("\\n", "\n")
        elif word == "-o":
            next(rest)
    answer = fetch(words[-1], method, headers, body)
    if method == "HEAD":
        return f"HTTP/1.1 {answer.status}\n" + "\n".join(map(": ".join, answer.headers.items()))
    text = "" if "redirect_url" in form else answer.body
    filled = form.replace("%{http_code}", str(answer.status))
    return text + filled.replace("%{redirect_url}", answer.headers.get("location", ""))


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be read does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:4]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self").exists()
