"""Save results to S3, or to any other storage that fsspec can write, without a directory in between.

    pip install 'sogni[fsspec]' s3fs
    python save_to_s3.py s3://BUCKET/PREFIX

Credentials, region and endpoint come from the environment, as for other programs: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, and AWS_ENDPOINT_URL for a server that is not Amazon's. Without a URL, the
results are only kept in memory until the program ends.
"""

import argparse
import os

from sogni import SogniClient

parser = argparse.ArgumentParser(description="Save two images to a storage.")
parser.add_argument(
    "url", nargs="?", default="memory://pictures", help="such as s3://BUCKET/PREFIX (default: %(default)s)"
)
url = parser.parse_args().url

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    project = client.projects.create(
        type="image",
        model_id="krea2_turbo_fp8_scaled",
        positive_prompt="a lighthouse at dawn",
        number_of_media=2,
        token_type="spark",
    )
    project.wait()
    for saved in project.save(url, name="lighthouse-{index}"):
        print(saved)
