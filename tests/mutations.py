"""The tests can fail: each of these changes breaks the promise in one place, and a named test must turn red.

    python -m tests.mutations [WORDS]     those whose name has these words; exit code 1 if a test stayed green

It changes a copy of the tree in a temporary folder and runs the one test there, on the servers that the environment
names (they are emptied), or on its own. pytest does not collect it; test_mutations.py holds the list against the code.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from servers import VENV, Stack, leashed

ROOT = Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "node_modules")


class Mutation(NamedTuple):
    """A change that the named test must notice. `old` stands in the file just once."""

    name: str
    file: str
    old: str
    new: str
    test: str


QUEUE, CONTROL, NETWORK = "tests/test_queue.py::", "tests/test_queue_control.py::", "tests/test_network.py::"
FOREIGN = "tests/test_queue_foreign.py::"
WORKER, OUTAGES, CRASH = "tests/test_worker.py::", "tests/test_outages.py::", "tests/test_crash.py::"
CHILD, FLEET, DOCTOR = "tests/test_child.py::", "tests/test_fleet.py::", "tests/test_doctor.py::"
RECORDS, LONG = "tests/test_records.py::", "tests/test_long_results.py::"
RECONCILE, AHEAD = "tests/test_reconcile.py::", "tests/test_queue_ahead.py::"
ADMIN, METRICS, MONITORING = "tests/test_admin.py::", "tests/test_metrics.py::", "tests/test_monitoring.py::"
PROPERTY = "tests/test_queue_property.py::test_no_interleaving_breaks_an_invariant_or_loses_a_job"
MUTATIONS = [
    Mutation(
        "look_after does not walk the lines", "queue_lib.lua",
        "    walk(list)\n",
        "",
        QUEUE + "test_a_job_that_was_popped_by_a_worker_that_died_before_its_claim_comes_back",
    ),
    Mutation(
        "look_after ends no lease", "queue_lib.lua",
        "  end_leases()\n",
        "",
        QUEUE + "test_a_job_whose_worker_died_runs_again_when_its_lease_is_over",
    ),
    Mutation(
        "look_after wakes no retry", "queue_lib.lua",
        "  wake_delayed()\n",
        "",
        QUEUE + "test_a_retried_job_waits_its_delay_and_is_given_up_after_three_attempts",
    ),
    Mutation(
        "a lease is not renewed", "queue_lib.lua",
        "      redis.call('ZADD', LEASES, now + set.lease, id)\n",
        "",
        QUEUE + "test_a_lease_that_is_renewed_keeps_the_job_past_its_first_end",
    ),
    Mutation(
        "lost pointers come back in the wrong order", "queue_lib.lua",
        "for i = #lost, 1, -1 do",
        "for i = 1, #lost do",
        QUEUE + "test_lost_pointers_come_back_in_the_order_they_had",
    ),
    Mutation(
        "who leaves a line promotes nobody", "queue_lib.lua",
        "  promote(list, user)\nend",
        "end",
        QUEUE + "test_one_users_many_jobs_do_not_hold_up_anothers_one",
    ),
    Mutation(
        "burying does not leave the line", "queue_lib.lua",
        "  if job.list then leave(job.list, job.id) end\n",
        "",
        CONTROL + "test_cancelling_frees_the_place_for_the_users_next_job",
    ),
    Mutation(
        "a window is without end", "queue_lib.lua",
        "while set.window == 0 or",
        "while true or",
        QUEUE + "test_one_users_many_jobs_do_not_hold_up_anothers_one",
    ),
    Mutation(
        "a retry goes straight to the line", "queue_lib.lua",
        "if job.at == 'delayed' then enter(job, true) end",
        "if job.at == 'delayed' then push(job) end",
        QUEUE + "test_retries_due_together_stand_in_nobodys_way",
    ),
    Mutation(
        "nobody is moved up", "queue_lib.lua",
        "    if i > 1 then age(list, LISTS[i - 1]) end\n",
        "",
        CONTROL + "test_the_head_of_a_lower_line_moves_up_when_it_has_waited_long",
    ),
    Mutation(
        "a strange hash raises", "queue_lib.lua",
        "redis.pcall('HMGET', 'job:' .. id, unpack(FIELDS))",
        "redis.call('HMGET', 'job:' .. id, unpack(FIELDS))",
        FOREIGN + "test_strange_keys_and_ids_do_not_stop_the_care_for_others",
    ),
    Mutation(
        "a running job can be claimed", "queue_lib.lua",
        "    return {'held'}\n",
        "",
        PROPERTY,
    ),
    Mutation(
        "claim does not know its own nonce", "queue_lib.lua",
        "if job.at == 'run' and job.nonce == nonce then",
        "if false then",
        NETWORK + "test_a_claim_whose_reply_is_lost_is_the_same_run_with_the_same_answer",
    ),
    Mutation(
        "enqueue does not ask whether the job is there", "queue_lib.lua",
        "  if job.at then return {'already', id} end\n",
        "",
        QUEUE + "test_enqueueing_a_known_id_again_changes_nothing_at_any_time_of_its_life",
    ),
    Mutation(
        "an older run may finish", "queue_lib.lua",
        "if not job.at or job.run ~= tonumber(run) then",
        "if not job.at then",
        QUEUE + "test_an_older_run_can_settle_nothing",
    ),
    Mutation(
        "an older run may give up", "queue_lib.lua",
        "if job.at ~= 'run' or job.run ~= tonumber(run) then",
        "if job.at ~= 'run' then",
        QUEUE + "test_an_older_run_can_settle_nothing",
    ),
    Mutation(
        "an end that is sent twice claims a second job", "queue_lib.lua",
        "        save(finished, 'next', entry.jobId)\n",
        "",
        "tests/test_queue_ahead.py::test_an_end_whose_reply_is_lost_hands_out_the_same_next_job",
    ),
    Mutation(
        "an end that is sent twice is refused", "queue_lib.lua",
        "    if job.settled == mark then return 'ok' end\n",
        "",
        QUEUE + "test_an_end_that_is_sent_twice_has_one_effect_and_the_same_answer",
    ),
    Mutation(
        "release counts the attempt", "queue_lib.lua",
        "  save(job, 'attempts', job.attempts - 1)\n",
        "",
        QUEUE + "test_a_released_job_is_next_in_line_and_the_attempt_is_not_counted",
    ),
    Mutation(
        "what kills its workers is tried for ever", "queue_lib.lua",
        "elseif job.attempts >= set.attempts then\n        bury",
        "elseif false then\n        bury",
        QUEUE + "test_a_job_that_kills_every_worker_is_dead_after_three_with_the_reason",
    ),
    Mutation(
        "the end of a lease ignores the cancel mark", "queue_lib.lua",
        "      if job.cancel then\n        bury",
        "      if false then\n        bury",
        CONTROL + "test_a_cancelled_job_does_not_come_back_from_a_failure",
    ),
    Mutation(
        "bare pushes are not taken in", "queue_lib.lua",
        "    if tail_is_bare(list) then intake(list) end\n",
        "",
        FOREIGN + "test_bare_pushes_are_as_fair_and_as_safe_as_ours_once_seen",
    ),
    Mutation(
        "an old bare push is not sought", "queue_lib.lua",
        "if entry and entry.jobId == id then",
        "if false then",
        FOREIGN + "test_an_old_bare_push_that_still_stands_in_the_list_is_not_said_to_be_lost_and_keeps_its_place",
    ),
    Mutation(
        "a pointer popped in a pause goes to the end", "queue_lib.lua",
        "    redis.call('RPUSH', list, raw)\n    return {'paused'}\n",
        "    redis.call('LPUSH', list, raw)\n    return {'paused'}\n",
        CONTROL + "test_a_job_popped_just_before_a_pause_keeps_its_place",
    ),
    Mutation(
        "the connection that blocks retries", "queue_lib.py",
        "retry=never, **common",
        "retry=once, **common",
        NETWORK + "test_a_job_whose_brpop_reply_is_lost_comes_back_and_has_cost_no_attempt",
    ),
    Mutation(
        "a worker goes without a last look", "queue_lib.py",
        "disconnect()\n        self.look_after()",
        "disconnect()",
        QUEUE + "test_a_worker_that_goes_puts_back_what_its_last_wait_had_popped",
    ),
    Mutation(
        "jobs cannot be settled without memory", "queue_lib.py",
        "#!lua flags=allow-oom",
        "#!lua",
        NETWORK + "test_all_ends_of_a_run_are_settled_without_memory",
    ),
    Mutation(
        "each run saves its result over the last one's", "records.py",
        "results.insert_one(record)",
        "results.replace_one({\"_id\": job_id}, record, upsert=True)",
        CRASH + "test_a_result_that_was_saved_before_its_worker_died_stands",
    ),
    Mutation(
        "a later run's long result is written over the first", "storage.py",
        ", Body=body, IfNoneMatch=\"*\")",
        ", Body=body)",
        LONG + "test_of_two_runs_with_a_long_result_the_first_ones_stands",
    ),
    Mutation(
        "a result's length is that of its JSON", "records.py",
        "len(bson.encode(record)) > MAX_RECORD",
        "len(json.dumps(result)) > MAX_RECORD",
        LONG + "test_a_result_over_12_mb_is_a_file_and_everybody_who_asks_gets_it_whole",
    ),
    Mutation(
        "a file that never got its record stays", "records.py",
        "            self.files.delete(self.files.result_key(user, job_id))\n",
        "",
        LONG + "test_a_file_that_never_got_its_record_goes_with_its_job",
    ),
    Mutation(
        "Redis is given results of any length", "queue_lib.py",
        "<= MOST_RESULT",
        "> 0",
        LONG + "test_a_result_that_redis_is_not_given_is_there_whatever_mongodb_makes_of_it",
    ),
    Mutation(
        "a query leaves out its user", "records.py",
        "{\"_id\": job_id} if user is None else {\"_id\": job_id, \"userId\": user}",
        "{\"_id\": job_id}",
        RECORDS + "test_a_user_with_a_token_makes_no_query_that_crosses_shards_in_all_of_a_jobs_life",
    ),
    Mutation(
        "a job's record is deleted while its upload is there", "records.py",
        "\"error\": error, \"endedAt\": _milliseconds()}",
        "\"error\": error, \"endedAt\": _milliseconds(), \"keptSince\": _date(_milliseconds())}",
        RECORDS + "test_a_job_and_its_result_are_deleted_by_mongodb_but_never_before_its_upload",
    ),
    Mutation(
        "the index keeps the first RESULT_TTL", "records.py",
        "                kind.drop_index(\"keptSince_1\")\n",
        "                pass\n",
        RECORDS + "test_the_indexes_are_made_once_and_follow_result_ttl_however_many_look_at_the_same_time",
    ),
    Mutation(
        "a job that is tried again may be deleted meanwhile", "records.py",
        "(\"error\", \"endedAt\", \"swept\", \"keptSince\")",
        "(\"error\", \"endedAt\")",
        RECORDS + "test_a_failed_job_that_is_tried_again_is_kept_from_its_new_end_on",
    ),
    Mutation(
        "a later schema is read", "records.py",
        "record.get(\"schema\", 0) > SCHEMA",
        "record.get(\"schema\", 0) > 99",
        RECORDS + "test_a_record_of_a_later_schema_is_neither_read_nor_touched_and_is_503",
    ),
    Mutation(
        "a certificate that is not trusted looks like an outage", "queue_lib.py",
        "isinstance(error.__context__, ssl.SSLCertVerificationError)",
        "isinstance(error.__context__, ZeroDivisionError)",
        "tests/test_tls.py::test_a_certificate_that_is_not_trusted_ends_the_worker_with_one_clear_line_and_is_no_outage",
    ),
    Mutation(
        "a job is finished before its result is saved", "worker.py",
        "                if not saved and not self.records.save_result(job.id, job.user, json.loads(result)):\n",
        "                if self.queue.finish(job, result) and not self.records.save_result(\n"
        "                    job.id, job.user, json.loads(result)\n"
        "                ):\n",
        CRASH + "test_a_result_that_was_saved_before_its_worker_died_stands",
    ),
    Mutation(
        "SIGTERM does not end the wait", "worker.py",
        "        if self.waiting:\n",
        "        if False:\n",
        WORKER + "test_sigterm_ends_an_idle_worker_in_the_middle_of_its_wait",
    ),
    Mutation(
        "a loop that is sent away gives its document back", "worker.py",
        " and number != fleet.RETIRE:",
        ":",
        FLEET + "test_a_busy_loop_that_is_sent_away_finishes_its_document_and_takes_no_other",
    ),
    Mutation(
        "a loop takes jobs before its forkserver is loaded", "worker.py",
        "        await_forkserver()\n",
        "",
        FLEET + "test_a_loop_that_starts_has_its_forkserver_loaded_and_takes_what_the_fleet_counts_with",
    ),
    Mutation(
        "loops that went are left as zombies", "fleet.py",
        "                    os.waitpid(dead.si_pid, 0)",
        "                    break",
        FLEET + "test_a_fleet_grows_under_a_burst_shrinks_to_its_least_and_leaves_no_process_behind",
    ),
    Mutation(
        "a fleet shrinks while it sees nothing", "fleet.py",
        "            self.blind, self.size = True, replace(self.size, since=time.monotonic())",
        "            self.blind, self.size = True, replace(self.size, loops=self.size.loops - 1)",
        FLEET + "test_a_fleet_stays_as_it_is_while_redis_is_away_and_says_so_once",
    ),
    Mutation(
        "a fleet grows past its memory", "fleet.py",
        "room - SPARE - leaving",
        "math.inf",
        FLEET + "test_a_fleet_grows_no_further_than_its_memory",
    ),
    Mutation(
        "a job is not given back at SIGTERM", "worker.py",
        "            self.queue.release(job)  # neither",
        "            pass  # neither",
        WORKER + "test_sigterm_gives_a_job_back_at_once_and_the_attempt_is_not_counted",
    ),
    Mutation(
        "a child keeps the forkserver of a killed worker alive", "worker.py",
        "    os.close(forkserver._forkserver._forkserver_alive_fd)",
        "    os.close(os.dup(forkserver._forkserver._forkserver_alive_fd))",
        CHILD + "test_a_child_whose_worker_was_killed_ends_even_if_it_hangs",
    ),
    Mutation(
        "a child does not die with the forkserver", "worker.py",
        "    die_with_parent()\n    # That parent",
        "    # That parent",
        CHILD + "test_a_child_whose_worker_was_killed_ends_even_if_it_hangs",
    ),
    Mutation(
        "a child may eat all memory", "worker.py",
        "    resource.setrlimit(resource.RLIMIT_AS, (limits.megabytes << 20, limits.megabytes << 20))\n",
        "",
        CHILD + "test_each_way_for_a_child_to_end_is_one_failed_attempt_with_a_reason_that_names_it",
    ),
    Mutation(
        "a child may compute for ever", "worker.py",
        "    resource.setrlimit(resource.RLIMIT_CPU, (int(limits.seconds) + 1, int(limits.seconds) + 2))\n",
        "",
        CHILD + "test_a_child_that_spins_ends_by_its_own_cpu_limit_when_its_worker_is_not_there_to_end_it",
    ),
    Mutation(
        "a full disk is taken for a bug", "storage.py",
        "    except OSError as error:  # a full disk",
        "    except ZeroDivisionError as error:  # a full disk",
        "tests/test_downloads.py::test_a_full_disk_costs_no_attempt_and_leaves_nothing_behind",
    ),
    Mutation(
        "a bug between two jobs ends the worker", "worker.py",
        "            except Exception:  # noqa: BLE001  a bug of ours between",
        "            except FileNotFoundError:  # a bug of ours between",
        WORKER + "test_a_bug_between_two_jobs_is_said_with_its_traceback_and_does_not_end_the_worker",
    ),
    Mutation(
        "an outage ends the worker", "worker.py",
        "                self._wait_out(error)\n",
        "                raise\n",
        WORKER + "test_a_redis_that_is_not_there_is_waited_for_and_said_once",
    ),
    Mutation(
        "what Redis forgot is not enqueued again", "worker.py",
        "        elif not place:\n",
        "        elif False:\n",
        OUTAGES + "test_what_mongodb_holds_as_queued_and_redis_lost_runs_after_all",
    ),
    Mutation(
        "a result of somebody else's worker is not saved", "worker.py",
        "        elif place == \"done\":",
        "        elif place == \"nowhere\":",
        RECONCILE + "test_the_result_of_a_worker_that_knows_no_mongodb_is_saved",
    ),
    Mutation(
        "a deletion that was broken off stays so", "worker.py",
        "        elif place == \"deleted\":",
        "        elif place == \"nowhere\":",
        RECONCILE + "test_a_deletion_that_was_broken_off_is_brought_to_its_end",
    ),
    Mutation(
        "the hourly care is deaf to SIGTERM", "worker.py",
        "                self.turned = time.monotonic()\n                if self.going:\n                    return\n",
        "                self.turned = time.monotonic()\n",
        RECONCILE + "test_a_worker_that_is_told_to_go_ends_its_care_at_once_and_begins_it_anew_next_time",
    ),
    Mutation(
        "one file that cannot be deleted ends the sweep", "records.py",
        "REFUSED = 3000, 20 ",
        "REFUSED = 3000, 1 ",
        "tests/test_files.py::test_a_file_that_cannot_be_deleted_keeps_no_other_from_it",
    ),
    Mutation(
        "a job whose end got no answer is looked for, and taken for lost", "worker.py",
        "            if not saved:  #",
        "            if True:  #",
        AHEAD + "test_a_worker_whose_end_of_a_job_gets_no_reply_ends_it_once_and_goes_on_with_the_next",
    ),
    Mutation(
        "a job is claimed although the hourly care comes first", "worker.py",
        "        more = not self.going and not self._care_is_due()\n",
        "        more = not self.going\n",
        AHEAD + "test_a_worker_that_is_to_look_for_lost_jobs_first_claims_none_ahead",
    ),
    Mutation(
        "a look that failed lets the job claimed ahead start", "queue_lib.py",
        "                self._next_look = 0.0  # it is still ours, and asked for again\n",
        "",
        AHEAD + "test_a_look_that_fails_before_the_job_claimed_ahead_starts_does_not_forget_it",
    ),
    Mutation(
        "each silent address has five seconds of its own", "outbound.py",
        "        line.settimeout(min(CONNECT, left))\n",
        "        line.settimeout(CONNECT)\n",
        "tests/test_outbound.py::test_a_name_with_many_addresses_that_say_nothing_takes_no_longer_than_the_deadline",
    ),
    Mutation(
        "a cancel is not heard", "worker.py",
        "                    raise Cancelled\n",
        "                    pass\n",
        OUTAGES + "test_cancelling_a_running_job_ends_its_child_within_three_seconds",
    ),
    Mutation(
        "API: a deleted job leaves no tombstone", "queue_lib.lua",
        "      redis.call('DEL', 'job:' .. id)\n      save(job, 'at', 'deleted')\n",
        "      redis.call('DEL', 'job:' .. id)\n",
        "tests/test_jobs.py::test_a_deleted_job_is_gone_everywhere_and_a_copy_of_its_pointer_starts_nothing",
    ),
    Mutation(
        "API: a worker keeps the result of a job that was deleted meanwhile", "worker.py",
        "                    self.records.forget(job.user, [job.id])\n",
        "                    pass\n",
        "tests/test_jobs.py::test_a_result_that_was_saved_just_before_its_job_was_deleted_is_taken_back",
    ),
    Mutation(
        "API: everybody sees every job", "queue_lib.py",
        '        if user is not None and stored.get("user") != user:\n            return None\n',
        "",
        "tests/test_auth.py::test_a2_the_job_of_another_user_is_byte_for_byte_an_unknown_one_on_every_route",
    ),
    Mutation(
        "API: an empty secret signs", "auth.py",
        "        if not self._secret:  # anybody can sign with an empty one\n            raise unauthorized()\n",
        "",
        "tests/test_auth.py::test_with_keys_alone_no_token_is_good",
    ),
    Mutation(
        "API: one public address is enough", "outbound.py",
        "if not trusted and not all(is_public",
        "if not trusted and not any(is_public",
        "tests/test_outbound.py::test_one_private_address_among_public_ones_is_enough_to_refuse",
    ),
    Mutation(
        "API: uploads are not counted", "queue_lib.lua",
        "  charge('uploads', user, 1, 60000)\n",
        "",
        "tests/test_limits.py::test_a19_a_user_who_uploads_too_often_or_too_much_is_429_with_its_limits_and_others_go_on",
    ),
    Mutation(
        "API: an upload that is only begun is not counted", "uploads.py",
        "            self.queue.ration(user, size)",
        "            pass",
        "tests/test_uploads.py::test_a19_uploads_that_are_only_begun_count_and_completing_them_counts_no_more",
    ),
    Mutation(
        "API: bodies may take every thread", "uploads.py",
        "AT_ONCE, IN_LINE = 24",
        "AT_ONCE, IN_LINE = 99",
        "tests/test_slow.py"
        "::test_a20_bodies_that_drip_leave_threads_to_others_and_are_refused_when_they_are_too_many",
    ),
    Mutation(
        "API: a head may drip for ever", "gunicorn.conf.py",
        "                        end()\n",
        "                        pass\n",
        "tests/test_slow.py::test_a20_heads_that_drip_hold_the_api_up_for_seconds_and_no_longer",
    ),
    Mutation(
        "API: gunicorn waits for who does not close", "gunicorn.conf.py",
        "        gthread.util.close_graceful = self.close_later\n",
        "",
        "tests/test_slow.py::test_a20_clients_that_do_not_close_hold_up_nobody",
    ),
    Mutation(
        "API: an event stays due while it is told", "queue_lib.lua",
        "  for _, id in ipairs(due) do redis.call('ZADD', WEBHOOKS, now + 60000, id) end\n",
        "",
        "tests/test_webhooks.py::test_an_event_that_its_worker_did_not_tell_is_told_by_another_a_minute_later",
    ),
    Mutation(
        "API: a result is anybody's", "forms.py",
        "    parts = [user, sha256, version,",
        "    parts = [sha256, version,",
        "tests/test_cache.py::test_another_user_other_options_another_byte_or_another_pipeline_is_another_job",
    ),
    Mutation(
        "the dashboard is changed from anywhere", "auth.py",
        "        return site == \"same-origin\"\n",
        "        return True\n",
        ADMIN + "test_a16_a_change_from_another_site_is_refused_though_the_browser_sends_the_cookie",
    ),
    Mutation(
        "an operator's session has no end", "auth.py",
        "        return good and int(ends) > time.time()\n",
        "        return good\n",
        ADMIN + "test_a16_nothing_is_shown_or_changed_without_the_token_or_a_session_that_it_signed",
    ),
    Mutation(
        "a requeued job stays with the dead of its group", "queue_lib.lua",
        "      enter(job)\n      undead(job)\n",
        "      enter(job)\n      redis.call('ZREM', DEAD, id)\n",
        METRICS + "test_a_group_has_its_failures_and_its_dead_jobs_until_they_are_requeued",
    ),
    Mutation(
        "what is done twice is counted twice", "queue_lib.lua",
        "    if job.settled == mark then return 'ok' end\n",
        "    if job.settled == mark then count('retried'); return 'ok' end\n",
        METRICS + "test_each_way_of_a_job_is_counted_once_though_its_command_is_sent_twice",
    ),
    Mutation(
        "a flood of lines is let through", "monitoring.py",
        "            if self._lines < (MOST",
        "            if True or self._lines < (MOST",
        MONITORING + "test_a18_a_process_says_fewer_than_a_hundred_lines_a_second_and_how_many_it_left_out",
    ),
    Mutation(
        "each run of a job has a line", "worker.py",
        "(job.run > 1 and not is_end)",
        "(job.run > 100 and not is_end)",
        MONITORING + "test_a_job_that_is_given_back_again_and_again_has_no_more_lines_than_others",
    ),
    Mutation(
        "the doctor leaves its file in the bucket", "doctor.py",
        '        code, text, _ = files.attempt("delete", key)\n',
        "        pass\n",
        DOCTOR + "test_a_place_that_is_right_is_told_so_and_left_as_it_was",
    ),
    Mutation(
        "the doctor that is interrupted goes on", "doctor.py",
        "    raise KeyboardInterrupt\n",
        "    sys.exit(130)\n",
        DOCTOR + "test_a_doctor_that_is_interrupted_leaves_nothing_behind",
    ),
    Mutation(
        "the doctor prints secrets", "doctor.py",
        '                text = text.replace(secret, "***")\n',
        "                pass\n",
        DOCTOR + "test_no_secret_is_printed_whatever_is_wrong",
    ),
]


def mutate(tree: Path, mutation: Mutation) -> None:
    """Change the tree. Raises ValueError if the code is not what the list takes it for."""
    file = tree / mutation.file
    text = file.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.name}: its text stands {text.count(mutation.old)} times in {mutation.file}")
    file.write_text(text.replace(mutation.old, mutation.new))


def run_tests(tree: Path, tests: list[str], env: dict[str, str]) -> str:
    """Whether these tests are green or red in the tree; else what pytest said."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--no-header", *tests]
    done = subprocess.run(leashed(command), cwd=tree, env=env, capture_output=True, text=True)
    return {0: "green", 1: "red"}.get(done.returncode, done.stdout + done.stderr)


