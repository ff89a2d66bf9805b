"""Tests of a script that generates many images, `examples/many_prompts.py`: run it, and look at what it has sent."""

import runpy
import sys
from pathlib import Path

import pytest

from sogni.testing import fault

SCRIPT = Path(__file__).resolve().parents[1] / "many_prompts.py"


@pytest.fixture
def run(sogni_supernet, monkeypatch, tmp_path, capsys):
    """Run the script in an empty directory and return the lines that it prints."""
    monkeypatch.setenv("SOGNI_API_KEY", sogni_supernet.api_key)
    monkeypatch.setenv("SOGNI_REST_ENDPOINT", sogni_supernet.rest_endpoint)
    monkeypatch.setenv("SOGNI_SOCKET_ENDPOINT", sogni_supernet.socket_endpoint)
    monkeypatch.chdir(tmp_path)

    def run_script(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run_script


@pytest.mark.sogni(expect=[("jobRequest", {"times": 2})])
def test_every_subject_becomes_an_image(run, sogni_supernet, tmp_path):
    lines = run("a fox", "an owl")
    assert len(lines) == 2
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    for subject in ("a fox", "an owl"):
        sogni_supernet.assert_requested("jobRequest", positive_prompt=f"{subject} in the style of an old engraving")


@pytest.mark.sogni(faults=[fault.fail_job()])
def test_the_others_are_made_if_one_fails(run, tmp_path):
    lines = run("a fox", "an owl", "a hare")
    assert [" failed " in line for line in lines].count(True) == 1
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


@pytest.mark.sogni(expect=[])
def test_nothing_is_paid_beyond_the_limit(run, tmp_path):
    with pytest.raises(Exception, match="max_cost"):
        run("a fox", "--max-cost", "0.01")
    assert not (tmp_path / "out").exists()
