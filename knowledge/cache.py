"""A checked and indexed knowledge base on disk, so that a cold start does not build it again.

The file's name is a hash of the knowledge files, the program and the interpreter; anything new makes a new file.
It lies in the user's own cache folder and is only ever read from there.
"""

import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Built = TypeVar("Built")
_KEPT = 3  # older files are removed


def folder() -> Path:
    """The user's cache folder for this program."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "countydesk"


def cached(seal: str, build: Callable[[], Built]) -> Built:
    """What `build` makes, from the cache when the same was built before. Works without a writable cache."""
    program = hashlib.sha256(f"{sys.version}{seal}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        program.update(source.read_bytes())
    path = folder() / f"knowledge-{program.hexdigest()[:24]}.pickle"
    try:
        return pickle.loads(path.read_bytes())  # type: ignore[no-any-return]  # what `build` made and this wrote
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, ImportError):
        built = build()
        _store(path, built)
        return built


def _store(path: Path, built: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            pickle.dump(built, file, protocol=pickle.HIGHEST_PROTOCOL)
        os.replace(file.name, path)
        for old in sorted(path.parent.glob("knowledge-*.pickle"), key=lambda one: -one.stat().st_mtime)[_KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:
        return  # no room or no right to write: the next start builds again
