"""A burst of users on the whole service, on this machine: what they wait, what is lost, what it takes.

    pip install -r requirements-local.txt -r bench/requirements.txt
    python bench/load.py                          the real thing: twelve minutes
    python bench/load.py --quick                  ten users for a minute
    python bench/load.py --form                   the big files through the API as well, which the page does not do
    python bench/load.py --bucket                 the burst straight into the bucket, past all that is Docdeck's

Starts the servers, the API and two workers as `dev.py run` does, the workers niced below the API, and 100 users at once
(load_users.py, in locust), of whom ten have PDFs of 50 MB with 100,000 words and the others documents of 1 MB, each on
a line of 100 megabits a second (--line 0: as fast as this machine copies). Each
uploads again every two minutes for ten minutes, no longer in step with the others (--bursts: still in step), and asks
for every job every two seconds until its cards are there. No two documents are alike. Prints a table, and writes
docs/load.json and docs/load.png. 4 GB of disk, Linux only.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import boto3
import matplotlib as mpl
import pymongo
from matplotlib import pyplot

import dev
import servers
from bench.parts import running, taken
from queue_lib import Queue

HERE = Path(__file__).parent
GOALS = "1 MB under 500 ms at p95; polls under 20 ms at the median, 100 ms at p99; nothing lost, no 5xx, memory flat"


def main() -> None:
    """Run it, print the table, write the figures and the picture."""
    parser = argparse.ArgumentParser(description="Put load on the whole service.")
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--big", type=int, help="of them with files of 50 MB (a tenth)")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=120, help="seconds between two uploads of a user (120)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bursts", action="store_true", help="all upload at once in every round, not the first only")
    parser.add_argument("--line", type=float, default=100, help="megabits a second of a user's line (100; 0: no limit)")
    parser.add_argument("--form", action="store_true", help="send the big files through the API as well")
    parser.add_argument("--bucket", action="store_true", help="send the burst's files past Docdeck, and stop there")
    parser.add_argument("--quick", action="store_true", help="ten users, one of them with big files, for a minute")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "load", help="without its ending")
    options = parser.parse_args()
    if options.quick:
        options.users, options.minutes, options.every = 10, 1, 20
    seconds = options.minutes * 60
    settings = {
        "users": options.users,
        "big": options.users // 10 if options.big is None else options.big,
        "every": options.every,
        "rounds": 1 if options.bucket else 1 + int(seconds / options.every),
        "seconds": seconds,
        "form": options.form,
        "bucket": options.bucket,
        "bursts": options.bursts,
        "line": options.line,
    }
    with tempfile.TemporaryDirectory(prefix="dd-") as folder:
        run = measure(Path(folder), settings, options.workers)
    if options.bucket:
        print(json.dumps(requests_of(run["events"]), indent=1))
        return
    figures = figures_of(run, settings)
    print(table(figures))
    options.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    draw(run, options.out.with_suffix(".png"))
    sys.exit(0 if figures["lost"] == figures["code 5xx"] == 0 else 1)


# The run --------------------------------------------------------------------------------------------------------------


def measure(folder: Path, settings: dict[str, Any], workers: int) -> dict[str, Any]:
    """The stack up, the users through: what they saw, what the parts took and what the records say."""
    told, out = folder / "settings.json", folder / "users.json"
    told.write_text(json.dumps(settings))
    servers.note("Making the documents ...")
    command = [sys.executable, str(HERE / "load_users.py"), str(told), str(out)]
    pipe = subprocess.PIPE
    users = subprocess.Popen(servers.leashed(command), stdin=pipe, stdout=pipe, start_new_session=True)
    if users.stdout is None or users.stdin is None or users.stdout.readline() != b"ready\n":
        sys.exit("load_users.py did not start: its words are above.")
    with running(folder / "data", workers) as (stack, url, parts):
        warm(url, stack)
        servers.note(f"{settings['users']} users, {settings['users'] * settings['rounds']} documents ...")
        links = [link(stack.env, f"load-{number}") for number in range(settings["users"] * settings["bucket"])]
        with sampled({**parts, "users": users.pid}) as samples:
            users.stdin.write(f"{url}\n{json.dumps(links)}\n".encode())
            users.stdin.flush()
            while users.poll() is None:
                stack.pause(0.5)
        run: dict[str, Any] = json.loads(out.read_text()) if out.exists() else sys.exit("The users died.")
        run["samples"], run["saved"], run["left"] = samples, saved(stack.env), left(stack.env)
    return run


def link(env: dict[str, str], key: str) -> str:
    """An address to which anybody can PUT a file."""
    keys = {"aws_access_key_id": env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}
    s3 = boto3.client("s3", region_name="auto", endpoint_url=env["AWS_ENDPOINT_URL_S3"], **keys)
    return str(s3.generate_presigned_url("put_object", Params={"Bucket": env["S3_BUCKET"], "Key": key}))


def warm(url: str, stack: servers.Stack) -> None:
    """A few documents that do not count: the first writes to a new SeaweedFS wait a second for its volumes."""
    port = int(url.rpartition(":")[2])
    for _ in range(4):
        job = dev.send(port, HERE.parent / "samples" / "how-a-city-drinks.txt", stack.pause)
        while b'"status": "completed"' not in servers.get(port, f"/api/job-status/{job}")[1]:
            stack.pause(0.5)
        urllib.request.urlopen(urllib.request.Request(f"{url}/api/users/local", method="DELETE")).close()  # noqa: S310


@contextlib.contextmanager
def sampled(parts: dict[str, int]) -> Iterator[list[dict[str, Any]]]:
    """Every five seconds of the block: of each part the megabytes and the CPU seconds so far."""
    samples: list[dict[str, Any]] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(5 if samples else 0):
            samples.append({"when": time.time(), "parts": taken(parts)})

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def saved(env: dict[str, str]) -> dict[str, int]:
    """How many cards MongoDB has of each job."""
    with pymongo.MongoClient[dict[str, Any]](env["MONGODB_URI"]) as client:
        found = client.get_default_database().results.find({}, {"flashcards.id": 1})
        return {result["_id"]: len(result["flashcards"]) for result in found}


def left(env: dict[str, str]) -> int:
    """Jobs that Redis has anywhere but among the done ones."""
    stats = Queue(env["UPSTASH_REDIS_URL"]).stats()
    waiting = sum(line["waiting"] for line in stats.lines.values())
    return int(waiting) + sum(stats.places[place] for place in ("running", "delayed", "dead"))


# What came of it ------------------------------------------------------------------------------------------------------


def figures_of(run: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """All that is told of a run, for docs/load.json."""
    jobs, events = run["jobs"], run["events"]
    sizes = {name: [job for job in jobs if size_of(job) == name] for name in ("1 MB", "50 MB")}
    lost = [job for job in jobs if not job["cards"] or run["saved"].get(job["jobId"]) != job["cards"]]
    begun, ended = run["began"], max(job["began"] + (job["seconds"] or 0) for job in jobs)
    return {
        "users": settings["users"],
        "documents": {size: len(those) for size, those in sizes.items()},
        "cores": os.cpu_count(),
        "minutes": round((ended - begun) / 60, 1),
        "requests, ms": requests_of(events),
        "wait for the cards, s": {
            size: spread([job["seconds"] for job in those if job["seconds"]], 1)
            for size, those in sizes.items()
            if those
        },
        "polls a job": round(sum(job.get("polls", 0) for job in jobs) / len(jobs), 1),
        "unchanged polls": sum(event["code"] == 304 for event in events),
        "no answer": sum(event["code"] == 0 for event in events),
        "code 4xx": sum(400 <= event["code"] < 500 for event in events),
        "code 5xx": sum(event["code"] >= 500 for event in events),
        "lost": len(lost) + abs(len(run["saved"]) - len({job["jobId"] for job in jobs})) + run["left"],
        "parts": parts_of(run, settings),
    }


def requests_of(events: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The waits for an answer, in ms, by what was asked."""
    named = sorted({event["name"] for event in events} | {"upload of 1 MB"})
    return {name: spread([e["ms"] for e in events if e["name"].startswith(name)], 1) for name in named}


