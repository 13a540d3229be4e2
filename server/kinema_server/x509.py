"""Reads off a certificate what Python's ssl module keeps to itself: when it ends.

ssl tells it of a peer's certificate once that is verified, never of one's own.
"""

import binascii
from datetime import UTC, datetime

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_VERSION, _UTC_TIME = 0xA0, 0x17
"""Tags of DER."""


def not_after(pem: bytes) -> datetime:
    """Tell when the first certificate of a chain ends: RFC 5280, 4.1.

    Raises:
        ValueError: there is no certificate in it, or it is none.
    """
    _, found, rest = pem.partition(_BEGIN)
    if not found:
        raise ValueError("it holds no -----BEGIN CERTIFICATE-----")
    der = binascii.a2b_base64(rest.partition(_END)[0])
    certificate = _content(der, 0)  # SEQUENCE: tbsCertificate, ...
    fields = _content(certificate, 0)  # SEQUENCE: [version], serialNumber, signature, issuer, validity, ...
    position = _after(fields, 0) if fields[:1] == bytes([_VERSION]) else 0
    for _ in ("serialNumber", "signature", "issuer"):
        position = _after(fields, position)
    validity = _content(fields, position)  # SEQUENCE: notBefore, notAfter
    position = _after(validity, 0)
    text = _content(validity, position).decode("ascii")
    if validity[position] == _UTC_TIME:  # its years are 1950 to 2049
        text = ("19" if text[:1] >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _bounds(der: bytes, position: int) -> tuple[int, int]:
    """Find the content of the value that begins at `position`: X.690, 8.1."""
    if len(der) < position + 2:
        raise ValueError("a certificate ends too early")
    start, length = position + 2, der[position + 1]
    if length >= 0x80:
        start += length - 0x80
        length = int.from_bytes(der[position + 2 : start], "big")
    if len(der) < start + length:
        raise ValueError("a certificate ends too early")
    return start, start + length


def _content(der: bytes, position: int) -> bytes:
    start, end = _bounds(der, position)
    return der[start:end]


def _after(der: bytes, position: int) -> int:
    return _bounds(der, position)[1]
