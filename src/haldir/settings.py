"""What the operator asked for: the command line over the environment over DIR/haldir.toml over defaults.

The only module that reads the environment.
"""

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from haldir import config_file
from haldir.config_file import (
    CONFIG_FILE,
    LONGEST_HELD_SECONDS,
    PAYLOAD_DAYS_MAX,
    PORT_MAX,
    RATE_PER_MINUTE_MAX,
    OperatorUpstream,
    SettingsError,
)
from haldir.kernel.secret import Secret
from haldir.proxy.environment import minimal_environment
from haldir.proxy.model import PAYLOAD_DAYS, UpstreamConfig
from haldir.webhooks.mail_server import FIELDS, MailServer, mail_server

HOST = "127.0.0.1"
PORT = 4253
LOGIN_FILE = "login.json"
CONTACTS = ("mailto:", "https://")
HELD_SECONDS = 4  # Long enough for who sits before it; short of what any client takes for a fault.
RATES = range(1, RATE_PER_MINUTE_MAX + 1), "a number of requests per minute", "Unset it for no limit."
HOLDS = range(LONGEST_HELD_SECONDS + 1), f"a number of seconds up to {LONGEST_HELD_SECONDS}", "0 holds nothing open."
PAYLOADS = range(PAYLOAD_DAYS_MAX + 1), f"a number of days up to {PAYLOAD_DAYS_MAX}", "0 keeps nothing."
POSTGRES = ("postgresql://", "postgres://")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a server may depend on beyond the stored state."""

    data: Path
    host: str = HOST
    port: int = PORT  # 0 takes any free one.
    database_url: Secret[str] | None = None  # None: SQLite in the data folder.
    root_key: Secret[str] | None = None  # None: the file in the data folder.
    bootstrap_token: Secret[str] | None = None
    metrics_token: Secret[str] | None = None  # None: nobody reads /metrics.
    rate_limit_per_minute: int | None = None
    payload_days: int = PAYLOAD_DAYS
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    allow_private: bool = False
    public_url: str | None = None  # Where others reach this Haldir, without a slash at its end; None: where it listens.
    held_seconds: float = HELD_SECONDS  # How long MCP waits, within a request, for a person; 0 for not at all.
    mail: MailServer | None = None  # None: no webhook can be a mailbox.
    security_contact: str | None = None  # A mailto: or https: address, as RFC 9116 asks for.
    upstreams: tuple[OperatorUpstream, ...] = ()
    child_environment: dict[str, str] = {}  # What a stdio upstream inherits: never a variable of Haldir's own.

    @property
    def database_file(self) -> Path:
        return self.data / "haldir.db"

    @property
    def checkpoint_file(self) -> Path:
        return self.data / "checkpoint"

    @property
    def root_key_file(self) -> Path:
        return self.data / "root.key"

    @property
    def admin_key_file(self) -> Path:
        return self.data / "admin.key"

    @property
    def server_file(self) -> Path:
        """Where a running server says `{"url": …}`, so that commands find it."""
        return self.data / "server.json"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said; None where it said nothing."""

    data: Path | None = None
    host: str | None = None
    port: int | None = None
    database_url: str | None = None
    allow_private: bool | None = None
    upstreams: tuple[str, ...] = ()


class Login(msgspec.Struct, frozen=True):
    """A Haldir that somebody logged in to: the key goes to this address and no other."""

    url: str
    key: Secret[str]


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment, or else a login, tells a command that speaks REST."""

    default_data: Path
    login_file: Path
    base_url: str | None
    api_key: Secret[str] | None
    login: Login | None = None


def load(asked: Asked, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a server; raises SettingsError."""
    found = _Environment(environ)
    data = (asked.data or found.data()).absolute()
    file = config_file.read(data / CONFIG_FILE)
    held = found.whole("HALDIR_HELD_SECONDS", *HOLDS)
    held = file.held_seconds if held is None else held
    rate = found.whole("HALDIR_RATE_LIMIT", *RATES)
    payload_days = found.whole("HALDIR_PAYLOAD_DAYS", *PAYLOADS)
    if payload_days is None:
        payload_days = file.payload_days
    private = file.allow_private if asked.allow_private is None else asked.allow_private
    port = file.port if asked.port is None else asked.port
    database_url = asked.database_url or found.get("HALDIR_DATABASE_URL") or file.database_url
    return Settings(
        data=data,
        host=asked.host or file.host or HOST,
        port=PORT if port is None else _checked_port(port),
        database_url=_hidden(_checked_database_url(database_url)),
        root_key=_hidden(found.get("HALDIR_ROOT_KEY")),
        bootstrap_token=_hidden(found.get("HALDIR_BOOTSTRAP_TOKEN")),
        metrics_token=_hidden(found.get("HALDIR_METRICS_TOKEN")),
        payload_days=PAYLOAD_DAYS if payload_days is None else payload_days,
        rate_limit_per_minute=file.rate_limit_per_minute if rate is None else rate,
        allowed_hosts=found.names("HALDIR_ALLOWED_HOSTS") or file.allowed_hosts,
        allowed_origins=found.names("HALDIR_ALLOWED_ORIGINS") or file.allowed_origins,
        allow_private=bool(private),
        public_url=_checked_address(
            "The public URL", found.get("HALDIR_PUBLIC_URL") or file.public_url, ("https://", "http://")
        ),
        held_seconds=HELD_SECONDS if held is None else held,
        mail=_mail_server(found, file.smtp),
        security_contact=_checked_address(
            "The security contact", found.get("HALDIR_SECURITY_CONTACT") or file.security_contact, CONTACTS
        ),
        upstreams=_merge(file.upstreams, [parse_upstream(text) for text in asked.upstreams]),
        child_environment=found.for_children(),
    )


