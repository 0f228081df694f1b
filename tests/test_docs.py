"""README.md and the map of the rooms against the code: what one names the other has."""

import ast
import re

import pytest

import doctor
from records import Records
from tests.make_hashes import FILES, without_hashes
from tests.support import ROOT, running_api

README = (ROOT / "README.md").read_text()
SERVICE = (
    *("api", "auth", "forms", "uploads", "exports", "outbound", "webhooks", "queue_lib", "storage", "records"),
    *("worker", "fleet", "monitoring", "metrics", "admin", "doctor"),
)
MAY_IMPORT = {
    "admin": {"auth", "queue_lib", "records", "metrics", "monitoring"},
    "metrics": {"fleet"},
    "api": {
        *("admin", "exports", "auth", "forms", "uploads", "webhooks", "queue_lib", "storage", "records", "monitoring")
    },
    "auth": set(),
    "forms": {"auth", "outbound", "webhooks", "queue_lib", "storage"},
    "uploads": {"forms", "webhooks", "queue_lib", "storage", "records", "monitoring"},
    "webhooks": {"outbound", "queue_lib", "monitoring"},
    "outbound": set(),
    "exports": set(),
    "worker": {"fleet", "queue_lib", "storage", "records", "monitoring", "pipeline", "webhooks"},
    "fleet": {"queue_lib", "monitoring"},
    "queue_lib": set(),
    "storage": {"outbound"},
    "records": {"storage"},
    "monitoring": set(),
    "doctor": {"fleet", "auth", "outbound", "webhooks", "queue_lib", "storage", "records", "pipeline"},
    "dev": {"servers"},
    "servers": set(),
    "gunicorn.conf": {"monitoring"},
    "pipeline": {"pipeline"},
}
OURS = {*SERVICE, "dev", "servers", "pipeline"}


def variables_of_the_code() -> set[str]:
    """The names that the service reads from the environment."""
    named = set()
    for file in [*(ROOT / f"{name}.py" for name in SERVICE), ROOT / "gunicorn.conf.py"]:
        named |= set(re.findall(r"""os\.environ(?:\.get\(|\[)\s*["']([A-Z][A-Z0-9_]+)["']""", file.read_text()))
    return named


def variables_of_readme() -> set[str]:
    """The names in the first column of README's table of variables."""
    table = README.partition("\n## Variables\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`([A-Z][A-Z0-9_]+)`", " ".join(rows)))


BOTO3_READS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_every_variable_of_the_code_stands_in_readme_and_the_reverse() -> None:
    described = variables_of_readme() | set(re.findall(r"`(REDIS_URL)`", README))
    assert described == variables_of_the_code() | BOTO3_READS


def test_every_variable_of_readme_is_known_to_the_doctor() -> None:
    assert variables_of_readme() | {"REDIS_URL"} == doctor.NAMES


def test_every_variable_of_readme_stands_in_the_example_of_an_environment() -> None:
    example = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert example == variables_of_readme()


