"""The example that saves to a storage, with an S3-compatible server."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.examples.conftest import Run
from tests.storages import BUCKET, KEY, SECRET, file_system, s3_server

pytestmark = pytest.mark.integration


@pytest.mark.keeps_resources("fsspec keeps its thread and its connections for the whole process")
def test_save_to_s3(run: Run) -> None:
    with s3_server() as endpoint:
        environment = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
        }
        saved = run("save_to_s3.py", f"s3://{BUCKET}/tour", **environment)
        assert saved == [f"s3://{BUCKET}/tour/lighthouse-{index}.png" for index in range(2)]
        stored = file_system(endpoint)
        assert [Image.open(io.BytesIO(stored.cat_file(url))).format for url in saved] == ["PNG"] * 2
    assert run("save_to_s3.py") == [f"memory://pictures/lighthouse-{index}.png" for index in range(2)]
