"""What is said of variables and packages, and that the tables behind it do not drift."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from app.doctor.backends import MEANINGS
from app.doctor.environment import OFTEN_MEANT, Environment, otel_settings, setting_names, settings, variables
from app.doctor.installation import PINS
from app.doctor.redaction import Redaction
from app.settings import Settings
from app.telemetry.reach import Outcome

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("set_", "meant"),
    [
        ("HONEYHIVE_API_KEY", "HH_API_KEY"),
        ("HH_APIKEY", "HH_API_KEY"),
        ("OPENAI_KEY", "OPENAI_API_KEY"),
        ("OTEL_EXPORTER_OTLP_ENDPOIN", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_SKD_DISABLED", "OTEL_SDK_DISABLED"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("OPENAI_BASE_URL", "MODEL_BASE_URL"),
    ],
)
def test_a_name_that_is_not_read_is_told_with_the_one_that_is(set_: str, meant: str) -> None:
    """Where the right one is not set too."""
    said = variables(Environment({set_: "x"}))
    assert said.status == "warn"
    assert said.found == f"{set_} is not read"
    assert said.advice == f"If {meant} is meant, rename {set_} to {meant}."
    assert variables(Environment({set_: "x", meant: "y"})).status == "ok"


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOSTNAME",
        "LOGNAME",
        "HF_API_KEY",
        "GOOGLE_API_KEY",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        "SSL_CERT_FILE",
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "MODEL",
        "COHERE_API_KEY",
    ],
)
def test_a_name_that_is_somebody_elses_is_left_alone(name: str) -> None:
    """No false alarm."""
    assert variables(Environment({name: "x"})).status == "ok"


def test_variables_that_do_nothing_in_the_env_file_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Waggle's settings are read from there; names that are misspelt there are told too."""
    (tmp_path / ".env").write_text("OTEL_SDK_DISABLED=true\nHH_APIKEY=hh\nPORT=8000\n")
    monkeypatch.chdir(tmp_path)
    said = variables(Environment.read({}))
    assert (
        said.found
        == "HH_APIKEY is not read; OTEL_SDK_DISABLED stands in .env, where only Waggle's own settings are read"
    )


@pytest.mark.parametrize(
    ("set_", "status", "found"),
    [
        ({}, "ok", "none in the way"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "ok", "none in the way"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "warn", "speaks http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "warn", "speaks http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, "warn", "4317"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer x"}, "fail", "without an equals sign"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "warn", "OTEL_TRACES_SAMPLER has no effect"),
        ({"OTEL_SDK_DISABLED": "true"}, "warn", "switches every span off"),
        ({"OTEL_SDK_DISABLED": "true", "HH_API_KEY": "k"}, "fail", "switches every span off"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[not an address"}, "ok", "none in the way"),
    ],
)
def test_opentelemetrys_variables(
    set_: dict[str, str], status: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would keep traces from leaving."""
    for name, value in set_.items():
        monkeypatch.setenv(name, value)
    said = otel_settings(Environment(set_), Settings(_env_file=None))
    assert said.status == status, said
    assert found in said.found


def test_quotes_around_a_key_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`docker run --env-file` takes them as part of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HH_API_KEY", '"hh-planted"')
    _, said = settings()
    assert (said.status, said.advice) == ("warn", "Write HH_API_KEY without them.")
    assert "planted" not in said.found


def test_every_secret_is_taken_out(tmp_path: Path) -> None:
    """Keys, passwords in addresses, values of headers as they are written and as they are sent."""
    found = Settings(
        _env_file=None,
        data_dir=tmp_path,
        openai_api_key="sk-key",
        otel_exporter_otlp_headers="authorization=Basic%20dXNlcg,x=y",
        database_url="postgresql://u:p%40ss@h/d",
    )
    text = "sk-key Basic dXNlcg Basic%20dXNlcg postgresql://u:p%40ss@h/d p@ss"
    cleaned = Redaction.of(found).clean(text)
    assert not re.search(r"sk-key|dXNlcg|p%40ss|p@ss", cleaned), cleaned


def test_the_pins_are_those_of_the_project() -> None:
    """Each of the doctor's bounds stands in pyproject.toml, but for what AutoGen itself bounds."""
    asked = " ".join(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    for name, pin in PINS.items():
        if name != "protobuf":
            assert re.search(rf"{name}(\[[\w,]+\])?(>=[\d.]+,)?{re.escape(pin)}(\s|$)", asked), name


def test_names_that_are_advised_are_settings() -> None:
    """And the names they are meant for are not."""
    assert set(OFTEN_MEANT.values()) <= set(setting_names())
    assert not set(OFTEN_MEANT) & set(setting_names())


def test_every_way_to_fail_at_a_backend_has_its_advice() -> None:
    """For both of them."""
    assert set(MEANINGS) == set(get_args(Outcome)) - {"reached"}


def test_the_page_tells_of_every_check() -> None:
    """docs/doctor.md has a row for each."""
    page = (ROOT / "docs" / "doctor.md").read_text()
    code = "".join(path.read_text() for path in (ROOT / "app" / "doctor").glob("*.py"))
    names = set(re.findall(r'(?:Result|summed|skipped)\(\s*"([a-z-]+)"', code))
    assert len(names) > 10
    assert {name for name in names if f"`{name}`" not in page} == set()