def load_client(environ: Mapping[str, str] | None = None) -> ClientSettings:
    """Return where the environment says that Haldir is, and with which key to ask it."""
    found = _Environment(environ)
    file = found.folder("XDG_CONFIG_HOME", ".config") / LOGIN_FILE
    return ClientSettings(
        default_data=found.data(),
        login_file=file,
        base_url=found.get("HALDIR_BASE_URL"),
        api_key=_hidden(found.get("HALDIR_API_KEY")),
        login=_login(file),
    )


def environment_without_settings() -> dict[str, str]:
    """Return the environment for a child process that shall know nothing of this user's Haldir."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HALDIR_")}


def parse_upstream(text: str) -> OperatorUpstream:
    """Read `NAME=URL` or `NAME=COMMAND`, as the command line gives an upstream."""
    name, _, target = text.partition("=")
    if not target.strip():
        raise SettingsError(f"--upstream {text}", "is incomplete", "Give NAME=URL or NAME=COMMAND.")
    config_file.check_name("--upstream", name)
    if target.startswith(("http://", "https://")):
        return OperatorUpstream(name, UpstreamConfig(url=target))
    try:
        command = shlex.split(target)
    except ValueError as error:
        raise SettingsError(f"--upstream {name}", f"cannot be split into words: {error}", "Mend its quotes.") from None
    return OperatorUpstream(name, UpstreamConfig(command=tuple(command)))


class _Environment:
    """The environment, where an empty variable is as good as none."""

    def __init__(self, environ: Mapping[str, str] | None) -> None:
        self._variables = os.environ if environ is None else environ

    def get(self, name: str) -> str | None:
        return self._variables.get(name, "").strip() or None

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in (self.get(name) or "").split(",") if part.strip())

    def whole(self, name: str, span: range, meaning: str, remedy: str) -> int | None:
        text = self.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal()) or int(text[:10]) not in span:
            raise SettingsError(name, f"is not {meaning}: {text!r}", remedy)
        return int(text)

    def for_children(self) -> dict[str, str]:
        return minimal_environment(self._variables)

    def data(self) -> Path:
        """Return the default data folder."""
        return self.folder("XDG_DATA_HOME", ".local/share")

    def folder(self, variable: str, otherwise: str) -> Path:
        """Return Haldir's own folder below a base. XDG Base Directory: a relative one counts as none."""
        home = Path(self.get(variable) or "")
        return (home if home.is_absolute() else Path.home() / otherwise) / "haldir"


def _login(file: Path) -> Login | None:
    """Return what `haldir login` left; what cannot be read is no login."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
        return Login(found["url"], Secret(found["key"]))
    except (OSError, KeyError, msgspec.DecodeError):
        return None


def _mail_server(found: _Environment, from_file: Mapping[str, str]) -> MailServer | None:
    """Return the mail server that the environment and, where it is silent, the file name; the password from a file."""
    fields = (*FIELDS, "password_file")
    variables = {field: found.get(f"HALDIR_SMTP_{field.upper()}") for field in fields}
    given = {**from_file, **{field: value for field, value in variables.items() if value is not None}}
    if not given:
        return None
    remedy = "Set HALDIR_SMTP_HOST, HALDIR_SMTP_FROM and what belongs to them, or [smtp] in haldir.toml."
    try:
        if "password" not in given and "password_file" in given:
            given["password"] = Path(given["password_file"]).read_text(encoding="utf-8").strip()
        Path(given.get("ca_file", os.devnull)).open("rb").close()  # Now, and not when the first letter is to go.
        return mail_server(given)
    except UnicodeDecodeError:
        raise SettingsError(f"The mail server's {given['password_file']}", "is not text", remedy) from None
    except OSError as error:
        raise SettingsError(
            f"The mail server's {error.filename}", f"cannot be read: {error.strerror}", remedy
        ) from None
    except ValueError as error:
        raise SettingsError("The mail server", f"cannot be used: {error}", remedy) from None


def _merge(
    from_file: Iterable[OperatorUpstream], from_command_line: Iterable[OperatorUpstream]
) -> tuple[OperatorUpstream, ...]:
    """Let the command line say how an upstream is reached; what the file said of its tools still counts."""
    merged = {each.name: each for each in from_file}
    given: set[str] = set()
    for each in from_command_line:
        if each.name in given:
            raise SettingsError(f"--upstream {each.name}", "is given twice", "Give each upstream a name of its own.")
        given.add(each.name)
        rules = merged[each.name].tool_rules if each.name in merged else ()
        merged[each.name] = OperatorUpstream(each.name, each.config, rules)
    return tuple(merged.values())


def _checked_port(port: int) -> int:
    if not 0 <= port <= PORT_MAX:
        raise SettingsError("--port", f"must be from 0 to {PORT_MAX}", "0 takes any free port.")
    return port


def _checked_database_url(url: str | None) -> str | None:
    """Refuse what is no address of PostgreSQL, without repeating it: it may hold a password."""
    if url is not None and not url.startswith(POSTGRES):
        remedy = "Give postgresql://USER@HOST/DATABASE, or nothing for SQLite in the data folder."
        raise SettingsError("The database URL", "is not one of PostgreSQL", remedy)
    return url


def _checked_address(what: str, text: str | None, beginnings: tuple[str, ...]) -> str | None:
    """Refuse what could not stand in a document that others follow."""
    if text is None:
        return None
    if not text.startswith(beginnings) or not text.isascii() or not text.isprintable() or " " in text:
        raise SettingsError(what, f"is no such address: {text!r}", f"Begin it with {' or '.join(beginnings)}.")
    return text.rstrip("/")


def _hidden(text: str | None) -> Secret[str] | None:
    return None if text is None else Secret(text)
