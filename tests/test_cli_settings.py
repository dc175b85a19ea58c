"""Settings: what wins over what, and what is refused by name."""

from pathlib import Path

import pytest

from haldir.config_file import SettingsError
from haldir.proxy.model import DEADLINE_SECONDS, Price, ToolRule, UpstreamConfig
from haldir.settings import Asked, load, load_client, parse_upstream


def in_folder(folder: Path, text: str) -> Asked:
    (folder / "haldir.toml").write_text(text)
    return Asked(data=folder)


def test_without_anything_said_the_defaults_stand(tmp_path: Path) -> None:
    settings = load(Asked(data=tmp_path), {})
    assert (settings.host, settings.port, settings.allow_private, settings.upstreams) == ("127.0.0.1", 4253, False, ())
    assert (settings.database_url, settings.root_key, settings.bootstrap_token) == (None, None, None)
    assert settings.rate_limit_per_minute is None
    assert settings.payload_days == 30


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    in_folder(
        tmp_path,
        'port = 1\nhost = "file"\ndatabase_url = "postgresql://file"\nrate_limit_per_minute = 7\nallow_private = true\n',
    )
    environ = {"HALDIR_DATABASE_URL": "postgresql://environment", "HALDIR_RATE_LIMIT": "8"}
    settings = load(Asked(data=tmp_path, port=0, allow_private=False), environ)
    assert (settings.host, settings.port, settings.allow_private, settings.rate_limit_per_minute) == (
        "file",
        0,
        False,
        8,
    )
    assert settings.database_url is not None
    assert settings.database_url.reveal() == "postgresql://environment"


@pytest.mark.parametrize("days", [0, 1, 3660])
def test_days_are_kept_as_the_environment_says_or_else_the_file(tmp_path: Path, days: int) -> None:
    asked = in_folder(tmp_path, f"payload_days = {days}\n")
    assert load(asked, {}).payload_days == days
    in_folder(tmp_path, "payload_days = 7\n")
    assert load(asked, {"HALDIR_PAYLOAD_DAYS": str(days)}).payload_days == days


@pytest.mark.parametrize("text", ["-1", "3661", "1.5", "for ever"])
def test_days_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="HALDIR_PAYLOAD_DAYS"):
        load(Asked(data=tmp_path), {"HALDIR_PAYLOAD_DAYS": text})


def test_what_is_secret_does_not_show(tmp_path: Path) -> None:
    environ = {
        "HALDIR_ROOT_KEY": "rrr-root",
        "HALDIR_BOOTSTRAP_TOKEN": "rrr-token",
        "HALDIR_DATABASE_URL": "postgresql://u:rrr-password@h/d",
        "HALDIR_API_KEY": "rrr-key",
    }
    assert "rrr-" not in repr(load(Asked(data=tmp_path), environ)) + repr(load_client(environ))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_DATA_HOME": "/data"}, Path("/data/haldir")),
        ({"XDG_DATA_HOME": "relative"}, Path.home() / ".local/share/haldir"),
        ({"XDG_DATA_HOME": ""}, Path.home() / ".local/share/haldir"),
        ({}, Path.home() / ".local/share/haldir"),
    ],
)
def test_the_data_folder_follows_the_xdg_specification(environ: dict[str, str], expected: Path) -> None:
    assert load_client(environ).default_data == expected


def test_hosts_and_origins_are_lists_with_commas(tmp_path: Path) -> None:
    settings = load(
        Asked(data=tmp_path),
        {"HALDIR_ALLOWED_HOSTS": " a.example, b.example ,", "HALDIR_ALLOWED_ORIGINS": "https://a.example"},
    )
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.allowed_origins == ("https://a.example",)


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5", "99999999", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_rate_limit_that_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="HALDIR_RATE_LIMIT"):
        load(Asked(data=tmp_path), {"HALDIR_RATE_LIMIT": text})


