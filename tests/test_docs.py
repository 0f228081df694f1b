"""README.md and the map of the rooms against the code: what one names the other has."""

import ast
import re

import pytest

import api
from storage import Storage
from tests.support import ROOT

README = (ROOT / "README.md").read_text()
SERVICE = ("api", "queue_lib", "storage", "worker", "monitoring")
MAY_IMPORT = {
    "api": {"queue_lib", "storage", "monitoring"},
    "worker": {"queue_lib", "storage", "monitoring", "pipeline"},
    "queue_lib": set(),
    "storage": set(),
    "monitoring": set(),
    "dev": set(),
    "gunicorn.conf": set(),
    "pipeline": {"pipeline"},
}
OURS = {*SERVICE, "dev", "pipeline"}


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


def test_every_variable_of_readme_stands_in_the_example_of_an_environment() -> None:
    example = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert example == variables_of_readme()


def test_every_route_of_the_api_stands_in_readme_and_the_reverse(
    files: Storage, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = api.create_app()
    app.extensions["storage"].close()
    routes = set()
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<path:job_id>", "{jobId}").replace("<path:filename>", "")
        routes |= {f"{method} {path}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    table = README.partition("\n## The API\n")[2].partition("\n## ")[0]
    described = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]*)`", table))
    assert described | {"GET /static/"} == routes


def test_every_package_that_is_required_is_explained_in_readme() -> None:
    table = README.partition("\n## What it stands on\n")[2]
    explained = set(re.findall(r"[a-z0-9-]+", " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))))
    for name in ("requirements.txt", "requirements-local.txt", "requirements-dev.txt", "requirements-ocr.txt"):
        own = (ROOT / name).read_text().partition("# What those bring along.")[0]
        packages = set(re.findall(r"^([a-z0-9-]+)==", own, re.MULTILINE))
        assert packages
        assert {name for name in packages if not name.startswith("types-")} <= explained


def test_every_requirement_is_pinned() -> None:
    for file in ROOT.glob("requirements*.txt"):
        for line in file.read_text().splitlines():
            assert not line or line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line


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


@pytest.mark.parametrize("words", [("redis", "queue_lib"), ("boto3", "storage"), ("pymongo", "storage")])
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
