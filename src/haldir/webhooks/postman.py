"""One attempt over SMTP: bounded in time, and never in the clear where the operator asked for TLS."""

import asyncio
import contextlib
import functools
import smtplib
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import final

from haldir.webhooks.mail_server import MailServer, domain_of
from haldir.webhooks.message import clean
from haldir.webhooks.sent import Sent

ATTEMPT_SECONDS_MAX = 15.0
STEP_SECONDS_MIN = 0.05  # What the last step gets at least: with none at all a socket would not block, and fail oddly.
LETTERS_AT_ONCE = 8  # Threads; a mail server that takes connections and says nothing holds no more than these.
EXCERPT_CHARS_MAX = 300
TAKEN = 250  # RFC 5321 §4.2.3: the server has the letter now.
CODES = range(200, 600)


@final
class Postman:
    """Brings letters to one mail server, each on a connection of its own."""

    def __init__(self, server: MailServer, seconds_max: float = ATTEMPT_SECONDS_MAX) -> None:
        self._server, self._seconds_max = server, seconds_max
        self._threads = ThreadPoolExecutor(LETTERS_AT_ONCE, thread_name_prefix="haldir-mail")

    async def send(self, address: str, letter: bytes) -> Sent:
        """Return how one attempt ended. Its status is what the server answered."""
        started = time.monotonic()
        trip = _Trip(self._server, self._trust, started + self._seconds_max)
        try:
            async with asyncio.timeout(self._seconds_max):
                sent = await asyncio.get_running_loop().run_in_executor(self._threads, trip.make, address, letter)
        except TimeoutError:
            sent = _failed(None, f"The mail server took longer than {self._seconds_max:g} s.")
        return Sent(
            sent.status, sent.error, sent.excerpt, duration_ms=round((time.monotonic() - started) * 1000), by="smtp"
        )

    def close(self) -> None:
        """Begin no more; what is under way ends by itself, in time."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @functools.cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._server.ca_file)


@final
class _Trip:
    """One connection, in a thread; each step gets what is left of the time."""

    def __init__(self, server: MailServer, trust: ssl.SSLContext, deadline: float) -> None:
        self._server, self._trust, self._deadline = server, trust, deadline

    def make(self, address: str, letter: bytes) -> Sent:
        try:
            self._hand_over(address, letter)
            return Sent(TAKEN, by="smtp")
        except smtplib.SMTPRecipientsRefused as refused:
            code, said = refused.recipients[address]
            return _answered(code, said)
        except smtplib.SMTPResponseException as refused:
            return _answered(refused.smtp_code, refused.smtp_error)
        except smtplib.SMTPServerDisconnected:
            return _failed(None, "The mail server closed the connection without an answer.")
        except smtplib.SMTPException as error:  # It cannot do what was asked for: STARTTLS, or any way to log in.
            return _failed(None, f"The mail server cannot be used: {clean(str(error), EXCERPT_CHARS_MAX)}")
        except ssl.SSLCertVerificationError:
            return _failed(None, "The mail server could not be reached: its certificate is not trusted.")
        except TimeoutError:
            return _failed(None, "The mail server did not answer in time.")
        except OSError as error:
            return _failed(None, f"The mail server could not be reached: {error.strerror or 'the connection failed'}.")

    def _hand_over(self, address: str, letter: bytes) -> None:
        line = self._connected()
        try:
            self._introduced(line)
            self._in_time(line)
            line.sendmail(self._server.sender, [address], letter)
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):  # How we part changes nothing.
                self._in_time(line)
                line.quit()
            line.close()

    def _connected(self) -> smtplib.SMTP:
        server, name = self._server, domain_of(self._server.sender)
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, name, timeout=self._left(), context=self._trust)
        return smtplib.SMTP(server.host, server.port, name, timeout=self._left())

    def _introduced(self, line: smtplib.SMTP) -> None:
        """Go over to TLS and log in, as the operator asked: never on without it."""
        if self._server.security == "starttls":
            self._in_time(line)
            line.starttls(context=self._trust)
        if self._server.password is not None:
            self._in_time(line)
            line.login(self._server.user, self._server.password.reveal())

    def _in_time(self, line: smtplib.SMTP) -> None:
        if line.sock is not None:
            line.sock.settimeout(self._left())

    def _left(self) -> float:
        return max(STEP_SECONDS_MIN, self._deadline - time.monotonic())


def _answered(code: int, said: bytes | str) -> Sent:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    if code not in CODES:
        return _failed(None, "The mail server answered nothing that SMTP knows.")
    return Sent(code, f"The mail server answered {code}.", clean(text, EXCERPT_CHARS_MAX), by="smtp")


def _failed(status: int | None, error: str) -> Sent:
    return Sent(status, error, by="smtp")
