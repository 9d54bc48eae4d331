"""The command line as an operator runs it, in processes forked from one that has loaded the program's modules.

A start from nothing takes seconds, nearly all of them for imports; the tests of the server start it that way.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parent.parent
LONGEST = 1 << 20  # bytes of a request: words, folder and environment


@dataclass(frozen=True, kw_only=True)
class Program:
    """Runs `countydesk` with words, what is typed, in a folder and an environment."""

    requests: socket.socket

    def __call__(
        self, *words: str, typed: str = "", cwd: Path = ROOT, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            stdin.write(typed.encode())
            stdin.seek(0)
            told = json.dumps({"words": words, "cwd": str(cwd), "env": dict(os.environ if env is None else env)})
            socket.send_fds(self.requests, [told.encode()], [stdin.fileno(), stdout.fileno(), stderr.fileno()])
            code = int(self.requests.recv(64))
            stdout.seek(0)
            stderr.seek(0)
            return subprocess.CompletedProcess(words, code, stdout.read().decode(), stderr.read().decode())


@contextmanager
def program() -> Iterator[Program]:
    """A process with everything loaded; it ends with its end of the connection."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
    ours.settimeout(120)
    with (
        ours,
        subprocess.Popen(
            [sys.executable, "-m", "tests.commands", str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=[theirs.fileno()],
        ) as process,
    ):
        theirs.close()
        yield Program(requests=ours)
        ours.close()
        assert process.wait(timeout=20) == 0


def _serve(requests: socket.socket) -> None:
    """Answer each request with the exit status of a child that ran it."""
    import bot.__main__
    import bot.app
    import bot.backup
    import bot.demo  # noqa: F401  # loaded for the children

    while True:
        told, files, *_ = socket.recv_fds(requests, LONGEST, 3)
        if not told:
            return
        child = os.fork()
        if not child:
            requests.close()
            _run(**json.loads(told), files=files)
        for one in files:
            os.close(one)
        requests.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _run(words: list[str], cwd: str, env: Mapping[str, str], files: list[int]) -> NoReturn:
    from bot.__main__ import main

    code: object = 1
    try:
        for number, one in enumerate(files):
            os.dup2(one, number)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["countydesk", *words]
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
