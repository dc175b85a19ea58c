"""What it takes to have Haldir and to start it, with a wheel installed where nothing else is.

Dependencies are those of requirements.lock. Times are of the second start on, once Python has its bytecode.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).parent / "uv"
ROUNDS = 9
MEGABYTE = 1_000_000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = installed(folder)
        packages = next(environment.glob("lib/python*/site-packages"))
        count = len(list(packages.glob("*.dist-info")))
        files = [path for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        size = sum(path.stat().st_size for path in files) / MEGABYTE
        print(f"A plain install is {count} distributions of {size:.1f} MB without bytecode.")
        haldir = environment / "bin" / "haldir"
        showing = seconds(lambda: subprocess.run([haldir, "--help"], check=True, stdout=subprocess.DEVNULL))
        print(f"`haldir --help` takes {showing * 1e3:.0f} ms.")
        print(f"`haldir up` is ready after {seconds(lambda: start(haldir, folder / 'data')):.2f} s,", end=" ")
        fresh = iter(range(ROUNDS + 1))
        print(f"with a new data folder after {seconds(lambda: start(haldir, folder / f'data-{next(fresh)}')):.2f} s.")


def installed(folder: Path) -> Path:
    """Build the wheel and install it with what it needs, and nothing more."""
    environment = folder / "environment"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ".")
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    wheel = next((folder / "dist").glob("*.whl"))
    python = environment / "bin" / "python"
    run(UV, "pip", "install", "--python", python, "--constraint", "requirements.lock", wheel)
    return environment


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)


def start(haldir: Path, data: Path) -> float:
    """Return how long it took until it was ready, then stop it."""
    began = time.perf_counter()
    command = [haldir, "up", "--data", data, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["url"]
        took = time.perf_counter() - began
        running.terminate()
    return took


def seconds(once: Callable[[], object]) -> float:
    """Return the median time of doing it, or of what it says it took."""
    took = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        said = once()
        took.append(said if isinstance(said, float) else time.perf_counter() - began)
    return statistics.median(took[1:])


if __name__ == "__main__":
    main()
