"""The marker `sogni`, assertions on requests, and the emulator that the tests of a session share."""

from __future__ import annotations

import pytest

from tests.testing.conftest import RunFile

pytest_plugins = ["pytester"]


def test_every_test_finds_a_new_emulator(run_file: RunFile) -> None:
    run_file(
        """
        seen, leaked = [], []

        def test_everything_is_changed(sogni_supernet):
            seen.append((sogni_supernet, sogni_supernet.api_key, sogni_supernet.rest_endpoint))
            leaked.append(sogni_supernet.client())
            create(leaked[0])
            sogni_supernet.account.set_balance(spark=1)
            sogni_supernet.faults.http("/v1/account/me", status=500, times=9)
            sogni_supernet.chat.reply("x", times=9)
            sogni_supernet.add_account("grace", "a good password")
            sogni_supernet.announce("a title")
            sogni_supernet.withdraw_model("flux1-schnell-fp8")
            sogni_supernet.pause_workers()

        def test_nothing_has_changed(sogni_supernet, sogni_client):
            before, key, endpoint = seen[0]
            assert before is sogni_supernet
            assert key != sogni_supernet.api_key
            assert endpoint != sogni_supernet.rest_endpoint
            assert (sogni_supernet.requests, sogni_supernet.projects, sogni_supernet.connection_count) == ([], [], 0)
            assert len(sogni_supernet.accounts) == 1
            assert (sogni_supernet.faults.pending, sogni_supernet.chat.pending) == ((), ())
            assert sogni_client.account.account_balance().spark.net == 10_000
            assert sogni_client.account.transaction_history().entries == []
            assert sogni_client.announcements.active() == []
            assert "flux1-schnell-fp8" in {model.id for model in sogni_client.projects.wait_for_models(timeout=60)}
            create(sogni_client)
            leaked[0].close()

        def test_one_that_closes_it(sogni_supernet):
            sogni_supernet.close()

        def test_after_that(sogni_supernet):
            assert sogni_supernet is not seen[0][0]
            assert sogni_supernet.requests == []
        """
    ).assert_outcomes(passed=4)


def test_markers_give_options_and_faults(run_file: RunFile) -> None:
    run_file(
        """
        pytestmark = pytest.mark.sogni(seed=7, faults=["lose_request"], balance={"spark": 5})
        ids = []

        @pytest.mark.sogni(faults=[fault.http("/v1/account/me", status=503), {"name": "fail_job", "index": 0}])
        def test_faults_of_all_markers_are_added(sogni_supernet, sogni_client):
            assert [type(rule).__name__ for rule in sogni_supernet.faults.pending] == [
                "LostRequest", "HttpFault", "FailedJob"
            ]
            assert sogni_client.account.account_balance().spark.net == 5

        @pytest.mark.sogni(balance={"spark": 6})
        def test_the_closest_marker_has_the_last_word(sogni_client):
            assert sogni_client.account.account_balance().spark.net == 6

        class TestClass:
            @pytest.mark.sogni(step_time=30, balance={"spark": 999, "sogni": 999})
            def test_in_a_class(self, sogni_supernet, sogni_client):
                sogni_supernet.faults.clear()
                project = sogni_client.projects.create(
                    type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="x"
                )
                sogni_supernet.assert_requested("jobRequest")
                assert not project.finished

        @pytest.mark.sogni(rest_port=0)
        def test_an_emulator_of_its_own(sogni_supernet):
            assert sogni_supernet.api_key

        @pytest.mark.sogni(clock="realistic")
        def test_work_takes_its_time(sogni_supernet):
            assert sogni_supernet.clock.mode == "realistic"
        """
    ).assert_outcomes(passed=5)


