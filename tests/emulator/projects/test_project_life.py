"""The life of an image project: queued, rendered, delivered, charged."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.emulator.wire import Wire, job_request, key_frame, new_id, of_type


def test_an_image_is_queued_rendered_step_by_step_and_completed(wire: Wire) -> None:
    project_id = wire.connect().create()
    frames = wire.finish(project_id)
    states = [data["type"] for data in of_type(frames, "jobState")]
    assert states == ["queued", "initiatingModel", "jobStarted", "jobCompleted"]
    assert [data["step"] for data in of_type(frames, "jobProgress")] == [1, 2, 3, 4]
    result = of_type(frames, "jobResult")[0]
    assert result["jobID"] == project_id
    assert result["performedStepCount"] == 4
    assert result["lastSeed"].isdigit()
    assert not result["triggeredNSFWFilter"]
    assert "resultUrl" not in result


def test_the_result_is_an_image_of_the_requested_size_and_format(wire: Wire) -> None:
    request = job_request(frame=key_frame(width=320, height=256), outputFormat="jpg")
    frames = wire.connect()
    frames.send("jobRequest", request)
    result = of_type(wire.finish(request["jobID"]), "jobResult")[0]
    content = wire.download(request["jobID"], result["imgID"], contentType="image/jpeg")
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("JPEG", (320, 256))


def test_the_same_request_with_the_same_seed_gives_the_same_bytes(wire: Wire) -> None:
    wire.connect()
    pictures = []
    for seed in (7, 7, 8):
        project_id = wire.create(job_request(frame=key_frame(seed=seed)))
        result = of_type(wire.finish(project_id), "jobResult")[0]
        assert result["lastSeed"] == str(seed)
        pictures.append(wire.download(project_id, result["imgID"]))
    assert pictures[0] == pictures[1] != pictures[2]


def test_several_images_have_their_own_seeds_and_one_uses_the_given_seed(wire: Wire) -> None:
    project_id = wire.connect().create(job_request(frame=key_frame(seed=5), numberOfImages=4))
    results = of_type(wire.finish(project_id), "jobResult")
    seeds = {result["lastSeed"] for result in results}
    assert len(results) == len(seeds) == 4
    assert "5" in seeds
    assert sorted(result["jobIndex"] for result in results) == [0, 1, 2, 3]


def test_previews_are_announced_and_can_be_downloaded(wire: Wire) -> None:
    project_id = wire.connect().create(job_request(previews=2))
    frames = wire.finish(project_id)
    announced = [data for data in of_type(frames, "jobProgress") if data["hasImage"]]
    assert [data["step"] for data in announced] == [1, 3]
    preview = wire.download(project_id, announced[0]["imgID"], "preview")
    assert Image.open(io.BytesIO(preview)).format == "JPEG"


def test_an_external_model_reports_fractions_and_delivers_a_direct_url(wire: Wire) -> None:
    frame = key_frame(modelID="gpt-image-2", steps=..., guidanceScale=..., sizePreset=..., width=..., height=...)
    project_id = wire.connect().create(job_request(frame=frame))
    frames = wire.finish(project_id)
    assert [data["progress"] for data in of_type(frames, "jobProgress")] == [0.25, 0.5, 0.75, 1.0]
    url = of_type(frames, "jobResult")[0]["resultUrl"]
    assert Image.open(io.BytesIO(wire.http.get(url, timeout=30).content)).size == (1024, 1024)


def test_a_starting_image_saves_steps_and_shapes_the_result(wire: Wire) -> None:
    project_id, buffer = new_id(), io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    wire.upload(project_id, "startingImage", buffer.getvalue())
    frame = key_frame(hasStartingImage=True, strength=0.25, positivePrompt="blue")
    wire.connect().create(job_request(project_id, frame))
    result = of_type(wire.finish(project_id), "jobResult")[0]
    assert result["performedStepCount"] == 1
    image = Image.open(io.BytesIO(wire.download(project_id, result["imgID"])))
    red, _, blue = image.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert red > 150 > blue


def test_an_upload_no_worker_can_read_fails_the_job(wire: Wire) -> None:
    project_id = new_id()
    wire.upload(project_id, "startingImage", b"no image")
    wire.connect().create(job_request(project_id, key_frame(hasStartingImage=True)))
    error = wire.next("jobError")
    assert (error["error"], error["isFromWorker"]) == ("genfailure", True)
    assert "imgID" in error


def test_the_estimate_is_charged_and_announced(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance.spark
    path = "/api/v3/job/estimate/spark/fast/flux1-schnell-fp8/2/4/0/0/0/256/256/1/_/0"
    cost = Decimal(wire.get(path).json()["quote"]["project"]["costInToken"])
    project_id = wire.connect().create(job_request(numberOfImages=2))
    wire.finish(project_id)
    assert supernet.account.balance.spark == before - cost
    balance = wire.next("balanceUpdate")
    assert Decimal(balance["spark"]["net"]) == before - cost
    assert balance["spark"]["debit"] == "0"


def test_a_balance_that_is_too_low_refuses_the_project(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.account.set_balance(spark=0)
    project_id = wire.connect().create()
    error = wire.next("jobError")
    assert (error["jobID"], error["error"], error["isFromWorker"]) == (project_id, 123, False)
    assert "Insufficient balance" in error["error_message"]
    assert "imgID" not in error


def test_a_failed_image_is_not_paid_and_the_others_complete(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(1, error=5002, message="gone")
    before = supernet.account.balance.spark
    project_id = wire.connect().create(job_request(numberOfImages=2))
    frames = wire.finish(project_id)
    assert len(of_type(frames, "jobResult")) == 1
    assert [error["error"] for error in of_type(frames, "jobError")] == [5002]
    project = supernet.projects[0]
    assert project["status"] == "completed"
    spent = before - supernet.account.balance.spark
    assert spent == Decimal(project["costActual"]["costInToken"]) > 0


def test_a_project_whose_images_all_fail_is_errored_and_free(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(times=2)
    before = supernet.account.balance
    wire.connect().create(job_request(numberOfImages=2))
    supernet.wait_for(lambda: supernet.projects and supernet.projects[0]["status"] == "failed")
    assert supernet.account.balance == before


def test_the_safety_filter_withholds_a_result(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw()
    project_id = wire.connect().create()
    result = of_type(wire.finish(project_id), "jobResult")[0]
    assert result["triggeredNSFWFilter"]
    query = {"jobId": project_id, "imageId": result["imgID"], "type": "complete"}
    assert wire.get("/v1/image/downloadUrl", **query).status_code == 404


def test_without_the_filter_a_result_is_only_labeled(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw()
    project_id = wire.connect().create(job_request(disableSafety=True))
    result = of_type(wire.finish(project_id), "jobResult")[0]
    assert (result["triggeredNSFWFilter"], result["nsfwDetected"], result["nsfwSources"]) == (
        False,
        True,
        ["image"],
    )
    assert wire.download(project_id, result["imgID"])


def test_a_retry_renders_the_same_image_under_a_new_id(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.retry_job(0)
    project_id = wire.connect().create()
    frames = wire.finish(project_id)
    retry, result = of_type(frames, "jobRetry")[0], of_type(frames, "jobResult")[0]
    assert (retry["attempt"], retry["jobIndex"], retry["isFromWorker"]) == (1, 0, True)
    assert retry["imgID"] != result["imgID"]
    assert result["jobIndex"] == 0


def test_a_repeated_request_is_not_generated_twice(wire: Wire, supernet: LocalSupernet) -> None:
    request = job_request()
    wire.connect().create(request)
    wire.finish(request["jobID"])
    wire.create(request)
    assert wire.next("jobState", "jobCompleted")["jobID"] == request["jobID"]
    assert len(supernet.projects) == 1


def test_a_request_must_not_change_when_it_is_repeated(wire: Wire, supernet: LocalSupernet) -> None:
    request = job_request()
    wire.connect().create(request)
    wire.create({**request, "numberOfImages": 2})
    supernet.wait_for(lambda: supernet.violations)
    assert [(it.where, it.message) for it in supernet.violations] == [
        ("jobRequest", "must not change when it is repeated")
    ]
    assert len(supernet.projects) == 1


def test_paused_workers_render_nothing_and_publish_the_queue(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    wire.connect()
    first, second = wire.create(), wire.create()
    assert wire.next("jobState", "queued")["queuePosition"] == 1
    queued = wire.next("jobState", "queued")
    assert (queued["jobID"], queued["queuePosition"], queued["queueStatus"]) == (second, 2, "waiting")
    assert {project["status"] for project in supernet.projects} == {"queued"}
    supernet.resume_workers()
    wire.finish(first)


def test_subscribed_clients_receive_the_reasons_of_a_wait(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    supernet.faults.explain_wait("no_workers", message="None there")
    supernet.faults.explain_wait("payment_pending", 1)
    wire.connect(socketEventSubscriptions='{"projectQueue":true}')
    first = wire.create(job_request(numberOfImages=2))
    queued = wire.next("jobState", "queued")
    reason = {"reason": "no_workers", "message": "None there"}
    (of_job,) = queued["jobWaitingReasons"]
    assert (queued["waitingReason"], queued["queueStatus"], queued["estimatedStartSeconds"]) == (
        reason, "no-workers", None,
    )  # fmt: skip
    assert (of_job["jobIndex"], of_job["waitingReason"]["reason"]) == (1, "payment_pending")
    assert wire.next("projectQueue") == {"jobID": first, "waitingReason": reason, "jobWaitingReasons": [of_job]}
    supernet.resume_workers()
    explained = [wire.next("projectQueue") for _ in range(2)]
    assert [it["waitingReason"] for it in explained] == [None, None]
    assert [it["jobWaitingReasons"] for it in explained] == [[of_job], []]
    wire.finish(first)
    with pytest.raises(ValueError, match="reason must be one of concurrency_limit"):
        supernet.faults.explain_wait("tired")  # type: ignore[arg-type]


def test_waiting_clients_receive_their_new_positions() -> None:
    with LocalSupernet(workers=1, step_time=0.2) as supernet, Wire(supernet) as wire:
        supernet.pause_workers()
        wire.connect()
        projects = [wire.create(job_request(frame=key_frame(steps=1))) for _ in range(3)]
        waiting = [wire.next("jobState", "queued") for _ in projects]
        supernet.resume_workers()
        frames = wire.finish(projects[0])
    moved = [data for data in of_type(frames, "jobState") if data["type"] == "queued"]
    assert [data["queuePosition"] for data in waiting] == [1, 2, 3]
    assert [(data["jobID"], data["queuePosition"]) for data in moved] == [(projects[1], 1), (projects[2], 2)]


def test_a_long_step_reports_the_remaining_time_every_second() -> None:
    with LocalSupernet(step_time=2.5) as supernet, Wire(supernet) as wire:
        wire.connect().create(job_request(frame=key_frame(steps=2)))
        wire.next("jobState", "jobStarted")
        etas = [wire.next("jobETA")["etaSeconds"] for _ in range(2)]
    assert 5 >= etas[0] > etas[1] > 2


@pytest.mark.parametrize("binary", [False, True])
def test_frames_are_text_unless_binary_ones_are_asked_for(binary: bool) -> None:
    with LocalSupernet(binary_frames=binary) as supernet, Wire(supernet) as wire:
        wire.connect()
        assert wire.socket is not None
        assert isinstance(wire.socket.recv(), bytes if binary else str)
