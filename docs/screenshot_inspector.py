"""Make `images/inspector-*.webp`: pictures of the inspector, light and dark."""

from __future__ import annotations

import time

from pictures import SCHEMES, Browser, look, save, shot

from sogni.emulator import LocalSupernet

WIDTH, HEIGHT = 1280, 1000
SEEK = """Promise.all([...document.querySelectorAll('video')].map((video) => new Promise((done) => {
  video.controls = false;
  video.preload = 'auto';
  video.addEventListener('seeked', () => video.requestVideoFrameCallback ? setTimeout(done, 300) : done());
  const seek = () => { video.currentTime = video.duration / 2; };
  if (video.readyState > 0) seek(); else { video.addEventListener('loadedmetadata', seek); video.load(); }
})))"""
PLAN = {
    "title": "Kite teaser",
    "steps": [
        {"id": "still", "toolName": "generate_image", "arguments": {"prompt": "a red kite", "aspectRatio": "640x640"}},
        {"id": "song", "toolName": "generate_music", "arguments": {"prompt": "light and airy", "duration": 10}},
        {
            "id": "clip",
            "toolName": "animate_photo",
            "arguments": {"prompt": "it dips in the wind", "duration": 2},
            "dependsOn": [{"sourceStepId": "still", "targetArgument": "sourceImageIndex", "transform": "image_index"}],
        },
    ],
}


def main() -> None:
    """Write the pictures."""
    with LocalSupernet(clock=500, seed=3, inspector=True) as supernet, supernet.client() as client:
        image = {"type": "image", "model_id": "krea2_turbo_fp8_scaled"}
        for prompt, number in (("paper boats on a canal", 2), ("a lighthouse at dawn, film grain", 1)):
            client.projects.create(**image, positive_prompt=prompt, number_of_media=number, seed=9).wait(timeout=60)
        song = {"type": "audio", "model_id": "ace_step_1.5_turbo", "duration": 10}
        client.projects.create(**song, positive_prompt="a quiet song").wait(timeout=60)
        supernet.chat.reply("Kites lift you up.", when="slogan")
        client.chat.completions.create(messages=[{"role": "user", "content": "A slogan for kites"}])
        list(client.workflows.stream_events(client.workflows.start(input=PLAN).workflow_id))
        supernet.faults.fail_job(message="The worker ran out of memory")
        failed = client.projects.create(**image, positive_prompt="hills in the evening sun")
        supernet.wait_for(lambda: failed.finished)
        supernet.faults.http("/v1/account/*", status=503, retry_after=2)
        supernet.clock.freeze()
        running = client.projects.create(**image, positive_prompt="a fox in the snow", number_of_media=2)
        supernet.wait_for(lambda: running.status != "pending")
        while not any(job.step for job in running.jobs):
            supernet.clock.advance(0.2)
            time.sleep(0.05)
        with Browser() as browser:
            for scheme in SCHEMES:
                look(browser, WIDTH, HEIGHT, scheme)
                browser.open(supernet.inspector_url)
                browser.wait("document.getElementById('live').textContent === 'live'")
                browser.wait("[...document.images].every((it) => it.loading === 'lazy' || it.complete)")
                # The frame in the middle of each video, without the controls, which cover it while it stands.
                browser.run(SEEK)
                save(shot(browser), f"inspector-wide-{scheme}")


main()
