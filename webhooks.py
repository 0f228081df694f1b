"""Telling a receiver that a job has ended, by the Standard Webhooks specification; never in a job's way.

What is due stands in Redis, and look_after hands it to a worker that has room for it. Each call has its own thread, ten
seconds and outbound.py's guard; what came of it is kept with the job. Ten tries over three days, all with one event id;
410 ends them. A receiver's secret is made of WEBHOOK_SECRET and the user, so none has to be stored.
"""

import base64
import hmac
import json
import os
import threading
import time
import traceback
from collections.abc import Collection
from typing import Any

import outbound
import queue_lib
from monitoring import log
from queue_lib import Queue

ROOM = 8  # calls at once in one worker
SECONDS = 10  # for one call, to the last byte of the answer's head; its body is not read
MOST_RESULT = 256 * 1024  # characters; a longer result is named by its path
WAITS = (5, 60, 300, 1800, 7200, 21600, 43200, 86400, 97200)  # seconds between ten tries: 71.5 hours in all


class Hooks:
    """Which receivers may be named, and how their events are signed. secret: "" where no webhooks are sent."""

    def __init__(self, secret: str, allowed: Collection[str]) -> None:
        self._secret, self.allowed = secret, allowed

    @classmethod
    def from_env(cls) -> "Hooks":
        """As the environment says; exits with a sentence where the secret is none."""
        secret = os.environ.get("WEBHOOK_SECRET", "")
        if secret and len(secret) < 32:
            raise SystemExit("WEBHOOK_SECRET is too short to keep anything secret: it needs at least 32 characters.")
        return cls(secret, outbound.allowed_hosts())

    def __bool__(self) -> bool:
        return bool(self._secret)

    def secret_of(self, user: str) -> str:
        """What a user's receivers check signatures with."""
        digest = hmac.digest(self._secret.encode(), user.encode(errors="replace"), "sha256")
        return "whsec_" + base64.b64encode(digest).decode()

    def headers(self, user: str, event: str, body: bytes, now: int) -> dict[str, str]:
        """The three headers of Standard Webhooks, and the body's type. now: seconds since 1970."""
        key = base64.b64decode(self.secret_of(user).removeprefix("whsec_"))
        signature = hmac.digest(key, f"{event}.{now}.".encode() + body, "sha256")
        return {
            "Content-Type": "application/json",
            "webhook-id": event,
            "webhook-timestamp": str(now),
            "webhook-signature": "v1," + base64.b64encode(signature).decode(),
        }


class Notifier:
    """Calls receivers, each in a thread of its own that ends with the process: what it did not tell is due again."""

    def __init__(self, queue: Queue, hooks: Hooks) -> None:
        self._queue, self._hooks = queue, hooks
        self._lock, self._busy = threading.Lock(), 0

    def room(self) -> int:
        """How many more events it can be given."""
        return ROOM - self._busy

    def take(self, job_ids: list[str]) -> None:
        """Begin to tell the receivers of these jobs."""
        for job_id in job_ids:
            with self._lock:
                self._busy += 1
            threading.Thread(target=self._tell, args=[job_id], daemon=True).start()

    def _tell(self, job_id: str) -> None:
        try:
            job = self._queue.event(job_id)
            if job is not None:
                delivery, delay = self._call(job_id, job)
                self._queue.told(job_id, job, delivery, delay)
                if delay is None and not job["requeued"]:  # all tries are kept with the job: it has one line here
                    code, error = delivery.get("status"), delivery.get("error")
                    log("webhook over", job_id=job_id, user_id=job["user"], run=job["run"], code=code, error=error)
        except queue_lib.Unavailable:
            pass  # it is due again in a minute
        except Exception:  # noqa: BLE001  a bug of ours, said; a minute later it is tried again
            log("a bug in the webhooks", "error", job_id=job_id, cause=traceback.format_exc())
        finally:
            with self._lock:
                self._busy -= 1

    def _call(self, job_id: str, job: dict[str, Any]) -> tuple[dict[str, Any], float | None]:
        """One try: what is kept of it, and the seconds until the next one, None for never."""
        now, tries = int(time.time()), sum(one["run"] == job["run"] for one in job["deliveries"])
        event, body = f"evt_{job_id}_{job['run']}", body_of(job_id, job, now)
        delivery: dict[str, Any] = {"at": now, "run": job["run"]}
        try:
            headers = self._hooks.headers(job["user"], event, body, now)
            with outbound.opened(job["url"], "The webhookUrl", self._hooks.allowed, SECONDS, body, headers) as answer:
                delivery["status"] = answer.status
        except (outbound.Refused, outbound.Transient) as error:
            delivery["error"] = str(error)
        status = delivery.get("status", 0)
        over = 200 <= status < 300 or status == 410 or tries >= len(WAITS)
        return delivery, None if over else WAITS[tries]


def body_of(job_id: str, job: dict[str, Any], now: int) -> bytes:
    """An event: its type, its time, and the job with its result, or with the path of a long one."""
    data = {"jobId": job_id, "userId": job["user"], "fileName": job["fileName"], "status": job["status"]}
    if job["status"] == "failed":
        data["error"] = job["error"]
    elif len(job["result"]) <= MOST_RESULT and (result := parsed(job["result"])) is not None:
        data["result"] = result
    else:
        data["resultPath"] = f"/api/jobs/{job_id}/result"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    return json.dumps({"type": f"job.{job['status']}", "timestamp": stamp, "data": data}).encode()


def parsed(result: str) -> Any:
    """A result's JSON; None for what a foreign worker wrote and is none."""
    try:
        return json.loads(result)
    except (ValueError, RecursionError):
        return None
