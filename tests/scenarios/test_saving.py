"""Files that are saved: they stay in their directory, and replace nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk

HOSTILE = [
    "../../outside",
    "/tmp/outside",
    "..\\..\\outside",
    "C:outside",
    "C:\\outside",
    "\\\\host\\share\\outside",
    "file:stream",
    "nul\0byte",
    "\x1b[31mred\n",
    "long" * 100,
    "ü" * 300,
    "CON",
    "nul.txt",
    "com1",
    "..",
    ". ",
    "dots...",
    "link",
]


async def finished(sdk: Sdk, client: Any, **fields: Any) -> Any:
    project = await sdk.create(client, **fields)
    return await sdk.call(project.wait, timeout=SOON)


async def test_no_id_of_the_service_leads_out_of_the_directory(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    directory, outside = tmp_path / "inside", tmp_path / "OUTSIDE.png"
    directory.mkdir()
    (directory / "LINK.png").symlink_to(outside)
    project = await finished(sdk, client)
    record = await sdk.call(client.api_client.rest.get, f"/v1/projects/{project.id}")
    (job,) = record["data"]["project"]["completedWorkerJobs"]
    record["data"]["project"] |= {
        "imageCount": len(HOSTILE),
        "completedWorkerJobs": [{**job, "imgID": it, "jobIndex": place} for place, it in enumerate(HOSTILE)],
    }
    signed = {"status": "success", "data": {"downloadUrl": project.result_urls[0]}}
    supernet.faults.http("/v1/projects/*", status=200, body=json.dumps(record), times=10)
    supernet.faults.http("/v1/image/downloadUrl", status=200, body=json.dumps(signed), times=100)
    async with sdk.client(supernet) as other:
        attached = await sdk.call(other.projects.attach, project.id)
        await sdk.call(attached.wait, timeout=SOON)
        assert [it.id for it in attached.jobs] == [it.upper() for it in HOSTILE]
        paths = await sdk.call(attached.save, directory, name="{job_id}")
    assert {path.parent for path in paths} == {directory}
    assert sorted(directory.iterdir()) == sorted({*paths, directory / "LINK.png"})
    assert ([path.name for path in tmp_path.iterdir()], outside.exists()) == (["inside"], False)
    assert [path.name for path in (*paths[:4], paths[11], paths[-1])] == [
        "_.._OUTSIDE.png", "_TMP_OUTSIDE.png", "_.._OUTSIDE-2.png", "C_OUTSIDE.png", "_CON.png", "LINK-1.png",
    ]  # fmt: skip


async def test_two_projects_under_one_name_are_both_kept(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    projects = [await finished(sdk, client, seed=seed, number_of_media=2) for seed in (1, 10)]
    data = [[await sdk.call(job.get_result_data) for job in project.jobs] for project in projects]
    paths = [await sdk.call(project.save, tmp_path, name="same") for project in (*projects, *projects)]
    assert [path.name for path in paths[0]] == ["same.png", "same-1.png"]
    assert paths[2:] == paths[:2]
    assert [[path.read_bytes() for path in saved] for saved in paths[:2]] == data
    assert len(list(tmp_path.iterdir())) == 4
    replaced = await sdk.call(projects[1].save, tmp_path, name="same", overwrite=True)
    assert (replaced, [path.read_bytes() for path in replaced]) == (paths[0], data[1])


async def test_a_result_is_saved_beside_another_file(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"precious")
    job = (await finished(sdk, client)).jobs[0]
    saved = [await sdk.call(job.save, tmp_path / name) for name in ("picture", "picture.png")]
    assert [path.name for path in saved] == ["picture-1.png", "picture-1.png"]
    assert (tmp_path / "picture.png").read_bytes() == b"precious"
    replaced = await sdk.call(job.save, tmp_path / "picture", overwrite=True)
    assert (replaced.name, replaced.read_bytes()) == ("picture.png", saved[0].read_bytes())


async def test_results_are_not_saved_to_a_file_object(sdk: Sdk, client: Any) -> None:
    project = await finished(sdk, client)
    for save in (project.save, project.jobs[0].save, (await sdk.call(client.projects.get_result, project.id)).save):
        with pytest.raises(sdk.ValidationError, match=r"must be a path or URL, got BytesIO; .* get_result_data"):
            await sdk.call(save, io.BytesIO())
