"""Uploads as people and browsers meet them: links, how long files are kept, and pages of other origins."""

import contextlib
import json
import re
from io import BytesIO
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from records import Records
from storage import Storage
from tests.support import running_api, wait_until

TEXT = b"Water is life. " * 40


def upload(client: FlaskClient, name: str = "water.txt") -> str:
    answer: Any = client.post("/api/upload-document-async", data={"file": (BytesIO(TEXT), name), "userId": "ann"})
    return answer.json["jobId"]


def test_a7_a_file_comes_back_as_a_download_under_its_name_whatever_that_is(client: FlaskClient) -> None:
    job_id = upload(client, "giáo trình\u202e+.pdf")
    link: Any = client.get(f"/api/jobs/{job_id}/file")
    answer = requests.get(link.json["url"], timeout=5)
    assert answer.content == TEXT
    assert answer.headers["Content-Type"] == "application/octet-stream"
    kind, plain, named = answer.headers["Content-Disposition"].split("; ")
    assert (kind, plain) == ("attachment", 'filename="document"')
    assert named == "filename*=UTF-8''gi%C3%A1o%20tr%C3%ACnh%2B.pdf"


def test_a14_a_link_for_a_person_lives_fifteen_minutes_and_is_neither_logged_nor_on_the_wire(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = upload(client)
    link: Any = client.get(f"/api/jobs/{job_id}/file").json
    assert link["expiresIn"] == 900
    assert re.search("X-Amz-Expires=900(&|$)", link["url"])
    assert requests.get(link["url"].partition("?")[0], timeout=5).status_code == 403, "the bucket is private"
    assert "X-Amz" not in client.get(f"/api/job-status/{job_id}").text
    assert "X-Amz" not in client.get("/api/jobs?userId=ann").text
    out, err = capsys.readouterr()
    assert "X-Amz" not in out + err


def test_a_link_goes_through_the_cdn_with_its_signature_and_the_queues_own_does_not(
    files: Storage, records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILES_CDN_URL", "https://files.example")
    with running_api() as app:
        job_id = upload(app.test_client())
        url = (app.test_client().get(f"/api/jobs/{job_id}/file").json or {})["url"]
    assert url.startswith(f"https://files.example/{files.bucket}/documents/ann/{job_id}?")
    assert "X-Amz-Signature=" in url
    assert not (records.record(job_id) or {})["payload"]["fileUrl"].startswith("https://files.example")


def test_a_file_that_is_gone_is_410(client: FlaskClient, files: Storage) -> None:
    job_id = upload(client)
    files.delete(files.upload_key("ann", job_id))
    assert client.get(f"/api/jobs/{job_id}/file").status_code == 410


def test_uploads_are_deleted_some_days_after_their_jobs_end_and_begun_ones_after_a_day(
    client: FlaskClient, files: Storage, records: Records
) -> None:
    old, young, waiting = (upload(client) for _ in range(3))
    begun: Any = client.post("/api/uploads", json={"userId": "ann", "fileName": "a.txt", "size": 9})
    begun = begun.json["uploadId"]
    jobs = records._database.jobs
    jobs.update_one({"_id": old}, {"$set": {"status": "failed", "error": "It broke.", "endedAt": 1}})
    jobs.update_one({"_id": begun}, {"$set": {"createdAt": 1}})
    records.fail_job(young, "ann", "It broke.")
    assert set(records.sweep(3600)) == {old, begun}
    assert [files.has(files.upload_key("ann", job_id)) for job_id in (old, young, waiting)] == [False, True, True]
    assert records.record(begun) is None
    assert (records.record(old) or {})["status"] == "failed"
    assert list(records.sweep(3600)) == [], "once"


def test_a_file_that_cannot_be_deleted_keeps_no_other_from_it(
    client: FlaskClient, files: Storage, records: Records
) -> None:
    locked, other = (upload(client, text) for text in ("locked", "other"))
    records._database.jobs.update_many({}, {"$set": {"status": "failed", "endedAt": 1}})
    records._database.jobs.update_one({"_id": other}, {"$set": {"endedAt": 2}})
    what = {"Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{files.bucket}/{files.upload_key('ann', locked)}"}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", **what}]}
    files._s3.put_bucket_policy(Bucket=files.bucket, Policy=json.dumps(policy))
    try:
        assert list(records.sweep(60)) == ["", other]
    finally:
        files._s3.delete_bucket_policy(Bucket=files.bucket)
    wait_until(lambda: list(records.sweep(60)) == [locked], 5, "the end of that policy")
    assert not files.has(files.upload_key("ann", locked))


def test_only_pages_of_the_named_origins_may_use_the_api(
    records: Records, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://app.example, https://other.example")
    monkeypatch.setenv("AUTH_SECRET", "s" * 40)
    with running_api() as app:
        client = app.test_client()
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        allowed = client.options("/api/upload-document-async", headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
        refused = client.get("/api/job-status/x", headers={"Origin": "https://app.example"})
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, "https://app.example")
        strange = client.options("/api/upload-document-async", headers={**asked, "Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in strange.headers
        assert strange.headers["Vary"] == "Origin"


def test_without_named_origins_no_other_page_is_told_anything(client: FlaskClient) -> None:
    answer = client.get("/healthz", headers={"Origin": "https://app.example"})
    assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118


@pytest.mark.parametrize("bucket", ["docdeck", "doc.deck"])
@pytest.mark.parametrize(
    ("region", "endpoint"),
    [("us-east-1", None), ("ap-southeast-1", None), ("auto", "https://account.r2.cloudflarestorage.com")],
)
def test_the_origin_that_the_page_may_upload_to_is_that_of_the_links_and_needs_no_keys(
    region: str, endpoint: str | None, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for key in keys:
        monkeypatch.delenv(key, raising=False)
    with contextlib.closing(Storage(bucket, endpoint=endpoint)) as storage:
        origin = storage.upload_origin()
    for key in keys:
        monkeypatch.setenv(key, "any")
    with contextlib.closing(Storage(bucket, endpoint=endpoint)) as storage:
        assert storage.upload_link("any", 1).startswith(f"{origin}/")
