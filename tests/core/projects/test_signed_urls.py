"""Signed addresses on request (projects-4.2 §10.1)."""

from __future__ import annotations

from sogni.core.projects.transfers import request_signed_url
from sogni.errors import ProtocolError
from tests.core.play import Stage, ok


def test_fields_go_along_under_their_wire_names_unless_they_are_none() -> None:
    flow = request_signed_url("image", "uploadUrl", image_id="I", job_id="J", type="cnImage", content_type=None)
    asked = "GET rest/v1/image/uploadUrl?imageId=I&jobId=J&type=cnImage"
    assert Stage().play(flow, (asked, ok({"uploadUrl": "https://store"}))) == "https://store"


def test_an_answer_without_the_address_cannot_be_read() -> None:
    flow = request_signed_url("media", "downloadUrl", job_id="J")
    Stage().fail(ProtocolError, flow, ("GET rest/v1/media/downloadUrl?jobId=J", ok({"uploadUrl": "https://store"})))