def size_of(job: dict[str, Any]) -> str:
    """Which of the two sizes a document is of."""
    return "50 MB" if job["size"] > 4 << 20 else "1 MB"


def spread(values: Sequence[float], digits: int) -> dict[str, float]:
    """How many, the median, 95th and 99th percentile and the greatest."""
    if len(values) < 2:
        values = [*values, *values] or [0.0, 0.0]
    cuts = quantiles(values, n=100, method="inclusive")
    told = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "most": max(values)}
    return {"count": len(values)} | {name: round(value, digits) for name, value in told.items()}


def parts_of(run: dict[str, Any], settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Of each part MB in the second and in the last round (in the first it warms up), the most, and CPU seconds."""
    samples, every, told = run["samples"], settings["every"], {}

    def in_round(number: int) -> list[float]:
        return [each["parts"][name][0] for each in samples if (each["when"] - run["began"]) // every == number]

    for name in samples[0]["parts"]:
        second, last = in_round(1) or [0.0], in_round(settings["rounds"] - 1) or [0.0]
        most = max(each["parts"][name][0] for each in samples)
        cpu = max(each["parts"][name][1] for each in samples) - samples[0]["parts"][name][1]
        figures = {"MB, round 2": fmean(second), "MB, last round": fmean(last), "MB, most": most, "CPU s": cpu}
        told[name] = {what: round(figure, 1) for what, figure in figures.items()}
    return told


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    documents = ", ".join(f"{count} of {size}" for size, count in figures["documents"].items())
    lines = [f"{figures['users']} users, {documents}; {figures['minutes']} minutes on {figures['cores']} cores", ""]
    for what in ("requests, ms", "wait for the cards, s"):
        lines.append(f"{what:32}{'count':>8}{'p50':>9}{'p95':>9}{'p99':>9}{'most':>9}")
        for name, row in figures[what].items():
            lines.append(f"{name:32}{row['count']:8}" + "".join(f"{value:9.1f}" for value in list(row.values())[1:]))
        lines.append("")
    lines.append(f"{'part':14}" + "".join(f"{name:>16}" for name in next(iter(figures["parts"].values()))))
    lines += [f"{name:14}" + "".join(f"{v:16.1f}" for v in row.values()) for name, row in figures["parts"].items()]
    rest = ("lost", "code 5xx", "code 4xx", "no answer", "unchanged polls", "polls a job")
    return "\n".join([*lines, "", ", ".join(f"{name}: {figures[name]}" for name in rest), f"(the goals: {GOALS})"])


def draw(run: dict[str, Any], path: Path) -> None:
    """Three pictures over time in one: the waits, the answers, the memory."""
    mpl.use("Agg")
    figure, (waits, answers, memory) = pyplot.subplots(3, 1, figsize=(8, 8), sharex=True, layout="constrained")
    for size, colour in (("1 MB", "tab:blue"), ("50 MB", "tab:orange")):
        those = [job for job in run["jobs"] if size_of(job) == size and job["seconds"]]
        at = [(job["began"] - run["began"]) / 60 for job in those]
        waits.plot(at, [job["seconds"] for job in those], ".", color=colour, label=f"document of {size}")
    waits.set_ylabel("s from upload to cards")
    for name, colour in (("poll", "tab:green"), ("upload of 1 MB", "tab:blue")):
        those = [event for event in run["events"] if event["name"].startswith(name)]
        at = [(event["began"] - run["began"]) / 60 for event in those]
        answers.plot(at, [event["ms"] for event in those], ".", markersize=2, color=colour, label=name)
    answers.set_yscale("log")
    answers.set_ylabel("ms for an answer")
    for name in run["samples"][0]["parts"]:
        if name != "users":
            at = [(each["when"] - run["began"]) / 60 for each in run["samples"]]
            memory.plot(at, [each["parts"][name][0] for each in run["samples"]], label="API" if name == "web" else name)
    memory.set_ylabel("MB")
    memory.set_xlabel("minutes")
    for part in (waits, answers, memory):
        part.legend(loc="upper right", fontsize="small")
        part.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