def test_emulators_with_many_different_options_do_not_pile_up(run_file: RunFile) -> None:
    run_file(
        """
        import threading

        def emulators():
            return {it for it in threading.enumerate() if it.name == "sogni-emulator"}

        EARLIER = emulators()  # of the tests that this process has run

        @pytest.mark.parametrize("number", [pytest.param(it, marks=pytest.mark.sogni(seed=it)) for it in range(8)])
        def test_it(sogni_supernet, number):
            assert len(emulators() - EARLIER) <= 5
        """
    ).assert_outcomes(passed=8)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("step_tme=0", "unknown option 'step_tme'; did you mean 'step_time'?"),
        ("'fast'", "takes keywords only, got 'fast'"),
        ("faults=[fault.htp('/v1/account/me')]", "unknown fault 'htp'; did you mean 'http'?"),
        ("faults=[fault.http(stats=503)]", "fault.http(stats=503): "),
        ("faults=[fault.http(status=99)]", "status must be an integer from 200 to 599, got 99"),
        ("faults=['fail_jobs']", "unknown fault 'fail_jobs'; did you mean 'fail_job'?"),
        ("faults='fail_job'", "faults must be a list, got 'fail_job'"),
        ("faults=[7]", "a fault must be made with sogni.testing.fault"),
        ("expect=['jobReqest']", "unknown request 'jobReqest'; did you mean 'jobRequest'?"),
        ("expect='jobRequest'", "expect must be a list, got 'jobRequest'"),
        ("strict='yes'", "strict must be True or False, got 'yes'"),
    ],
)
def test_what_a_marker_cannot_ask_for(run_file: RunFile, marker: str, message: str) -> None:
    text = f"""
        @pytest.mark.sogni({marker})
        def test_it():
            pass
        """
    result = run_file(text)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *::test_it: the marker sogni: *{message}*".replace("[", "[[]")])


def test_an_invalid_option_fails_its_test(run_file: RunFile) -> None:
    result = run_file(
        """
        @pytest.mark.sogni(workers=0)
        def test_it(sogni_supernet):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*workers must be an integer of at least 1, got 0*"])


def test_requests_that_nothing_expected_fail_a_test(run_file: RunFile) -> None:
    result = run_file(
        """
        @pytest.mark.sogni(expect=[("jobRequest", {"positivePrompt": "a lighthouse"})])
        def test_passes(sogni_client):
            sogni_client.projects.create(
                type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse"
            )

        @pytest.mark.sogni(expect=[("jobRequest", {"positivePrompt": "a lighthouse"})])
        def test_something_else(sogni_client):
            create(sogni_client)
            create(sogni_client, "a castle")

        @pytest.mark.sogni(expect=[])
        def test_nothing_is_paid(sogni_client):
            sogni_client.account.me()
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_something_else*",
            "nothing expected jobRequest *'a castle'*",
            "  - positivePrompt: 'a lighthouse'",
            "  + keyFrames[[]0].positivePrompt: 'a castle'",
            "*requests at sogni_supernet*",
            "  upgrade → 101",
        ]
    )


def test_strict_tests_fail_on_violations_and_unused_faults(run_file: RunFile) -> None:
    result = run_file(
        """
        def test_unknown_route(sogni_supernet):
            requests.get(sogni_supernet.rest_endpoint + "/v1/nowhere", timeout=60)

        @pytest.mark.sogni(faults=[fault.fail_job()])
        def test_unused_fault(sogni_supernet):
            pass

        @pytest.mark.sogni(strict=False)
        def test_lenient(sogni_supernet):
            test_unknown_route(sogni_supernet)

        def test_ordinary_use(sogni_client, tmp_path):
            assert create(sogni_client).save(tmp_path)
            sogni_client.chat.completions.create(messages=[{"role": "user", "content": "hi"}])
        """,
        ini="sogni_strict = true",
    )
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["*GET /v1/nowhere: there is no such route", "*the fault fault.fail_job() was never used"]
    )


def test_a_failed_assertion_shows_the_difference(run_file: RunFile) -> None:
    result = run_file(
        """
        def test_it(sogni_supernet, sogni_client):
            create(sogni_client, "a castle")
            sogni_supernet.assert_requested("jobRequest", positive_prompt="a lighthouse", timeout=0)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: expected at least 1 time, arrived 0 times: jobRequest positive_prompt='a lighthouse'",
            "E*the nearest is jobRequest *'a castle'*",
            "E *- positive_prompt: 'a lighthouse'",
            "E *+ keyFrames[[]0].positivePrompt: 'a castle'",
        ]
    )
    result.stdout.no_fnmatch_line("*def assert_requested*")


@pytest.mark.integration
def test_each_worker_of_xdist_has_its_own_emulator(run_file: RunFile) -> None:
    options = ["-p", "xdist.plugin", "-n", "2", "--dist", "each"]
    passing = run_file("def test_it(sogni_client):\n    create(sogni_client)", *options)
    passing.assert_outcomes(passed=2)
    failing = run_file("@pytest.mark.sogni(step_tme=0)\ndef test_it():\n    pass", *options)
    failing.assert_outcomes(errors=2)
    failing.stdout.fnmatch_lines(["*did you mean 'step_time'?"])
