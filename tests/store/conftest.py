"""A real PostgreSQL, started by the tests that need one."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name))


class Postgres:
    """A server of its own on a Unix socket, whose superuser needs no password."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder, self._programs = folder, programs
        # PostgreSQL refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            who = pwd.getpwnam(self._user)
            os.chown(folder, who.pw_uid, who.pw_gid)
        self._data = folder / "data"
        self._numbers = count(1)
        self._run("initdb", "-D", self._data, "-U", "tapetum", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        settings = f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nshared_buffers = 32MB\n"
        settings += "fsync = off\n"  # quicker; what a killed server wrote is in the kernel's hands and survives it
        with (self._data / "postgresql.conf").open("a") as out:
            out.write(settings)
        self.start()

    def start(self) -> None:
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", self._folder / "log")

    def stop(self, mode: str = "fast") -> None:
        """``immediate`` is how a power failure looks to the server."""
        self._run("pg_ctl", "stop", "-w", "-D", self._data, "-m", mode)

    def new_database(self) -> str:
        """The URL of a new and empty database."""
        name = f"catalogue_{next(self._numbers)}"
        self._run("createdb", "-h", self._folder, "-U", "tapetum", name)
        return f"postgresql://tapetum@/{name}?host={self._folder}"

    def _run(self, program: str, *words: object) -> None:
        command = [str(self._programs / program), *map(str, words)]
        # pg_ctl's server keeps the pipe open: its output goes to the log.
        done = subprocess.run(
            command,
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            text=True,
            check=False,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if not PROGRAMS:
        pytest.skip("no PostgreSQL below /usr/lib/postgresql: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="tapetum-pg-"))  # a socket's path may not be long
    server = Postgres(folder, PROGRAMS[-1])
    yield server
    server.stop("immediate")
    shutil.rmtree(folder)
