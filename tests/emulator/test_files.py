"""Signed URLs and the files behind them."""

from __future__ import annotations

from collections.abc import Iterator

import requests

from sogni.emulator import LocalSupernet, RecordedRequest
from tests.emulator.wire import Wire, new_id, of_type


def upload_url(wire: Wire, **changes: str) -> str:
    query = {"imageId": new_id(), "jobId": new_id(), "type": "startingImage", **changes}
    return str(wire.data("/v1/image/uploadUrl", **query)["uploadUrl"])


def put(url: str, **headers: str) -> requests.Response:
    return requests.put(url, data=b"1234", headers=headers, timeout=30)


def test_an_upload_url_takes_a_file_once_asked_for(wire: Wire, supernet: LocalSupernet) -> None:
    assert put(upload_url(wire)).status_code == 200
    record = supernet.requests[-1]
    assert isinstance(record, RecordedRequest)
    assert (record.method, record.body_size, record.status) == ("PUT", 4, 200)
    assert record.query["X-Amz-Signature"] == "***"


def test_a_content_type_that_was_signed_must_be_sent(wire: Wire) -> None:
    url = upload_url(wire, contentType="image/png")
    assert put(url, **{"Content-Type": "image/jpeg"}).status_code == 403
    assert put(url, **{"Content-Type": "image/png"}).status_code == 200


def test_placeholders_of_old_clients_count_as_unset(wire: Wire) -> None:
    assert put(upload_url(wire, contentType="undefined"), **{"Content-Type": "image/png"}).status_code == 200


def test_a_wrong_signature_is_refused_in_xml(wire: Wire) -> None:
    url = upload_url(wire)
    reply = put(url[:-4] + "0000")
    assert (reply.status_code, reply.headers["Content-Type"]) == (403, "application/xml; charset=utf-8")
    assert "<Code>SignatureDoesNotMatch</Code>" in reply.text
    assert put(url.split("?")[0]).status_code == 403
    assert requests.get(url, timeout=30).status_code == 403
    assert put(url.replace("startingImage", "cnImage")).status_code == 403


def test_an_expired_url_is_refused(wire: Wire, supernet: LocalSupernet) -> None:
    url = upload_url(wire)
    supernet.expire_urls()
    reply = put(url)
    assert reply.status_code == 403
    assert "Request has expired" in reply.text


def test_upload_urls_name_what_is_wrong_with_the_request(wire: Wire) -> None:
    for changes, about in (
        ({"type": "poster"}, "poster"),
        ({"jobId": ""}, "jobId"),
        ({"imageId": ""}, "imageId"),
    ):
        reply = wire.get("/v1/image/uploadUrl", **{"imageId": "A", "jobId": "B", "type": "cnImage", **changes})
        assert reply.status_code == 400
        assert about in reply.json()["message"]


def test_media_uploads_have_an_endpoint_of_their_own(wire: Wire) -> None:
    url = wire.data("/v1/media/uploadUrl", jobId=new_id(), type="referenceAudio", id="referenceAudio2")["uploadUrl"]
    assert "/referenceAudio2?" in url
    assert put(url).status_code == 200


def test_a_result_has_a_type_and_a_length_and_can_be_read_in_parts(wire: Wire) -> None:
    project_id = wire.connect().create()
    image_id = of_type(wire.finish(project_id), "jobResult")[0]["imgID"]
    url = wire.data("/v1/image/downloadUrl", jobId=project_id, imageId=image_id, type="complete")["downloadUrl"]
    whole = requests.get(url, timeout=30)
    assert whole.headers["Content-Type"] == "image/png"
    assert int(whole.headers["Content-Length"]) == len(whole.content)
    part = requests.get(url, headers={"Range": "bytes=0-7"}, timeout=30)
    assert (part.status_code, part.content) == (206, whole.content[:8])


def test_the_other_family_is_named_when_the_wrong_one_is_asked(wire: Wire) -> None:
    project_id = wire.connect().create()
    image_id = of_type(wire.finish(project_id), "jobResult")[0]["imgID"]
    reply = wire.get("/v1/media/downloadUrl", jobId=project_id, id=image_id, type="complete")
    assert reply.status_code == 404
    assert "/v1/image/downloadUrl" in reply.json()["message"]


def test_a_large_upload_is_streamed_to_disk(wire: Wire, supernet: LocalSupernet) -> None:
    def pieces(count: int = 64) -> Iterator[bytes]:
        return (bytes(1024 * 1024) for _ in range(count))

    assert requests.put(upload_url(wire), data=pieces(), timeout=30).status_code == 200
    record = supernet.requests[-1]
    assert isinstance(record, RecordedRequest)
    assert record.body_size == 64 * 1024 * 1024
