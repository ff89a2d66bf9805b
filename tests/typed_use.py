"""The public names as type checkers see them. Checked by mypy, never run.

An ignored line is a mistake that has to be found: `warn_unused_ignores` reports it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import assert_type

import sogni
import sogni_async

sogni.Projct  # type: ignore[attr-defined]
sogni_async.Projct  # type: ignore[attr-defined]
assert_type(sogni.__version__, str)
client = sogni.SogniClient(api_key="k")
project = client.projects.create(type="image", model_id="m", max_cost=Decimal(1))
client.projects.create(type="image", model_id="m", max_cost="1.5")
client.projects.create(type="audio", model_id="m", idempotency_key="order 17")
client.projects.create(type="image", model_id="m", idempotency_key=17)  # type: ignore[call-overload]
assert_type(project.jobs, list[sogni.Job])
assert_type(project.params, sogni.ImageProjectParams | sogni.VideoProjectParams | sogni.AudioProjectParams)
assert_type(project.job("x"), sogni.Job | None)
assert_type(project.status, sogni.ProjectStatus)
assert_type(project.jobs[0].status, sogni.JobStatus)
assert_type(project.save(Path("out")), list[Path])
assert_type(project.save("s3://bucket", storage_options={}), list[str])
saved_files: list[Path] = project.save("out")
assert_type(project.jobs[0].save(Path("cat.png")), Path)
assert_type(project.jobs[0].save("s3://bucket/cat.png", storage_options={}), str)
project.on("progress", lambda percent: print(percent + 1))


@project.on("job_completed")
def show(job: sogni.Job) -> None:
    print(job.result_url)


assert_type(show, Callable[[sogni.Job], None])


@project.once("canceled")
def gone() -> None:
    """Nothing."""


def takes_a_string(value: str) -> None: ...


project.on("progress", takes_a_string)  # type: ignore[call-overload]
project.on("progres", print)  # type: ignore[call-overload]
for event in project.events():
    if event.name == "progress":
        assert_type(event.value, int)
    elif event.name == "job_failed":
        assert_type(event.value, sogni.Job)
    elif event.name == "completed":
        assert_type(event.value, list[str])
sogni.Event("progress", 5)
client.chat.completions.create(messages="hello")  # type: ignore[arg-type]
messages = [{"role": "user", "content": "hello"}]
client.chat.completions.create(messages=messages)
client.chat.completions.create(messages=[sogni.ChatMessage(role="user", content="hello")])
client.on("connected", lambda event: print(event.network))
client.api_client.on("jobState", print)
client.chat.on("token", lambda chunk: print(chunk.content))
client.projects.on("available_models", lambda models: print(models[0].id))
client.projects.on("completed_projects_recovered", lambda found: [project.save("out") for project in found])
client.projects.on("queue_changed", lambda change: print(change.waiting_reason))
project.on("queue_changed", lambda change: print(change.job_waiting_reasons[0].waiting_reason.message))
client.projects.on("projects_synced", lambda found: print(found.recovered_active[0].id))
assert_type(client.projects.sync().lost, list[sogni.Project])
client.current_account.on("updated", lambda names: print("balance" in names))


async def asyncio_form(client: sogni_async.SogniClient) -> None:
    project = await client.projects.create(type="video", model_id="m")
    assert_type(project.jobs, list[sogni_async.Job])

    @project.on("progress")
    async def show(percent: int) -> None: ...

    async for event in project.events():
        if isinstance(event, sogni.ProgressEvent):
            assert_type(event.value, int)
