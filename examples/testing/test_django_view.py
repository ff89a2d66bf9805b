"""Tests of the views of `examples/django_site`, with the test client of Django. `pip install django`."""

import os
import sys
import threading
import uuid
from pathlib import Path

import pytest

from sogni.testing import fault

pytest.importorskip("django", reason="Django is not installed")
SITE = Path(__file__).resolve().parents[1] / "django_site"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site with an empty database. With pytest-django, its settings and its fixture `transactional_db` do this."""
    import django
    from django.core.management import call_command

    os.environ["GALLERY_DATA"] = str(tmp_path_factory.mktemp("gallery"))
    os.environ["DJANGO_SETTINGS_MODULE"] = "gallery.settings"
    sys.path.insert(0, str(SITE))
    django.setup()
    call_command("migrate", verbosity=0)


@pytest.fixture
def browser(site, sogni_supernet):
    """A browser at the site, whose clients use the emulator of the test."""
    from django.db import connections
    from django.test import Client, override_settings

    from sogni.contrib.django import SogniProject

    endpoints = {"REST_ENDPOINT": sogni_supernet.rest_endpoint, "SOCKET_ENDPOINT": sogni_supernet.socket_endpoint}
    setting = {"API_KEY": sogni_supernet.api_key, **endpoints, "MAX_COST": "5"}
    with override_settings(SOGNI=setting, ALLOWED_HOSTS=["testserver"]):
        yield Client()
        SogniProject.objects.all().delete()
    connections.close_all()


@pytest.fixture
def wait_for_end(browser):
    """Wait until the next project has ended: its results are stored by a thread of the site."""
    from sogni.contrib.django import project_completed, project_failed

    ended = threading.Event()

    def notice(sender, **_):
        ended.set()

    for signal in (project_completed, project_failed):
        signal.connect(notice)
    yield lambda: ended.wait(60)
    for signal in (project_completed, project_failed):
        signal.disconnect(notice)


def form(**changes):
    return {"prompt": "a lighthouse", "number": 2, "key": str(uuid.uuid4()), **changes}


@pytest.mark.sogni(expect=[("jobRequest", {"positivePrompt": "a lighthouse", "numberOfImages": 2, "times": 1})])
def test_the_form_starts_a_project(browser, wait_for_end):
    started = browser.post("/", form())
    assert started.status_code == 302
    assert wait_for_end()
    assert b"completed" in browser.get(started.url).content
    assert browser.get("/").content.count(b"<img") == 2


@pytest.mark.sogni(expect=[("jobRequest", {"times": 1})])
def test_a_form_that_is_sent_twice_is_paid_once(browser, wait_for_end):
    once = form()
    assert browser.post("/", once).url == browser.post("/", once).url
    assert wait_for_end()


@pytest.mark.sogni(expect=[])
def test_an_invalid_form_costs_nothing(browser):
    assert browser.post("/", form(number=5)).status_code == 400


@pytest.mark.sogni(faults=[fault.fail_job(times=2)])
def test_a_failed_project_is_shown(browser, wait_for_end):
    started = browser.post("/", form())
    assert wait_for_end()
    assert b"failed" in browser.get(started.url).content
