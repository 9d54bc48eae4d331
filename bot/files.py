"""What files are kept, where their bytes lie, and the fetching of those that came by message, after the turn."""

import io
import os
import secrets
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import filetype
import structlog
from PIL import Image, ImageOps
from sqlalchemy import event
from sqlalchemy.orm import Session, UOWTransaction, sessionmaker

from bot.channels import Channel
from bot.messages import ChannelStopped, Link, Media, Refused, Reply, TemporaryFailure, Turn, Undeliverable
from bot.texts import say
from storage import bindings, deliveries, files
from storage.db import transaction
from storage.models import File
from storage.scope import SYSTEM, serving

THREADS = 2
TRIES = 6
MADE_LASTS, MADE_CLEARS = timedelta(hours=24), 50  # what was made for somebody; so many are removed at once
KEPT = timedelta(days=3)  # for so long the platforms keep what was sent
MOST_BYTES = 20_000_000
AGAIN_S = 2.0
MOST_UNPACKED = 200_000_000  # bytes of an Office file's parts together
OFFICE = "application/vnd.openxmlformats-officedocument."
WORD, EXCEL = f"{OFFICE}wordprocessingml.document", f"{OFFICE}spreadsheetml.sheet"
MACROS, OLD_OFFICE = "macros", "old-office"  # what `sniffed` calls Office files that are not kept
PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp", "image/tiff")
KINDS = (*PICTURES, "application/pdf", WORD, EXCEL)  # what a page takes
RECORDINGS = ("audio/", "video/")  # and what a message may bring besides
SIDE = 2000  # pixels of a shown picture's longer side
MOST_PIXELS, MOST_DECODED = 120_000_000, 50_000_000  # of a picture as sent, and as it is decoded
Image.MAX_IMAGE_PIXELS = None  # its own limit only warns; `shown` has those above
log = structlog.get_logger()
_drawing = threading.Lock()  # one picture is decoded at a time: a large one takes 300 MB


def sniffed(data: bytes) -> str:
    """What the bytes are, as a MIME type, MACROS or OLD_OFFICE; empty when that is not known."""
    if data.startswith(b"PK"):
        return _packed(data)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):  # Office until 2003, and newer files with a password
        return OLD_OFFICE
    return filetype.guess_mime(data) or ""


