"""The Dockerfile, the compose file and .dockerignore, read as their tools read them. No image is built."""

from __future__ import annotations

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TARGETS = ("cpu", "cuda")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments; continued lines are joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.split(None, 1) for line in text.splitlines() if line.strip())
    return [(word.upper(), rest.strip()) for word, rest in pairs]


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """By name: what the stage starts from, and its instructions."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for word, rest in instructions():
        if word == "FROM":
            base, keyword, name = rest.split()
            assert keyword.upper() == "AS"
            assert name not in found
            found[name] = (base, [])
        elif name:
            found[name][1].append((word, rest))
    return found


def excluded(path: str) -> bool:
    """Whether .dockerignore leaves a path out: the last rule that matches it or a folder above it decides."""
    out = False
    parts = [*Path(path).parts]
    places = ["/".join(parts[:k]) for k in range(1, len(parts) + 1)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if rule and not rule.startswith("#"):
            pattern = rule.removeprefix("!").replace("**/", "*")
            if any(fnmatch(place, pattern) for place in places):
                out = not rule.startswith("!")
    return out


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_safe_to_run(target: str) -> None:
    _, steps = stages()[target]
    values = dict(steps)
    assert values["USER"] == "ar4d"
    assert "/healthz" in values["HEALTHCHECK"]
    assert json.loads(values["CMD"]) == ["python", "app.py"]  # gets signals itself: no shell in between
    assert values["STOPSIGNAL"] == "SIGTERM"
    environment = dict(pair.split("=", 1) for pair in shlex.split(values["ENV"]))
    assert environment["AR4D_RUNS"].startswith(values["VOLUME"])
    check = json.loads(values["HEALTHCHECK"].partition("CMD ")[2])
    compile(check[2], "healthcheck", "exec")
    order = [word for word, _ in steps]
    assert order.index("USER") > max(k for k, word in enumerate(order) if word in ("RUN", "COPY"))


def test_bases_are_earlier_stages_or_images_of_one_version() -> None:
    known: set[str] = {"scratch", "${CUDA_IMAGE}"}
    for name, (base, _) in stages().items():
        assert base in known or re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", base), base
        known.add(name)
    (image,) = (rest for word, rest in instructions() if word == "ARG" and rest.startswith("CUDA_IMAGE="))
    assert re.search(r":\d+\.\d+\.\d+-devel-", image)


def test_everything_copied_exists_and_is_not_ignored() -> None:
    copied = 0
    for name, (_, steps) in stages().items():
        for word, rest in steps:
            if word != "COPY":
                continue
            *sources, _ = shlex.split(rest)
            if sources[0].startswith("--from="):
                assert sources[0].removeprefix("--from=") in stages()
                continue
            for source in sources:
                assert (ROOT / source).exists(), (name, source)
                assert not excluded(source), source
                copied += 1
    assert copied >= 8


def test_the_context_holds_neither_runs_nor_history_nor_tests() -> None:
    for path in (
        ".git/config",
        "runs/x/run.json",
        "tests/test_container.py",
        "ar4d/__pycache__/x.pyc",
        ".env",
    ):
        assert excluded(path), path
    for path in ("ar4d/kernels/parallel.py", "assets/example_run/run.json", "ar4d/player/web/main.js"):
        assert not excluded(path), path


def test_installations_leave_no_caches() -> None:
    for _, steps in stages().values():
        for word, rest in steps:
            if word == "RUN" and "apt-get install" in rest:
                assert "--no-install-recommends" in rest
                assert "rm -rf /var/lib/apt/lists/*" in rest
            if word == "RUN" and "pip install" in rest:
                assert "--no-cache-dir" in rest


def test_compose_asks_for_one_gpu_and_gives_time_to_stop() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["ar4d"]
    assert service["build"]["target"] in TARGETS
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", 1, ["gpu"])
    grace = float(service["environment"]["AR4D_LIMIT_SHUTDOWN_SECONDS"])
    assert float(service["stop_grace_period"].removesuffix("s")) > grace
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
