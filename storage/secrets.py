"""Personal values at rest: encrypted with the data key and a prefix that names the algorithm; masked on screen.

The key comes with the session (`storage.db.make_sessions`), never from the database.
"""

import base64
import hmac
import os
import re
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.orm import Session

PREFIX = "aesgcm1:"
_NONCE = 12  # bytes, as NIST SP 800-38D recommends


def encrypt(db: Session, value: str) -> str:
    """A value as it is stored: the algorithm's prefix and base64 of nonce and ciphertext."""
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(_key(db, b"values")).encrypt(nonce, value.encode(), PREFIX.encode())
    return PREFIX + base64.b64encode(nonce + sealed).decode()


def decrypt(db: Session, stored: str) -> str:
    """The value behind what is stored. Raises ValueError on an unknown prefix, InvalidTag on a wrong key."""
    if not stored.startswith(PREFIX):
        raise ValueError("an unknown algorithm")
    raw = base64.b64decode(stored.removeprefix(PREFIX))
    return AESGCM(_key(db, b"values")).decrypt(raw[:_NONCE], raw[_NONCE:], PREFIX.encode()).decode()


def digest(db: Session, value: str) -> str:
    """A keyed digest of a value: finds a phone or a code without storing it."""
    return hmac.new(_key(db, b"digests"), value.encode(), sha256).hexdigest()


def masked(phone: str) -> str:
    """138****5678; short numbers keep their last two digits."""
    digits = re.sub(r"\D", "", phone)
    return f"{digits[:3]}****{digits[-4:]}" if len(digits) >= 11 else f"****{digits[-2:]}"


def _key(db: Session, purpose: bytes) -> bytes:
    return hmac.new(db.info["data_key"], purpose, sha256).digest()