def not_taken(db: Session, data: bytes) -> str:
    """Why a page does not take these bytes, in words for the sender; empty when it does."""
    if len(data) > MOST_BYTES:
        return say("files.too_large", megabytes=MOST_BYTES // 1_000_000)
    kind = sniffed(data)
    if kind in KINDS and files.quarantined(db, sha256(data).hexdigest()):
        kind = "quarantined"
    return "" if kind in KINDS else say("files.not_kept", kind=kind)


def _packed(data: bytes) -> str:
    """What an archive is by its parts: programs write them in any order, so the first ones do not tell."""
    try:
        parts = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return "application/zip"
    names = {part.filename for part in parts}
    if any("vbaProject" in name or "/macrosheets/" in name for name in names):
        return MACROS
    if sum(part.file_size for part in parts) > MOST_UNPACKED:
        return "application/zip"
    return WORD if "word/document.xml" in names else EXCEL if "xl/workbook.xml" in names else "application/zip"


def place(folder: Path, digest: str) -> Path:
    """Where the bytes with a hash lie."""
    return folder / "files" / digest[:2] / digest


def keep(folder: Path, data: bytes) -> str:
    """Store bytes under their hash, readable by the owner only; the hash."""
    digest = sha256(data).hexdigest()
    path = place(folder, digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    return digest


def shown(path: Path) -> bytes | None:
    """A picture drawn anew as JPEG for the screen, without what its camera wrote into it; None when it is none.

    A file of several pages is not drawn: it is worth more as it is.
    """
    try:
        with _drawing, Image.open(path, formats=("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")) as picture:
            if getattr(picture, "n_frames", 1) > 1 or picture.width * picture.height > MOST_PIXELS:
                return None
            picture.draft("RGB", (SIDE, SIDE))
            if picture.width * picture.height > MOST_DECODED:
                return None
            picture.load()
            turned = ImageOps.exif_transpose(picture)
            turned.thumbnail((SIDE, SIDE))
            page = Image.new("RGB", turned.size, "white")
            page.paste(turned, mask=turned.convert("RGBA").getchannel("A") if turned.has_transparency_data else None)
            drawn = io.BytesIO()
            page.save(drawn, "JPEG", quality=85)
            return drawn.getvalue()
    except (OSError, ValueError, SyntaxError, struct.error):  # what Pillow's decoders raise on damaged files
        return None


def link(turn: Turn, file: File, label: str) -> Link | None:
    """What opens a file for whoever is speaking, for a while (OPEN_FOR); None where no web address is set."""
    base = turn.given.get("base_url", "")
    if turn.user is None or (not base and turn.inbound.channel != "web"):
        return None
    ticket = files.ticket(turn.db, file.id, turn.user.id, turn.now)
    return Link(label=label, url=f"{base}/f/{file.id}?t={ticket}")


def hand_out(turn: Turn, name: str, mime: str, data: bytes, *, body_id: int | None = None) -> Link:
    """Keep a file made for whoever is speaking, of a body or else of their province, and make the link to it.

    What was made a day ago is removed on the way: it can be made anew. Raises Refused where no page can be opened.
    """
    folder = turn.given.get("folder")
    if folder is None or turn.user is None or not (turn.given.get("base_url") or turn.inbound.channel == "web"):
        raise Refused(say("files.no_page"))
    for digest in files.ended(turn.db, turn.now - MADE_LASTS, MADE_CLEARS):
        place(folder, digest).unlink(missing_ok=True)
    file = files.made(
        turn.db, person_id=turn.user.id, body_id=body_id, name=name, mime=mime, now=turn.now, sha256=keep(folder, data),
        size=len(data),
    )  # fmt: skip
    opens = link(turn, file, name)
    assert opens is not None
    return opens


class Fetcher:
    """Fetches each pending file until it is stored, refused or lost. A commit that brings a file wakes it."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        sessions: sessionmaker[Session],
        folder: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._channels, self._sessions, self._folder, self._clock = channels, sessions, folder, clock
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="files")
        self._wake = threading.Event()
        self._stopped = False
        self._not_before: dict[int, float] = {}
        self._in_hand: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)
        event.listen(sessions, "after_flush", _noticed)
        event.listen(sessions, "after_commit", self._committed)

    def start(self) -> None:
        """Fetch what is pending from an earlier run, then what comes."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Finish the files in hand."""
        self._stopped = True
        self._wake.set()
        self._thread.join()
        self._pool.shutdown()

    def _committed(self, db: Session) -> None:
        if db.info.pop("files", False):
            self._wake.set()

    def _run(self) -> None:
        while not self._stopped:
            wait_s = min((at - time.monotonic() for at in list(self._not_before.values())), default=None)
            self._wake.wait(None if wait_s is None else max(wait_s, 0.01))
            self._wake.clear()
            if self._stopped:
                return
            try:
                self._round()
            except Exception:  # the job boundary
                log.exception("files not fetched")

    def _round(self) -> None:
        """Hand what is due to the pool."""
        now = time.monotonic()
        with transaction(self._sessions) as db, serving(db, SYSTEM):
            pending = files.pending(db)
            db.expunge_all()
        for file in pending:
            if file.id not in self._in_hand and self._not_before.get(file.id, now) <= now:
                self._not_before.pop(file.id, None)
                self._in_hand.add(file.id)
                self._pool.submit(self._work, file)

    def _work(self, file: File) -> None:
        try:
            self._fetch(file)
        except Exception:  # the job boundary: the file stays pending until the next start
            log.exception("file not fetched", file=file.id)
        self._in_hand.discard(file.id)
        if file.id in self._not_before:
            self._wake.set()

    def _fetch(self, file: File) -> None:
        channel = self._channels.get(file.channel)
        if channel is None or self._clock() - file.at > KEPT:
            return self._gave_up(file, "lost", "expired" if channel else "no-channel")
        try:
            data = channel.fetch(Media(id=file.media_id or "", name=file.name, mime=file.mime))
        except Undeliverable as trouble:
            return self._gave_up(file, "refused" if trouble.code in ("too-big", "not-media") else "lost", trouble.code)
        except (TemporaryFailure, ChannelStopped) as trouble:
            return self._later(file, trouble.code)
        mime = sniffed(data)
        if not mime.startswith((*KINDS, *RECORDINGS)):
            return self._gave_up(file, "refused", mime or "unknown")
        if len(data) > MOST_BYTES:
            return self._gave_up(file, "refused", "too-big")
        digest = sha256(data).hexdigest()
        with transaction(self._sessions) as db, serving(db, SYSTEM):
            shut = files.quarantined(db, digest)
        if shut:
            return self._gave_up(file, "refused", "quarantined")
        keep(self._folder, data)
        with transaction(self._sessions) as db, serving(db, SYSTEM):
            files.stored(db, file.id, sha256=digest, mime=mime, size=len(data))
        return None

    def _later(self, file: File, code: str) -> None:
        if file.attempts + 1 >= TRIES:
            return self._gave_up(file, "lost", code)
        with transaction(self._sessions) as db, serving(db, SYSTEM):
            files.tried(db, file.id, "pending", code)
        self._not_before[file.id] = time.monotonic() + AGAIN_S * 2**file.attempts
        return None

    def _gave_up(self, file: File, state: files.State, reason: str) -> None:
        """Settle a file that will not come, and tell its sender."""
        photo = file.mime.startswith("image")
        words = say("files.refused", photo=photo, kind=reason) if state == "refused" else say("files.lost", photo=photo)
        with transaction(self._sessions) as db, serving(db, SYSTEM):
            files.tried(db, file.id, state, reason)
            deliveries.put(
                db,
                source=f"file:{file.id}",
                recipient=bindings.recipient(db, file.channel, file.address),
                lane="reply",
                reply=Reply(text=words).to_json(),
                why=say("files.why"),
                now=self._clock(),
            )


def _noticed(db: Session, _: UOWTransaction) -> None:
    if any(isinstance(one, File) for one in db.new):
        db.info["files"] = True
