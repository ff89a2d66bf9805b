"""Tests with the fixtures of the plugin: no account, no network. `pip install 'sogni[emulator]' pytest`."""

import pytest

from sogni import InsufficientBalanceError, RateLimitError
from sogni.testing import fault

LIGHTHOUSE = {"type": "image", "model_id": "krea2_turbo_fp8_scaled", "positive_prompt": "a lighthouse at dawn"}


def test_an_image_is_saved(sogni_client, sogni_supernet, tmp_path):
    project = sogni_client.projects.create(**LIGHTHOUSE, width=512, height=512)
    (path,) = project.wait(timeout=60).save(tmp_path)
    assert path.read_bytes().startswith(b"\x89PNG")
    sogni_supernet.assert_requested("jobRequest", model_id="krea2_turbo_fp8_scaled", times=1)


def test_the_same_seed_gives_the_same_image(sogni_client, tmp_path):
    images = [
        sogni_client.projects.create(**LIGHTHOUSE, seed=7).wait(timeout=60).save(tmp_path / str(number))
        for number in range(2)
    ]
    assert images[0][0].read_bytes() == images[1][0].read_bytes()


@pytest.mark.sogni(faults=[fault.http("/v1/account/me", status=503, retry_after=0)])
def test_an_outage_of_a_moment_goes_unnoticed(sogni_client, sogni_supernet):
    assert sogni_client.account.me().username == sogni_supernet.account.username
    sogni_supernet.assert_requested("GET /v1/account/me", times=2)


@pytest.mark.sogni(faults=[fault.drop_socket(at="started")])
def test_a_lost_connection_loses_no_image(sogni_client, sogni_supernet):
    project = sogni_client.projects.create(**LIGHTHOUSE).wait(timeout=60)
    assert project.status == "completed"
    sogni_supernet.assert_requested("upgrade", times=2)
    sogni_supernet.assert_requested("jobRequest", times=1)


@pytest.mark.sogni(faults=[fault.http("/v1/account/me", status=429, retry_after=60)])
def test_a_limit_that_lasts_longer_than_the_client_waits(sogni_client):
    with pytest.raises(RateLimitError) as raised:
        sogni_client.account.me()
    assert raised.value.retry_after == 60


@pytest.mark.sogni(balance={"spark": 1})
def test_a_project_that_costs_more_than_there_is(sogni_client):
    with pytest.raises(InsufficientBalanceError):
        sogni_client.projects.create(**LIGHTHOUSE, number_of_media=16, token_type="spark").wait(timeout=60)


@pytest.mark.sogni(expect=[])
def test_an_estimate_costs_nothing(sogni_client):
    assert sogni_client.projects.estimate_cost("krea2_turbo_fp8_scaled", image_count=4).spark > 0


def test_a_chat_says_what_the_test_wants(sogni_client, sogni_supernet):
    sogni_supernet.chat.reply("Arr!", when="pirate")
    question = [{"role": "user", "content": "Talk like a pirate"}]
    assert sogni_client.chat.completions.create(messages=question).content == "Arr!"
    sogni_supernet.assert_requested("llmJobRequest", messages=question)
