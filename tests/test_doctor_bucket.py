"""The doctor and the bucket: what policies, rules, keys and addresses are wrong, on a SeaweedFS that has them.

What it does not do, a small HTTP server does: refuse checksums, want them, and have another time.
"""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

import doctor
from servers import leashed, port_row, reserve_ports, s3_answers, s3_command, s3_env
from storage import Storage
from tests.doctor_tools import SECRET, Set, odd_bucket, told
from tests.support import wait_until


@pytest.fixture(scope="module")
def own_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A SeaweedFS whose bucket may be given policies and rules; the variables that lead to it."""
    folder = tmp_path_factory.mktemp("s3")
    guard, first = reserve_ports(folder / "port")
    ports, identities = port_row(first)[3:], folder / "s3.json"
    env = s3_env(identities, ports[0])
    known = json.loads(identities.read_text())["identities"]
    reader = {"name": "r", "credentials": [{"accessKey": "reader", "secretKey": SECRET}], "actions": ["Read", "List"]}
    identities.write_text(json.dumps({"identities": [*known, reader]}))
    command = leashed(s3_command(folder, ports, identities))
    alone = {"PATH": os.environ["PATH"], "HOME": str(folder)}  # it would take keys from the environment
    with guard, subprocess.Popen(command, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: s3_answers(ports), 20, "SeaweedFS")
        yield env
        process.kill()


def policy(effect: str, action: str) -> str:
    statement = {"Effect": effect, "Principal": "*", "Action": f"s3:{action}", "Resource": "arn:aws:s3:::docdeck/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


OTHERS_ONLY = {"CORSRules": [{"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://other.example"]}]}
BUCKETS: list[tuple[dict[str, str], dict[str, Any], str]] = [
    ({}, {}, "OK The bucket takes files."),
    ({}, {}, "LOOK Whether a page may upload to the bucket is not known"),
    ({"CORS_ORIGINS": "https://app.example"}, {}, "OK Pages of https://app.example may upload"),
    ({"CORS_ORIGINS": "https://app.example"}, {"CORSConfiguration": OTHERS_ONLY}, "CHANGE Pages of https://app.example"),
    ({"RAILWAY_PUBLIC_DOMAIN": "app.example"}, {"CORSConfiguration": OTHERS_ONLY}, "CHANGE Pages of https://app.example"),
    ({}, {"Policy": policy("Allow", "GetObject")}, "CHANGE The bucket is public"),
    ({}, {"Policy": policy("Deny", "GetObject")}, "CHANGE A signed link to a file is answered with 403"),
    ({}, {"Policy": policy("Deny", "DeleteObject")}, "CHANGE The keys may not delete in the bucket, and docu"),
    ({}, {"Policy": policy("Deny", "PutObject")}, "CHANGE The keys may not write to the bucket"),
    ({"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": SECRET}, {}, "CHANGE The keys may not write"),
    ({"AWS_ACCESS_KEY_ID": "nobody"}, {}, "CHANGE The bucket refuses its keys"),
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, {}, "CHANGE The bucket refuses its keys"),
    ({"S3_BUCKET": "missing"}, {}, "CHANGE There is no bucket of the name in S3_BUCKET"),
    ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:{free}"}, {}, "CHANGE The bucket takes no file (EndpointConn"),
    ({"FILES_CDN_URL": "http://127.0.0.1:{free}"}, {}, "answered with 0: is FILES_CDN_URL one that all can reach?"),
]


@pytest.mark.parametrize(("variables", "rules", "sentence"), BUCKETS)
def test_a_bucket_that_is_set_up_wrongly_is_told_from_one_that_is_right(
    set_env: Set,
    own_s3: dict[str, str],
    free_port: int,
    variables: dict[str, str],
    rules: dict[str, Any],
    sentence: str,
) -> None:
    set_env(**own_s3)
    with contextlib.closing(boto3.client("s3", endpoint_url=own_s3["AWS_ENDPOINT_URL_S3"])) as s3:
        for name, rule in rules.items():
            put = s3.put_bucket_policy if name == "Policy" else s3.put_bucket_cors
            put(Bucket="docdeck", **{name: rule})
        set_env(**{name: value.format(free=free_port) for name, value in variables.items()})
        try:
            with contextlib.closing(Storage.from_env(connect=1)) as files:
                findings = told(doctor.bucket(files))
        finally:
            for remove in (s3.delete_bucket_policy, s3.delete_bucket_cors):
                with contextlib.suppress(s3.exceptions.ClientError):  # there was none
                    remove(Bucket="docdeck")
        assert sentence in findings
        left = [found["Key"] for found in s3.list_objects_v2(Bucket="docdeck").get("Contents", [])]
        assert bool(left) == ("is left there" in findings)
        for key in left:
            s3.delete_object(Bucket="docdeck", Key=key)


QUIRKS = [
    ("says nothing of pages", "CHANGE Pages of https://app.example may not upload to the bucket: give it a CORS rule"),
    ("refuses checksums", "LOOK The bucket refuses files with a checksum .x-amz-checksum-crc32., which Docdeck never"),
    ("wants checksums", "CHANGE The bucket wants a checksum with each file .Content-MD5 or x-amz-checksum-"),
    ("refuses links", "CHANGE A page cannot upload to the bucket: a signed PUT is answered with 400"),
    ("is late", r"CHANGE This clock is 60[0-2] seconds ahead of that of the bucket"),
]


@pytest.mark.parametrize(("quirk", "sentence"), QUIRKS)
def test_a_bucket_with_quirks_is_told(set_env: Set, quirk: str, sentence: str) -> None:
    with odd_bucket(quirk) as url:
        set_env(AWS_ENDPOINT_URL_S3=url, CORS_ORIGINS="https://app.example")
        with contextlib.closing(Storage.from_env()) as files:
            assert re.search(sentence, told(doctor.bucket(files)))
