"""DIR/haldir.toml, read strictly: a key nobody knows is refused by name, for a misspelt limit would be no limit."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from haldir.kernel import ids
from haldir.kernel.errors import HaldirError
from haldir.kernel.money import BadAmount, parse_amount
from haldir.kernel.strict_json import Number
from haldir.proxy.model import DEADLINE_SECONDS, Price, ToolRule, UpstreamConfig

CONFIG_FILE = "haldir.toml"
PORT_MAX = 65_535
RATE_PER_MINUTE_MAX = 1_000_000  # Far above what one process answers; a larger number is a slip.
LONGEST_HELD_SECONDS = 30  # Proxies and clients give up on a request that is held for much longer.
PAYLOAD_DAYS_MAX = 3_660  # Ten years: the longest that records of this kind must be kept.
DEADLINE_SECONDS_MAX = 3_600  # A call that may take longer would hold its money for longer than anyone watches.

T = TypeVar("T")


class SettingsError(HaldirError):
    """A setting cannot be used; the message says where it stands, what is wrong and what to do."""

    code = "settings_invalid"

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(f"{where} {problem}. {remedy}")


class OperatorUpstream(msgspec.Struct, frozen=True):
    """An upstream that the operator vouches for: it may run a command or reach a private address."""

    name: str
    config: UpstreamConfig
    tool_rules: tuple[ToolRule, ...] = ()


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says; None where it says nothing."""

    host: str | None = None
    port: int | None = None
    database_url: str | None = None
    rate_limit_per_minute: int | None = None
    payload_days: int | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    allow_private: bool | None = None
    public_url: str | None = None
    held_seconds: int | None = None
    security_contact: str | None = None
    smtp: dict[str, str] = {}  # By the names that webhooks/mail_server.py reads, and password_file.
    upstreams: tuple[OperatorUpstream, ...] = ()


def read(path: Path) -> ConfigFile:
    """Return what the file says; raises SettingsError. No file says nothing."""
    try:
        values = tomllib.loads(path.read_bytes().decode(), parse_float=Number)
    except FileNotFoundError:
        return ConfigFile()
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}", "Check who owns it.") from None
    except ValueError as error:  # Bad TOML and bad UTF-8 both are.
        raise SettingsError(str(path), f"is not TOML: {error}", "Mend it there.") from None
    return _config_file(_Table(path, "", values))


def check_name(where: str, name: str) -> None:
    """Refuse a name that could not stand in a path, a scope or a joined tool name."""
    if not ids.is_upstream_name(name):
        remedy = "Use letters and digits, with single dashes and underscores between them."
        raise SettingsError(where, f"{name!r} is no name for an upstream", remedy)


def _config_file(table: "_Table") -> ConfigFile:
    file = ConfigFile(
        host=table.text("host"),
        port=table.whole("port", 0, PORT_MAX),
        database_url=table.text("database_url"),
        rate_limit_per_minute=table.whole("rate_limit_per_minute", 1, RATE_PER_MINUTE_MAX),
        payload_days=table.whole("payload_days", 0, PAYLOAD_DAYS_MAX),
        allowed_hosts=table.texts("allowed_hosts"),
        allowed_origins=table.texts("allowed_origins"),
        allow_private=table.flag("allow_private"),
        public_url=table.text("public_url"),
        held_seconds=table.whole("held_seconds", 0, LONGEST_HELD_SECONDS),
        security_contact=table.text("security_contact"),
        smtp=_smtp(table.table("smtp")),
        upstreams=tuple(_upstream(name, each) for name, each in table.tables("upstreams")),
    )
    table.done()
    return file


def _smtp(table: "_Table") -> dict[str, str]:
    """Read where mail goes out; the password stands in a file of its own."""
    port = table.whole("port", 1, PORT_MAX)
    texts = {key: table.text(key) for key in ("host", "security", "user", "password_file", "from", "ca_file")}
    table.done()
    given = texts | {"port": None if port is None else str(port)}
    return {key: value for key, value in given.items() if value is not None}


