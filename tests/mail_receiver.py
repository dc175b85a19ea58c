"""A real SMTP server on loopback that takes letters, with TLS and a password where the test wants them."""

import email
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from upstreams.serving import free_port

USER, PASSWORD = "haldir", "s3cret-of-the-mail-server"
TAKEN = "250 OK"


class Taken(NamedTuple):
    """A letter as it came, and how its line was."""

    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool
    logged_in: bool

    @property
    def letter(self) -> EmailMessage:
        read = email.message_from_bytes(self.raw, policy=POLICY)
        assert isinstance(read, EmailMessage)
        return read


class Mailbox:
    """What came, in order. What `at_recipient` and `at_letter` return is what the server answers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.came: list[Taken] = []
        self.at_recipient: Callable[[str], str] = lambda _address: TAKEN
        self.at_letter: Callable[[Taken], str] = lambda _taken: TAKEN

    @property
    def ids(self) -> list[str]:
        return [taken.letter["Message-ID"] for taken in self.came]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so.
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        answer = self.at_recipient(address)
        if answer == TAKEN:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 - as above.
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        taken = Taken(
            str(envelope.mail_from),
            list(envelope.rcpt_tos),
            envelope.content,
            session.ssl is not None,
            bool(session.authenticated),
        )
        answer = self.at_letter(taken)
        if answer == TAKEN:
            self.came.append(taken)
        return answer


@contextmanager
def taking_mail(port: int = 0, **options: Any) -> Iterator[Mailbox]:
    """Take letters for as long as the block lasts; the options are those of aiosmtpd."""
    mailbox = Mailbox(port or free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, **options)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


def knows_password(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
    """Let in whoever has the password."""
    right = isinstance(given, LoginPassword) and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


class Certificate(NamedTuple):
    """Who trusts `file` trusts a server with `context`."""

    file: Path
    context: ssl.SSLContext


def certificate(folder: Path, address: str = "127.0.0.1") -> Certificate:
    """Make a certificate for a server at this address, which vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = folder / "mail.pem", folder / "mail.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return Certificate(file, context)
