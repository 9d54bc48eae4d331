"""Personal values at rest: encrypted with the data key and a prefix that names the algorithm; masked on screen.

The key comes with the session (`storage.db.make_sessions`), never from the database.
"""

import base64
import hmac
import os
import re
import unicodedata
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, select, update
from sqlalchemy.orm import Session

from storage.models import Base, Invitation, UploadLink
from storage.scope import SYSTEM, serving

PREFIX = "aesgcm1:"
_MOBILE = re.compile(r"(?<!\d)[1１][3-9３-９](?:[\s-]?\d){9}(?!\d)")
_AT_ONCE = 1000  # rows held while a column is encrypted anew
_NONCE = 12  # bytes, as NIST SP 800-38D recommends


@dataclass(frozen=True, kw_only=True)
class Rekeyed:
    """What a new key touched: values encrypted again; invitations revoked and upload links ended."""

    values: int
    invitations: int
    links: int


def encrypt(db: Session, value: str) -> str:
    """A value as it is stored: the algorithm's prefix and base64 of nonce and ciphertext."""
    nonce = _nonce()
    sealed = _cipher(db.info["data_key"]).encrypt(nonce, value.encode(), PREFIX.encode())
    return PREFIX + base64.b64encode(nonce + sealed).decode()


_NONCES: deque[bytes] = deque()
os.register_at_fork(after_in_child=_NONCES.clear)


def _nonce() -> bytes:
    """Random bytes that are used once. Each draw hands the interpreter to other threads, so many are drawn at a time."""
    try:
        return _NONCES.popleft()
    except IndexError:
        drawn = os.urandom(_NONCE * 512)
        _NONCES.extend(drawn[start : start + _NONCE] for start in range(_NONCE, len(drawn), _NONCE))
        return drawn[:_NONCE]


def decrypt(db: Session, stored: str) -> str:
    """The value behind what is stored. Raises ValueError on an unknown prefix, InvalidTag on a wrong key."""
    if not stored.startswith(PREFIX):
        raise ValueError("an unknown algorithm")
    raw = base64.b64decode(stored.removeprefix(PREFIX))
    return _cipher(db.info["data_key"]).decrypt(raw[:_NONCE], raw[_NONCE:], PREFIX.encode()).decode()


def digest(db: Session, value: str) -> str:
    """A keyed digest of a value: finds a phone or a code without storing it."""
    return hmac.new(_key(db.info["data_key"], b"digests"), value.encode(), sha256).hexdigest()


def rekey(db: Session, key: bytes, now: datetime) -> Rekeyed:
    """Encrypt every encrypted value with a new key and compute its digests anew, in the caller's transaction.

    Codes and links are known by their digest alone: those that wait to be used are ended.
    """
    values = 0
    with serving(db, SYSTEM):
        for table in Base.metadata.sorted_tables:
            for column in (one for one in table.columns if one.info.get("encrypted")):
                digests = [one for one in table.columns if one.info.get("digest_of") == column.name]
                values += _rekey_column(db, key, column, digests)
        invitations = update(Invitation).where(Invitation.used_at.is_(None), Invitation.revoked_at.is_(None))
        links = update(UploadLink).where(UploadLink.expires_at > now)
        ended = [
            db.execute(statement.returning(table.id), execution_options={"synchronize_session": False}).all()
            for table, statement in (
                (Invitation, invitations.values(revoked_at=now)),
                (UploadLink, links.values(expires_at=now)),
            )
        ]
        db.info["data_key"] = key
    return Rekeyed(values=values, invitations=len(ended[0]), links=len(ended[1]))


def _rekey_column(db: Session, key: bytes, column: Column[Any], digests: list[Column[Any]]) -> int:
    [row_id] = column.table.primary_key.columns
    some = select(row_id, column).where(column != "").order_by(row_id).limit(_AT_ONCE)
    before = db.info["data_key"]
    count, rows = 0, db.execute(some).all()
    while rows:
        for number, stored in rows:
            value = decrypt(db, stored)
            db.info["data_key"] = key
            changed = {column.name: encrypt(db, value)} | {one.name: digest(db, value) for one in digests}
            db.info["data_key"] = before
            db.execute(update(column.table).where(row_id == number).values(changed))
        count += len(rows)
        rows = db.execute(some.where(row_id > rows[-1][0])).all()
    return count


def fits(db: Session) -> bool:
    """Whether the session's key opens what is stored; True when nothing is."""
    for table in Base.metadata.sorted_tables:
        for column in (one for one in table.columns if one.info.get("encrypted")):
            stored = db.execute(select(column).where(column != "").limit(1)).scalar()
            if stored is not None:
                try:
                    decrypt(db, stored)
                except (ValueError, InvalidTag):
                    return False
    return True


def masked(phone: str) -> str:
    """138****5678; short numbers keep their last two digits."""
    digits = re.sub(r"\D", "", phone)
    return f"{digits[:3]}****{digits[-4:]}" if len(digits) >= 11 else f"****{digits[-2:]}"


def without_phones(text: str) -> str:
    """A text with every mobile number masked: what is kept of a message."""
    return _MOBILE.sub(lambda found: masked(unicodedata.normalize("NFKC", found[0])), text)


@lru_cache(maxsize=2)  # every turn encrypts; while keys change there are two
def _cipher(data_key: bytes) -> AESGCM:
    return AESGCM(_key(data_key, b"values"))


def _key(data_key: bytes, purpose: bytes) -> bytes:
    return hmac.new(data_key, purpose, sha256).digest()
