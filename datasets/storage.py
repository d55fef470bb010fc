"""Files from outside: where they lie, how they are read within bounds, and the one line for each way that fails."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from datasets.dataset import Dataset, DatasetError, Request, SourceFile, require

L = TypeVar("L", bound=Callable[..., Dataset])

_PIECE = 1 << 20
PUBLISHED = 1 << 27
"""Bytes of a published file, unpacked; the largest that is known here has 75 MB."""
LIMIT = 1 << 30
"""Bytes that a file may hold once unpacked: an archive that claims or yields more is refused before memory fills."""


def data_directory(given: Path | None) -> Path:
    """`given`, else ``$BENCH_DATA_DIR``, else the platform's cache folder; it need not exist."""
    if given is not None:
        return given
    if named := os.environ.get("BENCH_DATA_DIR"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("vaebench"))


@dataclass(frozen=True)
class Download:
    """A published file that people put below the data directory."""

    folder: str
    names: tuple[str, ...]
    """Accepted file names, the usual one first; ``.gz`` is unpacked while reading."""
    origin: str
    """Where to get it."""

    def find(self, data_dir: Path) -> Path | None:
        return next((path for name in self.names if (path := data_dir / self.folder / name).is_file()), None)

    def missing(self, data_dir: Path) -> str | None:
        if self.find(data_dir):
            return None
        return (
            f"{self.folder}/{self.names[0]} is not in the data directory {data_dir}; "
            f"get it from {self.origin} and put it into {data_dir / self.folder}"
        )

    def read(self, data_dir: Path) -> tuple[bytes, SourceFile]:
        """The unpacked bytes, and the SHA-256 of the file as it lies there; raises `DatasetError`."""
        path = self.find(data_dir)
        if path is None:
            raise DatasetError(str(self.missing(data_dir)))
        try:
            return read(path, name=f"{self.folder}/{path.name}", limit=PUBLISHED)
        except DatasetError as error:
            raise DatasetError(f"{error}; get it again from {self.origin}") from error

    def damaged(self, data_dir: Path, what: str) -> DatasetError:
        """The error for a file that was read and is not what it should be."""
        return DatasetError(f"{self.find(data_dir)}: {what}; get it again from {self.origin}")


def read(path: Path, *, name: str, limit: int = LIMIT) -> tuple[bytes, SourceFile]:
    """All bytes of a file, unpacked if it is named ``.gz``, at most `limit`; raises `DatasetError` with one line."""
    require(path.is_file(), f"{path}: cannot be read (it is no file)")
    try:
        with path.open("rb") as file:
            packed = file.read(limit + 1)
        content = packed
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as archive:
                pieces, size = [], 0
                while size <= limit and (piece := archive.read(_PIECE)):
                    pieces.append(piece)
                    size += len(piece)
                require(size <= limit, f"{path}: unpacks to more than the {limit >> 20} MiB that are read")
                content = b"".join(pieces)
    except EOFError as error:
        raise DatasetError(f"{path}: the gzip stream ends too early (an interrupted download?)") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path}: not an intact gzip file ({error})") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    require(len(content) > 0, f"{path}: the file is empty")
    require(max(len(packed), len(content)) <= limit, f"{path}: holds more than the {limit >> 20} MiB that are read")
    return content, SourceFile(name, hashlib.sha256(packed).hexdigest())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft to write to, which takes the file's place when the block ends well, and is gone when it does not.

    Whoever looks finds the file as it was or as it is to be, whole, also after a power cut. A process that is killed
    leaves a draft beside it, which nothing reads. A link stays one; a device or a pipe is written to as it is.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}.draft")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        if error.errno and (error.filename == str(draft) or draft.name in str(error.strerror)):
            # the user knows the file, and not its draft, which Arrow names within its words
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Writes a file that is either whole or as it was, whoever else is writing it too. Raises OSError."""
    with replacing(path) as draft:
        draft.write_bytes(content)


def write_atomically(path: Path, content: bytes) -> None:
    """`replace`, and its folder is made; raises `DatasetError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, content)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror})") from error


def asks(missing: Callable[..., str | None]) -> Callable[[L], L]:
    """Decorate a loader with the check behind `datasets.missing`: called as the loader is, it returns the reason."""

    def mark(loader: L) -> L:
        loader.missing = missing  # type: ignore[attr-defined]
        return loader

    return mark


def stands_for(expanded: Callable[..., list[str]]) -> Callable[[L], L]:
    """Decorate a loader with what is behind `datasets.expanded`: called with a reference and what the loader would get,
    it returns all arguments that are meant."""

    def mark(loader: L) -> L:
        loader.expanded = expanded  # type: ignore[attr-defined]
        return loader

    return mark


def needs(*files: Download, mirror: str | None = None) -> Callable[[L], L]:
    """Decorate a loader that reads these files and, where they are not there, can fetch them from the mirror."""

    def missing(request: Request, **_: object) -> str | None:
        return _lacking(files, request.data_dir, mirror)

    return asks(missing)


@contextmanager
def fetched(*files: Download, data_dir: Path, mirror: str) -> Iterator[None]:
    """Run a block that fetches what is missing; where that cannot work, or does not, the error names the file."""
    if reason := _lacking(files, data_dir, mirror):
        raise DatasetError(reason)
    try:
        yield
    except DatasetError:
        raise
    except (OSError, ValueError) as error:
        reason = next(reason for file in files if (reason := file.missing(data_dir)))
        first_line = str(error).partition("\n")[0]
        raise DatasetError(f"{reason}; fetching it from {mirror} failed: {first_line}") from error


def _lacking(files: Sequence[Download], data_dir: Path, mirror: str | None) -> str | None:
    reason = next((reason for file in files if (reason := file.missing(data_dir))), None)
    if reason is None or mirror is None:
        return reason
    return None if reachable(mirror) else f"{reason} (it could be fetched, but {mirror} does not answer)"


@functools.cache
def reachable(url: str) -> bool:
    """Whether a server answers there within 3 seconds, through the proxies of the environment if there are any."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=3).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def check_size(size: int, path: str, limit: int) -> None:
    """Raise `DatasetError` where something unpacks to more bytes than may be read."""
    require(size <= limit, f"{path}: unpacks to {size >> 20:,} MiB, more than the {limit >> 20:,} MiB that are read")


def check_names(names: Sequence[str], path: str) -> None:
    """Raise `DatasetError` where two columns are called the same."""
    seen: set[str] = set()
    for name in names:
        require(name not in seen, f"{path}: two columns have the same name {name!r}")
        seen.add(name)


def first_line(error: BaseException) -> str:
    """What a library says of its error, without the rest."""
    return str(error).partition("\n")[0]