def test_how_long_a_held_call_is_held_open_stands_in_the_environment_or_the_file_or_is_four_seconds(
    tmp_path: Path,
) -> None:
    assert load(Asked(data=tmp_path), {}).held_seconds == 4
    (tmp_path / "haldir.toml").write_text("held_seconds = 30\n")
    assert load(Asked(data=tmp_path), {}).held_seconds == 30
    assert load(Asked(data=tmp_path), {"HALDIR_HELD_SECONDS": "0"}).held_seconds == 0
    for wrong in ("31", "-1", "1.5", "ten"):
        with pytest.raises(SettingsError, match="HALDIR_HELD_SECONDS"):
            load(Asked(data=tmp_path), {"HALDIR_HELD_SECONDS": wrong})


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("a=http://localhost:1/mcp?x=y", UpstreamConfig(url="http://localhost:1/mcp?x=y")),
        ("a=https://x.example", UpstreamConfig(url="https://x.example")),
        ("a=server --path '/with space' A=B", UpstreamConfig(command=("server", "--path", "/with space", "A=B"))),
    ],
)
def test_an_upstream_of_the_command_line_is_an_address_or_a_command(text: str, config: UpstreamConfig) -> None:
    assert parse_upstream(text).config == config


@pytest.mark.parametrize("text", ["a", "a=", "=http://x", "a/b=http://x", "../a=http://x", "a='unclosed", "a= "])
def test_an_upstream_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--upstream"):
        parse_upstream(text)


def test_an_upstream_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="twice"):
        load(Asked(data=tmp_path, upstreams=("a=http://x", "a=http://y")), {})


def test_the_file_describes_upstreams_with_scopes_and_exact_prices(tmp_path: Path) -> None:
    settings = load(
        in_folder(
            tmp_path,
            """
        [upstreams.shop]
        url = "https://shop.example/mcp"
        headers = { X-Token = "t" }
        deadline_seconds = 2.5
        [upstreams.shop.tools.search]
        scope = "read"
        [upstreams.shop.tools.order]
        price = { pointer = "/amount", unit = 0.01 }
        [upstreams.shop.tools.refund]
        price = 0.1
        [upstreams.files]
        command = ["server", "--stdio"]
        env = { ROOT = "/srv" }
    """,
        ),
        {},
    )
    shop, files = settings.upstreams
    assert shop.config == UpstreamConfig(url="https://shop.example/mcp", headers={"X-Token": "t"}, deadline_seconds=2.5)
    assert shop.tool_rules == (
        ToolRule(tool="search", scope="read"),
        ToolRule(tool="order", price=Price(pointer="/amount", unit_micros=10_000)),
        ToolRule(tool="refund", price=Price(fixed_micros=100_000)),
    )
    assert files.config == UpstreamConfig(
        command=("server", "--stdio"), env={"ROOT": "/srv"}, deadline_seconds=DEADLINE_SECONDS
    )


