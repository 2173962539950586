"""Letting other devices in: this machine's address, a certificate made on the spot, a token."""

from __future__ import annotations

import hashlib
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fer_bench.errors import FerBenchError
from fer_bench.settings import cache_dir
from fer_bench.storage import write_atomically

VALID = timedelta(days=90)
#: A documentation address (RFC 5737): asking for the way there sends nothing.
ELSEWHERE = ("192.0.2.1", 9)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A self-signed certificate on disk.

    Attributes:
        fingerprint: SHA-256 in hex, as browsers show it.
    """

    certificate: Path
    key: Path
    fingerprint: str


def lan_address() -> str:
    """The address of this machine in its local network.

    Raises:
        FerBenchError: it is in none.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(ELSEWHERE)
            address = str(probe.getsockname()[0])
    except OSError:
        address = "127.0.0.1"
    if ip_address(address).is_loopback:
        raise FerBenchError("this machine is in no network: join one, or leave --lan out")
    return address


def new_token() -> str:
    """A random token, short enough to be typed."""
    return secrets.token_urlsafe(12)


def make_certificate(addresses: tuple[str, ...], folder: Path | None = None) -> Certificate:
    """A certificate for these host names and addresses; one made before is used again.

    Args:
        folder: where it is stored, the key readable by its owner alone; None for the cache.

    Raises:
        FerBenchError: the folder cannot be written.
    """
    folder = folder or cache_dir() / "certificates"
    name = hashlib.sha256(" ".join(addresses).encode()).hexdigest()[:16]
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    known = _valid(*paths)
    if known is None:
        known, key = _signed(addresses)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_private(paths[1], key)
            write_atomically({paths[0]: known.public_bytes(serialization.Encoding.PEM)})
        except OSError as error:
            raise FerBenchError(
                f"cannot write {folder}: {error.strerror}; set FER_BENCH_CACHE to another folder"
            ) from None
    fingerprint = known.fingerprint(hashes.SHA256()).hex(":").upper()
    return Certificate(certificate=paths[0], key=paths[1], fingerprint=fingerprint)


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


def _valid(certificate: Path, key: Path) -> x509.Certificate | None:
    """What is there, if it belongs to the key and is good for another day."""
    try:
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError):
        return None
    is_pair = known.public_key() == private.public_key()
    is_fresh = known.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)
    return known if is_pair and is_fresh else None


def _signed(addresses: tuple[str, ...]) -> tuple[x509.Certificate, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "FER Bench on this machine")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(list(map(_general, addresses))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate, content


def _general(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)