def main(words: list[str]) -> int:
    """Try those mutations whose name has all these words; 1 if one was not noticed."""
    chosen = [mutation for mutation in MUTATIONS if all(word in mutation.name for word in words)]
    unnoticed = []
    with tempfile.TemporaryDirectory(prefix="docdeck-mutations-") as name, Stack(Path(name) / "data") as stack:
        tree = Path(name) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        (tree / ".venv").symlink_to(VENV)
        stack.start_servers()
        env = {**os.environ, **stack.env}
        unchanged = run_tests(tree, sorted({mutation.test for mutation in chosen}), env)
        print(f"unchanged: {unchanged}", flush=True)
        if unchanged != "green":
            return 1  # a test that is red anyway says nothing of a mutation
        for mutation in chosen:
            started, original = time.monotonic(), (tree / mutation.file).read_text()
            mutate(tree, mutation)
            answer = run_tests(tree, [mutation.test], env)
            (tree / mutation.file).write_text(original)
            if answer != "red":
                unnoticed.append(mutation.name)
            print(f"{answer:6} {time.monotonic() - started:5.1f} s  {mutation.name}", flush=True)
    print(f"{len(chosen) - len(unnoticed)} of {len(chosen)} changes were noticed", *unnoticed, sep="\n  ")
    return int(bool(unnoticed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