def test_the_command_line_says_how_an_upstream_is_reached_and_the_file_still_prices_its_tools(tmp_path: Path) -> None:
    in_folder(tmp_path, '[upstreams.shop]\nurl = "http://old"\n[upstreams.shop.tools.order]\nprice = 1\n')
    (shop,) = load(Asked(data=tmp_path, upstreams=("shop=http://new",)), {}).upstreams
    assert (shop.config.url, shop.tool_rules) == (
        "http://new",
        (ToolRule(tool="order", price=Price(fixed_micros=1_000_000)),),
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1", "prot"),
        ("[upstreams.a]\nurl = 'http://x'\ndeadline = 1", "upstreams.a.deadline "),
        ("[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprices = 1", "upstreams.a.tools.t.prices"),
        (
            "[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = { pointer = '/x', limit = 1 }",
            "upstreams.a.tools.t.price.limit",
        ),
        (
            "[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = { unit = 1 }",
            "upstreams.a.tools.t.price.pointer",
        ),
        (
            "[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = { pointer = '/x', unit = 0 }",
            "upstreams.a.tools.t.price.unit",
        ),
        (
            "[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = { pointer = 'x' }",
            "upstreams.a.tools.t.price.pointer",
        ),
        ("[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = nan", "upstreams.a.tools.t.price"),
        ("[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = -1", "upstreams.a.tools.t.price"),
        ("[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = 0.0000001", "upstreams.a.tools.t.price"),
        ("[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = true", "upstreams.a.tools.t.price"),
        ("[upstreams.a]\nurl = 'http://x'\n[upstreams.a.tools.t]\nprice = '1'", "upstreams.a.tools.t.price"),
        ("[upstreams.a]\nurl = 'http://x'\ncommand = ['x']", "upstreams.a.url"),
        ("[upstreams.a]\nheaders = {}", "upstreams.a.url"),
        ("[upstreams.a]\nurl = 'ftp://x'", "upstreams.a.url"),
        ("[upstreams.a]\nurl = 'http://x'\nenv = { A = 'b' }", "upstreams.a.env"),
        ("[upstreams.a]\ncommand = ['x']\nheaders = { A = 'b' }", "upstreams.a.headers"),
        ("[upstreams.a]\ncommand = 'x --stdio'", "upstreams.a.command"),
        ("[upstreams.a]\ncommand = ['x', 1]", "upstreams.a.command"),
        ("[upstreams.a]\nurl = 'http://x'\ndeadline_seconds = 0", "upstreams.a.deadline_seconds"),
        ("[upstreams.a]\nurl = 'http://x'\ndeadline_seconds = inf", "upstreams.a.deadline_seconds"),
        ("[upstreams.'a b']\nurl = 'http://x'", "upstreams.a b"),
        ("port = '1'", "port"),
        ("port = true", "port"),
        ("port = 65536", "port"),
        ("host = ''", "host"),
        ("allow_private = 1", "allow_private"),
        ("rate_limit_per_minute = 0", "rate_limit_per_minute"),
        ("held_seconds = 31", "held_seconds"),
        ("held_seconds = 0.5", "held_seconds"),
        ("payload_days = 3661", "payload_days"),
        ("upstreams = 3", "upstreams"),
        ("port = ", "is not TOML"),
        ("host = '\udcff'", "is not TOML"),
    ],
)
def test_a_fault_in_the_file_is_refused_with_file_and_key(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "haldir.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SettingsError) as refused:
        load(Asked(data=tmp_path), {})
    assert str(tmp_path / "haldir.toml") in refused.value.message
    assert named in refused.value.message


def test_a_mail_server_is_named_by_file_and_environment_and_its_password_by_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("rrr-mail\n")
    asked = in_folder(
        tmp_path,
        f'[smtp]\nhost = "mail.example"\nport = 2525\nuser = "u"\nfrom = "h@h.example"\npassword_file = "{tmp_path}/password"\n',
    )
    mail = load(asked, {"HALDIR_SMTP_HOST": "other.example"}).mail
    assert mail is not None
    assert (mail.host, mail.port, mail.security, mail.user, mail.sender) == (
        *("other.example", 2525, "starttls", "u", "h@h.example"),
    )
    assert mail.password is not None
    assert mail.password.reveal() == "rrr-mail"
    assert "rrr-" not in repr(load(asked, {"HALDIR_SMTP_PASSWORD": "rrr-other"}))
    assert load(Asked(data=tmp_path / "none"), {}).mail is None


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        ("", {"HALDIR_SMTP_HOST": "mail.example"}, "`from`"),
        ("", {"HALDIR_SMTP_FROM": "h@h.example"}, "`host`"),
        ('[smtp]\nhosts = "x"\n', {}, "smtp.hosts"),
        ('[smtp]\npassword = "x"\n', {}, "smtp.password"),
        ("[smtp]\nport = 70000\n", {}, "smtp.port"),
        ("", {"HALDIR_SMTP_HOST": "m", "HALDIR_SMTP_PASSWORD_FILE": "/none/such"}, "/none/such cannot be read"),
        ("", {"HALDIR_SMTP_HOST": "m", "HALDIR_SMTP_CA_FILE": "/none/such"}, "/none/such cannot be read"),
    ],
)
def test_a_mail_server_that_is_half_named_is_refused_at_the_start(
    tmp_path: Path, text: str, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        load(in_folder(tmp_path, text), environ)