def test_every_route_of_the_api_stands_in_readme_and_the_reverse(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = set()
    with running_api() as app:
        for rule in app.url_map.iter_rules():
            path = re.sub("<(?:path:)?job_id>", "{jobId}", rule.rule).replace("<kind>", "{kind}")
            path = path.replace("<path:user>", "{userId}")
            path = path.replace("<path:filename>", "")
            routes |= {f"{method} {path}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    table = README.partition("\n## The API\n")[2].partition("\n## ")[0]
    described = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]*)`", table))
    assert described | {"GET /static/"} == routes


def test_every_package_that_is_required_is_explained_in_readme() -> None:
    table = README.partition("\n## What it stands on\n")[2]
    explained = set(re.findall(r"[a-z0-9-]+", " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))))
    for name in [path.name for path in ROOT.glob("requirements*.txt")]:
        own = (ROOT / name).read_text().partition("# What those bring along")[0]
        packages = set(re.findall(r"^([a-z0-9-]+)==", own, re.MULTILINE))
        assert packages
        assert {name for name in packages if not name.startswith("types-")} <= explained


def test_every_requirement_is_pinned() -> None:
    for file in ROOT.glob("requirements*.txt"):
        for line in without_hashes(file.read_text()).splitlines():
            assert not line or line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line


def test_a25_what_is_deployed_is_pinned_by_hashes_so_that_no_other_file_is_installed() -> None:
    for name in FILES:
        text = (ROOT / name).read_text()
        pinned = re.findall(r"^[a-z0-9-]+==\S+", text, re.MULTILINE)
        hashed = re.findall(r"^[a-z0-9-]+==\S+ \\\n +--hash=sha256:[0-9a-f]{64}\b", text, re.MULTILINE)
        assert len(pinned) == len(hashed) > 0, name


def imported(path: str) -> set[str]:
    """The rooms that a file imports, at its head or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module if node.module and node.level == 0 else "pipeline")
    return {name.partition(".")[0] for name in names} & OURS


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_the_map_allows(room: str) -> None:
    paths = [f"{room}.py"] if room != "pipeline" else [f"pipeline/{p.name}" for p in (ROOT / "pipeline").glob("*.py")]
    assert paths
    for path in paths:
        assert imported(path) <= MAY_IMPORT[room], path


@pytest.mark.parametrize(
    "words",
    [
        *(("redis", "queue_lib"), ("boto3", "storage"), ("pymongo", "records"), ("jwt", "auth")),
        ("sentry_sdk", "monitoring"),
    ],
)
def test_each_outside_system_is_spoken_to_in_one_room_only(words: tuple[str, str]) -> None:
    package, owner = words
    for name in SERVICE:
        tree = ast.parse((ROOT / f"{name}.py").read_text())
        roots = {alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import)
                 for alias in node.names}  # fmt: skip
        assert (package in roots) == (name == owner), name


def test_no_module_of_the_service_builds_a_client_or_reads_the_environment_when_it_is_imported() -> None:
    for name in SERVICE:
        for node in ast.parse((ROOT / f"{name}.py").read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If | ast.Expr):
                continue
            assert "environ" not in ast.dump(node), f"{name}, line {node.lineno}"


def test_the_rooms_in_readme_are_the_files_that_are_there() -> None:
    table = README.partition("\n## The rooms, in reading order\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([^`]+)`", " ".join(rows)))
    for name in named:
        assert (ROOT / name).exists(), name
    for file in ROOT.glob("*.py"):
        assert file.name in named, file.name


# Of each row of README's "What happens when" the tests that hold it true.
HELD_BY = {
    "a worker is killed with -9, anywhere": [
        "test_crash.py::test_a_worker_that_dies_at_any_line_loses_no_job_and_saves_none_twice",
        "test_fire.py::test_under_fire_no_job_is_lost_and_no_result_is_saved_twice",
        "test_worker.py::test_a_worker_killed_in_the_middle_of_a_document_leaves_its_job_to_another_and_the_result_is_there"
        "_once",
    ],
    "the API is killed with -9, anywhere": [
        "test_crash.py::test_an_upload_whose_api_dies_at_any_line_is_in_line_or_nobody_was_told_its_id",
    ],
    "a job kills its worker three times": [
        "test_child.py::test_a_document_that_kills_its_worker_is_dead_after_three_and_the_others_go_on",
    ],
    "SIGTERM": [
        "test_worker.py::test_sigterm_ends_an_idle_worker_in_the_middle_of_its_wait",
        "test_worker.py::test_sigterm_gives_a_job_back_at_once_and_the_attempt_is_not_counted",
        "test_worker.py::test_sigterm_with_a_grace_lets_the_job_in_hand_be_finished",
    ],
    "work comes and goes under `worker.py --max 8`": [
        "test_fleet.py::test_a_fleet_grows_under_a_burst_shrinks_to_its_least_and_leaves_no_process_behind",
        "test_fleet.py::test_a_busy_loop_that_is_sent_away_finishes_its_document_and_takes_no_other",
        "test_fleet.py::test_a_third_of_the_loops_killed_while_the_fleet_shrinks_costs_no_job_and_doubles_none",
    ],
    "a document hangs, eats memory or crashes the pipeline": [
        "test_child.py::test_each_way_for_a_child_to_end_is_one_failed_attempt_with_a_reason_that_names_it",
        "test_child.py::test_a_child_whose_worker_was_killed_ends_even_if_it_hangs",
        "test_worker.py::test_a_document_that_takes_too_long_is_given_up_after_three_attempts_with_a_sentence",
    ],
    "a document cannot be read (locked, damaged, without text, not English, a bomb, no document at all)": [
        "test_service.py::test_a_document_that_cannot_be_used_fails_with_a_sentence_and_leaves_nothing_behind",
    ],
    "somebody else's file server is away or slow": [
        "test_downloads.py::test_somebody_elses_server_that_is_ill_costs_an_attempt_and_the_document_is_done_when_it_is_well",
        "test_queue.py::test_the_waits_between_attempts_grow_are_spread_and_never_pass_five_minutes",
        "test_queue.py::test_a_retried_job_waits_its_delay_and_is_given_up_after_three_attempts",
    ],
    "the bucket or MongoDB is away, or the disk is full": [
        "test_outages.py::test_a_bucket_that_is_away_is_waited_for_and_costs_no_attempt",
        "test_outages.py::test_a_result_outlives_a_mongodb_that_is_away_when_it_is_to_be_saved",
        "test_outages.py::test_a_mongodb_that_is_not_there_when_the_worker_starts_is_waited_for",
        "test_downloads.py::test_a_full_disk_costs_no_attempt_and_leaves_nothing_behind",
    ],
    "Redis is away, at any moment": [
        "test_worker.py::test_a_redis_that_is_not_there_is_waited_for_and_said_once",
        "test_network.py::test_an_idle_worker_outlives_a_redis_that_is_killed_and_starts_again_on_its_file",
        "test_network.py::test_a_document_goes_on_while_redis_is_killed_and_started_again_and_its_result_is_there_once",
        "test_network.py::test_a_redis_that_refuses_to_write_is_waited_for",
        "test_network.py::test_a_redis_that_is_loading_its_data_is_waited_for",
    ],
    "Redis or MongoDB is away from the API": [
        "test_outages.py::test_the_api_answers_503_with_retry_after_within_two_seconds_and_claims_nothing",
        "test_network.py::test_an_upload_whose_enqueue_reply_is_lost_keeps_its_file_and_its_record",
    ],
    "Redis refuses our password, or shows a certificate that is not trusted": [
        "test_network.py::test_a_wrong_password_ends_the_worker_with_one_clear_line",
        "test_tls.py::test_a_certificate_that_is_not_trusted_ends_the_worker_with_one_clear_line_and_is_no_outage",
        "test_tls.py::test_the_api_stays_up_without_a_certificate_that_it_trusts_and_says_why",
    ],
    "Redis has no memory left": [
        "test_network.py::test_without_memory_redis_takes_no_new_job_and_what_is_there_is_processed_to_its_end",
    ],
    "Redis forgot jobs that it had acknowledged (a failover)": [
        "test_outages.py::test_what_mongodb_holds_as_queued_and_redis_lost_runs_after_all",
        "test_outages.py::test_a_done_job_that_a_stale_copy_of_redis_brings_back_is_saved_no_second_time",
    ],
    "the same job is delivered twice": ["test_queue.py::test_a_job_delivered_to_two_workers_at_once_runs_once"],
    "a worker stalls and wakes up when another has its job": [
        "test_worker.py::test_a_worker_that_was_stalled_past_its_lease_saves_nothing_over_the_one_that_took_its_job",
    ],
    "a worker's loop hangs": [
        "test_outages.py::test_a_worker_whose_loop_hangs_ends_itself_and_its_job_goes_to_another",
    ],
    "one user uploads a thousand documents": [
        "test_queue.py::test_one_users_many_jobs_do_not_hold_up_anothers_one",
        "test_queue.py::test_with_twenty_heavy_users_a_newcomer_waits_for_two_jobs_of_each_at_most",
    ],
    "too many jobs wait, in all or of one user; a user uploads too many or too much": [
        "test_limits.py::test_a19_a_user_who_uploads_too_often_or_too_much_is_429_with_its_limits_and_others_go_on",
        "test_queue_control.py::test_a_full_queue_and_a_user_with_too_many_jobs_are_refused",
        "test_api.py::test_too_many_jobs_of_a_user_are_429_and_a_full_queue_is_503",
    ],
    "clients are slow, or never end what they began": [
        "test_slow.py::test_a20_heads_that_drip_hold_the_api_up_for_seconds_and_no_longer",
        "test_slow.py::test_a20_bodies_that_drip_leave_threads_to_others_and_are_refused_when_they_are_too_many",
        "test_slow.py::test_a20_clients_that_do_not_close_hold_up_nobody",
    ],
    "a webhook's receiver is down, slow, endless or hostile": [
        "test_webhooks.py::test_a_receiver_that_is_slow_endless_redirecting_or_gone_never_delays_a_job",
        "test_webhooks.py::test_a_receiver_that_fails_is_called_ten_times_over_three_days_with_one_event_id",
    ],
    "a job is cancelled": [
        "test_queue_control.py::test_a_waiting_job_that_is_cancelled_never_runs",
        "test_queue_control.py::test_cancelling_what_is_over_or_unknown_is_answered_as_such",
        "test_outages.py::test_cancelling_a_running_job_ends_its_child_within_three_seconds",
    ],
    "somebody else pushes what is no job": [
        "test_queue_foreign.py::test_an_entry_that_is_no_job_is_kept_in_the_dead_list_and_the_next_one_runs",
    ],
}


# Attacks on a service like this one, by their numbers in the project's list, and the tests that answer them.
ATTACKS = {
    "A1 no key, or a wrong one": [
        "test_auth.py::test_a1_every_route_but_the_open_ones_is_401_without_a_good_token",
        "test_auth.py::test_a1_the_sum_of_nothing_among_the_keys_lets_nobody_in",
    ],
    "A2 another user's job": [
        "test_auth.py::test_a2_the_job_of_another_user_is_byte_for_byte_an_unknown_one_on_every_route",
    ],
    "A3 fields that no form has": [
        "test_answers.py::test_a3_a_field_that_no_form_has_is_refused_by_its_name",
        "test_answers.py::test_a3_a_field_or_a_file_that_is_there_twice_is_refused",
    ],
    "A4 too much": [
        "test_answers.py::test_a4_too_many_parts_and_too_long_a_field_are_413",
        "test_answers.py::test_a4_known_words_have_a_limit_since_they_stay_in_redis_with_the_job",
        "test_uploads.py::test_a4_a_json_body_has_a_limit_of_its_own",
        "test_slow.py::test_a4_a_form_without_parts_has_a_small_limit_even_if_it_says_no_length",
        "test_slow.py::test_a4_chunks_that_are_none_are_400_in_json",
        "test_slow.py::test_a4_a_head_over_the_limits_is_refused_by_the_server",
        "test_api.py::test_a_body_over_the_hard_cap_is_413_with_the_same_sentence",
        "test_service.py::test_a_body_without_a_length_is_accepted_and_limited_as_well",
    ],
    "A5 odd JSON": ["test_uploads.py::test_a5_json_that_is_odd_is_400_and_never_500"],
    "A6 another type or method": ["test_answers.py::test_a6_another_content_type_is_415_and_another_method_405"],
    "A7 file names": [
        "test_files.py::test_a7_a_file_comes_back_as_a_download_under_its_name_whatever_that_is",
        "test_api.py::test_a_file_name_is_kept_as_a_name_and_never_becomes_a_path",
    ],
    "A8 what a file is not": [
        "test_uploads.py::test_a8_what_begins_like_no_document_is_refused_and_leaves_nothing",
        "test_service.py::test_a_document_that_cannot_be_used_fails_with_a_sentence_and_leaves_nothing_behind",
    ],
    "A9 bombs": [
        "test_hostile.py::test_a_hostile_file_ends_in_cards_or_a_sentence_within_a_minute_of_cpu_and_a_gigabyte_and_leaves_nothing",
    ],
    "A10 addresses inside": [
        "test_outbound.py::test_a10_no_way_to_write_an_address_leads_inside",
        "test_outbound.py::test_a10_the_worker_refuses_a_job_whose_file_is_inside",
        "test_webhooks.py::test_a10_a_receiver_inside_is_400_and_leaves_nothing",
    ],
    "A11 names that change, redirects": [
        "test_outbound.py::test_a11_the_connection_goes_to_the_address_that_was_checked_with_the_name_kept_for_tls",
        "test_outbound.py::test_a_certificate_of_another_name_is_refused",
        "test_downloads.py::test_a_redirect_is_not_followed",
    ],
    "A12 answers without an end": [
        "test_outbound.py::test_a12_a_server_that_drips_is_left_at_the_deadline_wherever_it_is",
        "test_outbound.py::test_a12_an_answer_that_is_none_is_worth_another_try_and_no_more",
        "test_downloads.py::test_a_file_over_the_limit_is_refused_whether_its_server_says_so_or_not",
        "test_downloads.py::test_what_is_compressed_on_its_way_is_not_unpacked",
    ],
    "A13 another's key in the bucket": [
        "test_uploads.py::test_a13_a23_what_no_upload_has_is_400",
        "test_api.py::test_a_user_id_cannot_leave_its_folder_in_the_bucket",
    ],
    "A14 links": [
        "test_files.py::test_a14_a_link_for_a_person_lives_fifteen_minutes_and_is_neither_logged_nor_on_the_wire",
    ],
    "A15 forged events": [
        "test_webhooks.py::test_a15_a_receiver_is_told_of_a_jobs_end_in_a_signed_event_that_it_can_check",
    ],
    "A16 the dashboard": [
        "test_admin.py::test_a16_without_an_admin_token_there_is_no_dashboard_and_no_metrics",
        "test_admin.py::test_a16_a_short_token_is_refused_at_the_start",
        "test_admin.py::test_a16_nothing_is_shown_or_changed_without_the_token_or_a_session_that_it_signed",
        "test_admin.py::test_a16_the_session_is_a_cookie_that_no_script_and_no_other_site_has",
        "test_admin.py::test_a16_a_change_from_another_site_is_refused_though_the_browser_sends_the_cookie",
        "test_admin.py::test_a16_no_other_page_can_frame_the_dashboard_and_no_foreign_script_runs_in_it",
        "test_dashboard.py::test_a16_what_strangers_write_is_shown_as_text",
    ],
    "A17 secrets": ["test_session.py::test_a17_no_secret_is_in_any_log_response_or_record"],
    "A18 forged log lines, floods of them": [
        "test_monitoring.py::test_a18_a_process_says_fewer_than_a_hundred_lines_a_second_and_how_many_it_left_out",
        "test_session.py::test_a17_no_secret_is_in_any_log_response_or_record",
        "test_answers.py::test_a18_a_request_id_that_could_forge_a_log_line_is_not_taken_over",
    ],
    "A19 too often": [
        "test_limits.py::test_a19_a_user_who_uploads_too_often_or_too_much_is_429_with_its_limits_and_others_go_on",
        "test_uploads.py::test_a19_uploads_that_are_only_begun_count_and_completing_them_counts_no_more",
        "test_jobs.py::test_a19_a_job_that_is_tried_again_counts_like_an_upload",
        "test_answers.py::test_a19_readyz_asks_the_servers_once_a_second_however_often_it_is_asked",
    ],
    "A20 slow clients": [
        "test_slow.py::test_a20_ten_uploads_of_50_mb_three_of_them_slow_leave_polls_quick_and_the_apis_memory_small",
        "test_slow.py::test_a20_heads_without_an_end_hold_the_api_up_for_seconds_and_no_longer",
        "test_slow.py::test_a20_heads_that_drip_hold_the_api_up_for_seconds_and_no_longer",
        "test_slow.py::test_a20_bodies_that_drip_leave_threads_to_others_and_are_refused_when_they_are_too_many",
        "test_slow.py::test_a20_clients_that_do_not_close_hold_up_nobody",
        "test_outbound.py::test_a20_a_name_whose_servers_are_silent_is_left_after_seconds",
    ],
    "A21 a forged address": ["test_limits.py::test_a21_no_address_is_counted_and_a_forged_one_changes_nothing"],
    "A22 ids that are none": ["test_api.py::test_an_unknown_or_impossible_job_id_is_404_in_json"],
    "A23 operators of MongoDB": [
        "test_uploads.py::test_a13_a23_what_no_upload_has_is_400",
        "test_jobs.py::test_a_list_that_cannot_be_is_400",
    ],
    "A24 unpickling": ["test_docs.py::test_a24_nothing_is_unpickled_or_evaluated"],
    "A25 another file under a package's name": [
        "test_docs.py::test_a25_what_is_deployed_is_pinned_by_hashes_so_that_no_other_file_is_installed",
    ],
    "A26 what a container shows": [
        "test_answers.py::test_a26_no_page_shows_the_environment_and_nothing_runs_in_debug",
        "test_deploy.py::test_the_image_is_built_on_the_projects_python_and_runs_the_worker_as_nobody_special",
    ],
}


def test_every_attack_is_answered_by_tests_that_are_there() -> None:
    numbers = [int(name.split()[0][1:]) for name in ATTACKS]
    assert numbers == list(range(1, 27))
    for test in (test for tests in ATTACKS.values() for test in tests):
        file, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), test


def test_a24_nothing_is_unpickled_or_evaluated() -> None:
    for path in [*ROOT.glob("*.py"), *(ROOT / "pipeline").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            names |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            assert not names & {"pickle", "marshal", "shelve", "yaml", "dill"}, path
            assert called not in ("eval", "exec", "compile"), path


def test_each_row_of_what_happens_when_is_held_true_by_tests_that_are_there() -> None:
    table = README.partition("\n## What happens when…\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][1:]
    assert rows == list(HELD_BY)
    for test in (test for tests in HELD_BY.values() for test in tests):
        file, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), test
