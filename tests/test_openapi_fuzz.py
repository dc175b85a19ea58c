"""Schemathesis asks what nobody would think of, and holds every answer against the document that describes it.

Every check it has is on. What fits the schema may still be refused as malformed, with a reason: a policy that could
never fire, a period that ends before it begins or a name of nobody fit any schema.
"""

import subprocess
import sys
from pathlib import Path

from harness.threads import running_haldir

ST = Path(sys.executable).parent / "st"
EXAMPLES = 8  # For each operation and phase: some 3,000 requests in all, in under a minute.
SEED = 20261125
CONFIG = """\
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 403, 404, 409, 422, 429, 502, 503]
"""


def test_every_answer_is_one_that_the_document_describes(tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with running_haldir(tmp_path / "data") as haldir:
        told = subprocess.run(
            [
                *(str(ST), "--config-file", str(config)),
                *("run", f"{haldir.url}/openapi.json", "-H", f"Authorization: Bearer {haldir.key}"),
                *("--checks", "all", "--continue-on-failure"),
                *("--phases", "examples,coverage,fuzzing", "-n", str(EXAMPLES), "--seed", str(SEED)),
                *("--request-timeout", "60", "--warnings", "off", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert told.returncode == 0, told.stdout[-20_000:]
    assert "Tested: " in told.stdout
