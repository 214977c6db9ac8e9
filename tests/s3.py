"""An S3 server in this process, with a bucket named ``bucket``."""

import contextlib
from collections.abc import Iterator

import pytest

from reseen.storage import open_location

KEYS = "testing"
"""Both keys that it takes."""


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[int, str]]:
    """Run the server until the end of the block; gives its port and what a bucket's URL ends with."""
    pytest.importorskip("moto")
    pytest.importorskip("flask_cors")
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, KEYS)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        _, port = server.get_host_and_port()
        query = f"?scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1&allow_bucket_creation=true"
        filesystem, _ = open_location(f"s3://bucket{query}")
        filesystem.create_dir("bucket")
        yield port, query
        server.stop()
