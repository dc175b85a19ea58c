"""A Haldir with the upstream `sample` behind it, added as an operator adds one while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.haldir import Haldir
from harness.threads import running_haldir
from upstreams import sample
from upstreams.serving import serving


@contextmanager
def haldir_with_sample(data: Path, dsn: str | None) -> Iterator[Haldir]:
    with running_haldir(data, dsn=dsn) as haldir, serving(sample.app(json_response=True)) as url:
        added = haldir.post("/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        assert (added.status, added.body["healthy"]) == (201, True), added
        yield haldir