def _upstream(name: str, table: "_Table") -> OperatorUpstream:
    check_name(f"{table.file}: [{table.path}]", name)
    url, command = table.text("url"), table.texts("command")
    if bool(url) == bool(command):
        raise table.wrong("url", "or command must be given, and not both")
    if url and not url.startswith(("http://", "https://")):
        raise table.wrong("url", "must begin with http:// or https://")
    config = UpstreamConfig(
        url=url or "",
        headers=table.mapping("headers") if url else {},
        command=command,
        env=table.mapping("env") if command else {},
        deadline_seconds=table.seconds("deadline_seconds", DEADLINE_SECONDS_MAX) or DEADLINE_SECONDS,
    )
    rules = tuple(_tool_rule(tool, each) for tool, each in table.tables("tools"))
    table.done()
    return OperatorUpstream(name, config, rules)


def _tool_rule(tool: str, table: "_Table") -> ToolRule:
    rule = ToolRule(tool=tool, scope=table.text("scope"), price=_price(table))
    table.done()
    return rule


def _price(table: "_Table") -> Price | None:
    """Read `price = 0.25`, or `price = { pointer = "/amount", unit = 0.01 }`."""
    if not table.holds_table("price"):
        fixed_micros = table.micros("price")
        return None if fixed_micros is None else Price(fixed_micros=fixed_micros)
    price = table.table("price")
    pointer, unit_micros = price.text("pointer"), price.micros("unit")
    price.done()
    if pointer is None or not pointer.startswith("/"):
        raise price.wrong("pointer", 'must be a JSON pointer into the arguments, such as "/amount"')
    if unit_micros == 0:
        raise price.wrong("unit", "must be above zero")
    return Price(pointer=pointer) if unit_micros is None else Price(pointer=pointer, unit_micros=unit_micros)


class _Table:
    """One table of the file; what was not asked for by the time of `done` is refused."""

    def __init__(self, file: Path, path: str, values: dict[str, Any]) -> None:
        self.file, self.path, self.values = file, path, values
        self._known: set[str] = set()

    def text(self, key: str) -> str | None:
        text = self._take(key, str, "a text in quotes")
        if text == "":
            raise self.wrong(key, "must not be empty")
        return text

    def flag(self, key: str) -> bool | None:
        return self._take(key, bool, "true or false")

    def whole(self, key: str, low: int, high: int) -> int | None:
        number = self._take(key, int, f"a whole number from {low} to {high}")
        if number is not None and not low <= number <= high:
            raise self.wrong(key, f"must be a whole number from {low} to {high}")
        return number

    def seconds(self, key: str, high: int) -> float | None:
        text = self._number(key)
        if text is not None and not 0 < float(text) <= high:
            raise self.wrong(key, f"must be a number of seconds above 0 and at most {high}")
        return None if text is None else float(text)

    def micros(self, key: str) -> int | None:
        text = self._number(key)
        try:
            return None if text is None else parse_amount(text)
        except BadAmount as error:
            raise self.wrong(key, f"is no amount: it {error}") from None

    def texts(self, key: str) -> tuple[str, ...]:
        items = self._take(key, list, "a list of texts") or []
        if not all(isinstance(item, str) for item in items):
            raise self.wrong(key, "must be a list of texts")
        return tuple(items)

    def mapping(self, key: str) -> dict[str, str]:
        items = self._take(key, dict, "a table of texts") or {}
        if not all(isinstance(item, str) for item in items.values()):
            raise self.wrong(key, "must be a table of texts")
        return dict(items)

    def holds_table(self, key: str) -> bool:
        return isinstance(self.values.get(key), dict)

    def table(self, key: str) -> "_Table":
        return _Table(self.file, self._at(key), self._take(key, dict, "a table") or {})

    def tables(self, key: str) -> Iterable[tuple[str, "_Table"]]:
        inner = self.table(key)
        return [(name, inner.table(name)) for name in inner.values]

    def done(self) -> None:
        """Refuse the first key that was not asked for."""
        for key in self.values:
            if key not in self._known:
                raise self.wrong(key, f"is not known here; known are {', '.join(sorted(self._known))}")

    def wrong(self, key: str, problem: str) -> SettingsError:
        return SettingsError(f"{self.file}: {self._at(key)}", problem, "Change it there.")

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _number(self, key: str) -> str | None:
        self._known.add(key)
        match self.values.get(key):
            case None:
                return None
            case Number() as number:
                return number.text.replace("_", "")
            case int() as number if not isinstance(number, bool):
                return str(number)
        raise self.wrong(key, "must be a number")

    def _take(self, key: str, kind: type[T], wanted: str) -> T | None:
        self._known.add(key)
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"must be {wanted}")
        return value
