"""Every file under the given paths, archives opened, one at a time. Start at `walk`.

Nothing is unpacked onto the disk: a member is read into a spool that lives in memory up to 8 MiB. So a member whose
name points outside cannot write anything; it is still refused, because the archive is not to be trusted.
"""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import os
import posixpath
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from tapetum.errors import NotFound, RejectedInput, TapetumError
from tapetum.formats.sniff import HEAD_BYTES, sniff

__all__ = ["Limits", "Source", "cannot_be_read", "stop_if_machine_fails", "total_bytes", "walk"]

SPOOL_BYTES = 8 << 20
MAX_DEPTH = 5
MAX_RATIO = 200
"""By how much an archive may unfold in all: pixels shrink to a tenth or a hundredth, a bomb to a ten-thousandth."""
# These are of this machine and not of the file: going on would quarantine every file that follows.
MACHINE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EFBIG, errno.EIO}
)

# What the readers of archives raise when they meet damaged bytes, or a password.
DAMAGE = (
    OSError, EOFError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile, tarfile.TarError, zlib.error,
    lzma.LZMAError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may unfold to before it is taken for a bomb."""

    max_bytes: int
    max_pixels: int


@dataclass(frozen=True, slots=True)
class Source:
    """One file, wherever it lies.

    ``locator`` is its place (``folder/a.zip!/b/c.dcm``); it can hold names, so it never leaves the machine unsealed.
    ``relative`` is the place below the given path. ``kind`` is `sniff`'s. ``error`` says why it cannot be opened.
    ``on_disk`` is the number of bytes by which this file moves the progress.
    """

    locator: str
    relative: str
    kind: str
    size_bytes: int
    on_disk: int
    open: Callable[[], BinaryIO]
    error: RejectedInput | None = None


def total_bytes(paths: list[Path]) -> tuple[int, int]:
    """How many files there are and their bytes, archives unopened: what the progress counts against."""
    sizes = [_size(file) for path in paths for file in _files(path)]
    return len(sizes), sum(sizes)


def walk(paths: list[Path], limits: Limits) -> Iterator[Source]:
    """Yield every file below the paths in a stable order, archive members in the place of their archive.

    Raises
    ------
    NotFound : a given path does not exist. (A file that cannot be read is yielded with its ``error``.)
    """
    for path in paths:
        if not path.exists():
            raise NotFound("no such path", hint="check the spelling", path=path)
        root = path if path.is_dir() else path.parent
        base = root.resolve()
        closed: list[OSError] = []
        for file in _files(path, closed.append):
            yield from _file(file, file.relative_to(root).as_posix(), base, limits)
        for error in closed:
            yield _broken(str(error.filename), "", 0, RejectedInput("unreadable", "the folder cannot be opened"))


def stop_if_machine_fails(error: BaseException) -> None:
    """Raise TapetumError for a full disk and its like; return for whatever is the file's own fault.

    An EIO is taken for one of writing: where a file may have bad sectors, ask `cannot_be_read` first.
    """
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        hint = "make room or mend the disk, and run the same command again; what was taken in is kept"
        raise TapetumError("this machine cannot write or open files", hint=hint, errno=error.errno) from error


def cannot_be_read(source: Source, error: BaseException) -> bool:
    """Whether an error came from a bad sector below the file itself, and not from writing: it is read once more."""
    if not isinstance(error, OSError) or error.errno != errno.EIO:
        return False
    try:
        with source.open() as file:
            while file.read(1 << 20):
                pass
    except OSError as again:
        return again.errno == errno.EIO
    return False


def _files(path: Path, on_error: Callable[[OSError], object] = lambda _: None) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, onerror=on_error):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


class _Door:
    """What one file on the disk may unfold to, and how much of that is left."""

    def __init__(self, limits: Limits, on_disk: int) -> None:
        self.limits = limits
        self.left = max(limits.max_bytes, MAX_RATIO * on_disk)

    def pass_through(self, stream: IO[bytes], spool: BinaryIO) -> None:
        """Unfold one member.

        Raises
        ------
        RejectedInput : it, or all members together, are too much; told as soon as they are.
        TapetumError : the spool cannot be written.
        """
        written = 0
        while chunk := stream.read(1 << 20):
            written += len(chunk)
            self.left -= len(chunk)
            if written > self.limits.max_bytes or self.left < 0:
                raise RejectedInput("archive-bomb")
            try:
                spool.write(chunk)
            except OSError as error:
                stop_if_machine_fails(error)
                raise


def _file(file: Path, relative: str, base: Path, limits: Limits) -> Iterator[Source]:
    locator, size = f"{base}/{relative}", 0
    try:
        there = file.stat()
        size = there.st_size
        if not stat.S_ISREG(there.st_mode):  # a socket, for one; opening a pipe would wait for ever
            raise OSError
        with file.open("rb", buffering=0) as opened:
            head = opened.read(HEAD_BYTES)
    except OSError:
        yield _broken(locator, relative, size, RejectedInput("unreadable", "the file cannot be opened"))
        return
    whole = Source(locator, relative, sniff(head, name=file.name), size, size, lambda: file.open("rb"))
    yield from _opened(whole, _Door(limits, size), depth=0)


def _opened(source: Source, door: _Door, depth: int) -> Iterator[Source]:
    """The source itself, or what is in it when it is an archive."""
    reader = {"zip": _zip, "tar": _tar, "gzip": _gzip}.get(source.kind)
    if reader is None:
        yield source
        return
    if depth >= MAX_DEPTH:
        yield _broken(source.locator, source.relative, source.on_disk, RejectedInput("archive-bomb", "nested too deep"))
        return
    yield from reader(source, door, depth)
    if depth == 0:  # the archive itself moves the progress, once all its members are done
        yield Source(source.locator, source.relative, "archive", 0, source.on_disk, source.open)


def _zip(source: Source, door: _Door, depth: int) -> Iterator[Source]:
    with source.open() as file:
        try:
            archive = zipfile.ZipFile(file)
            members = [member for member in archive.infolist() if not member.is_dir()]
        except DAMAGE:
            yield _broken(source.locator, source.relative, 0, RejectedInput("broken-archive"))
            return
        seen: Counter[str] = Counter()
        for member in members:
            if door.left < 0:
                return
            name = _numbered(member.filename, seen)
            yield from _member(source, name, _zip_opener(archive, member), door, depth=depth, size=member.file_size)


def _zip_opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(member)


def _tar(source: Source, door: _Door, depth: int) -> Iterator[Source]:
    with source.open() as file:
        try:
            # A stream reader never seeks back and holds one member; its members must be read in order, as we do.
            archive = tarfile.open(fileobj=file, mode="r|*")  # noqa: SIM115 - closed with its file
            seen: Counter[str] = Counter()
            for member in archive:
                if door.left < 0:
                    return
                name = _numbered(member.name, seen)
                if member.issym() or member.islnk():
                    if _escapes(_target(member)):
                        error = RejectedInput("path-traversal", "a link points outside the archive")
                        yield _broken(f"{source.locator}!/{name}", name, 0, error)
                elif member.isfile():
                    opener = _tar_opener(archive, member)
                    yield from _member(source, name, opener, door, depth=depth, size=member.size)
        except DAMAGE:
            yield _broken(source.locator, source.relative, 0, RejectedInput("broken-archive"))


def _tar_opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    return lambda: cast(IO[bytes], archive.extractfile(member))


def _gzip(source: Source, door: _Door, depth: int) -> Iterator[Source]:
    """A compressed tar, a NIfTI (which stays compressed) or any other single compressed file."""
    try:
        with source.open() as file, gzip.open(file) as inner:
            head = inner.read(HEAD_BYTES)
    except DAMAGE:
        yield _broken(source.locator, source.relative, 0, RejectedInput("broken-archive"))
        return
    kind = sniff(head, name=source.relative.removesuffix(".gz"))
    if kind == "tar":
        yield from _tar(source, door, depth)
    elif kind == "nifti":
        yield Source(source.locator, source.relative, "nifti", source.size_bytes, 0, source.open)
    else:
        name = PurePosixPath(source.relative).name.removesuffix(".gz")
        with source.open() as file, gzip.open(file) as inner:
            yield from _member(source, name, lambda: cast(IO[bytes], inner), door, depth=depth)


def _member(
    source: Source, name: str, opener: Callable[[], IO[bytes]], door: _Door, *, depth: int, size: int = 0
) -> Iterator[Source]:
    """One archive member, spooled; its own error never ends the archive."""
    locator, relative = f"{source.locator}!/{name}", f"{source.relative}/{name}"
    if _escapes(name):
        yield _broken(locator, relative, 0, RejectedInput("path-traversal"))
        return
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        try:
            if size > door.limits.max_bytes:
                raise RejectedInput("archive-bomb")
            with opener() as stream:
                door.pass_through(stream, cast(BinaryIO, spool))
        except RejectedInput as error:
            yield _broken(locator, relative, 0, error)
            return
        except DAMAGE as error:
            if getattr(error, "errno", None) != errno.EIO:  # what was read has a bad sector; writing is told apart
                stop_if_machine_fails(error)
            yield _broken(locator, relative, 0, RejectedInput("broken-archive", "a member cannot be unpacked"))
            return
        length = spool.tell()
        spool.seek(0)
        kind = sniff(spool.read(HEAD_BYTES), name=name)
        inner = Source(locator, relative, kind, length, 0, lambda: cast(BinaryIO, _Rewound(cast(BinaryIO, spool))))
        yield from _opened(inner, door, depth + 1)


class _Rewound(io.RawIOBase):
    """A view on a spool that begins at its start and leaves it open when closed, so that it can be opened again."""

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        spool.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self._spool.read(-1 if size is None else size)

    def readall(self) -> bytes:
        return self._spool.read()

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._spool.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._spool.seek(offset, whence)
        return self._spool.tell()

    def tell(self) -> int:
        return self._spool.tell()


def _escapes(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or (len(name) > 1 and name[1] == ":")


def _target(link: tarfile.TarInfo) -> str:
    """Where a link points, seen from the root of its archive; a link upwards that stays inside is a usual thing."""
    if link.islnk() or link.linkname.startswith("/"):
        return link.linkname
    return posixpath.normpath(posixpath.join(posixpath.dirname(link.name), link.linkname))


def _numbered(name: str, seen: Counter[str]) -> str:
    """The name, with a number when the archive has it twice: each file has its own place in the quarantine."""
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}~{seen[name]}"


def _broken(locator: str, relative: str, on_disk: int, error: RejectedInput) -> Source:
    return Source(locator, relative, "", 0, on_disk, io.BytesIO, error)
