"""Generate images for many prompts, a few at a time, within one budget; each is saved when it is finished."""

import os

from sogni import ImageProjectParams, SogniClient

prompts = [f"{animal} in the style of an old engraving" for animal in ("a fox", "an owl", "a hare", "a trout", "a bee")]
requests = [
    ImageProjectParams(
        model_id="krea2_turbo_fp8_scaled", positive_prompt=prompt, steps=8, width=512, height=512, token_type="spark"
    )
    for prompt in prompts
]
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    for request, project in client.projects.map(requests, concurrency=3, max_cost=50):
        if project.status == "completed":
            print(request.positive_prompt, *project.save("out"))
        else:
            print(request.positive_prompt, project.status, project.error)
