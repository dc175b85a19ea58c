"""How much of the faults is tried: a sample with every `pytest`, all of it with `--every-fault`."""

import pytest

STORES, SAMPLE_STORES = 20, 1
DEATHS_PER_STORE, SAMPLE_DEATHS = 10, 5
RECORDINGS, SAMPLE_RECORDINGS = 10, 1
MOMENTS, SAMPLE_MOMENTS = 80, 3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-fault", action="store_true", help="try 200 deaths per engine and 250 power cuts")


@pytest.fixture
def deaths(request: pytest.FixtureRequest) -> int:
    """How many processes die on one store, one after another."""
    return DEATHS_PER_STORE if request.config.getoption("--every-fault", default=False) else SAMPLE_DEATHS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Number the stores and moments in which processes die, and the recordings out of which power cuts are made."""
    everything = metafunc.config.getoption("--every-fault", default=False)
    for name, in_full, sample in (
        ("store", STORES, SAMPLE_STORES),
        ("recording", RECORDINGS, SAMPLE_RECORDINGS),
        ("moment", MOMENTS, SAMPLE_MOMENTS),
    ):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(in_full if everything else sample))
