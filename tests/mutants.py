"""Breaks the package in known ways, one at a time, and demands that the tests notice.

    python -m tests.mutants             every mutant; rewrites tests/mutants.md
    python -m tests.mutants NAME ...    only these

Each mutant is a change of one piece of text, applied to a copy of the package and of the tests; then the test
files listed with it run there and have to fail. A mutant whose text is no longer found is an error, and so
is a test file that fails without any mutant. `tests/mutants.md` says how long all of them took.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import pytest

from tests.mutant_list import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
COPY = ROOT / ".mutants"  # always the same folder: compiled kernels are kept by path
REPORT = ROOT / "tests" / "mutants.md"
COPIED = ("ar4d", "tests", "pyproject.toml")
LIBRARIES = (
    "torch",
    "numba",
    "scipy.interpolate",
    "scipy.ndimage",
    "safetensors.torch",
    "pydantic",
    "av",
    "rich.table",
)
"""Imported once: each set of tests runs in a fork of this process."""
TIME_LIMIT = 900  # seconds for the tests of one mutant

Outcome = Literal["killed", "SURVIVED", "ERROR"]


@dataclass(frozen=True)
class Result:
    """What the tests said about a mutant."""

    mutant: Mutant
    outcome: Outcome
    detail: str
    """The test that failed, or what went wrong."""
    seconds: float


def main(names: list[str]) -> int:
    """Runs the mutants called `names`, or all; returns the exit code."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    unknown = set(names) - {mutant.name for mutant in chosen}
    if unknown:
        print(f"There is no mutant {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    started = time.perf_counter()
    for name in LIBRARIES:
        importlib.import_module(name)
    copy_package()
    files = list(dict.fromkeys(path for mutant in chosen for path in mutant.tests))
    code, detail, _ = run_tests(files)
    if code != 0:
        print(f"The tests fail without a mutant: {detail}", file=sys.stderr)
        return 2
    results = []
    for mutant in chosen:
        result = judge(mutant)
        print(f"{result.outcome:<9} {mutant.name:<34} {result.seconds:5.1f} s  {result.detail}", flush=True)
        results.append(result)
    if not names:
        REPORT.write_text(report(results, time.perf_counter() - started), encoding="utf-8")
    return int(any(result.outcome != "killed" for result in results))


def copy_package() -> None:
    """Brings the copy up to date. Files keep their times, so that unchanged kernels stay compiled."""
    keep = shutil.ignore_patterns("__pycache__", "artefacts")
    for name in COPIED:
        source, target = ROOT / name, COPY / name
        if source.is_dir():
            if target.exists():
                shutil.rmtree(target)
            shutil.copytree(source, target, ignore=keep)
        else:
            shutil.copy2(source, target)


def judge(mutant: Mutant) -> Result:
    """Applies a mutant, runs its tests and puts the file back."""
    path = COPY / mutant.path
    text, times = path.read_text(encoding="utf-8"), path.stat()
    found = text.count(mutant.old)
    if found != 1:
        return Result(mutant, "ERROR", f"its text is found {found} times in {mutant.path}", 0.0)
    try:
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        code, detail, seconds = run_tests(mutant.tests)
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    outcome: Outcome = "killed" if code == 1 else "SURVIVED" if code == 0 else "ERROR"
    return Result(mutant, outcome, detail, seconds)


def run_tests(files: tuple[str, ...] | list[str]) -> tuple[int, str, float]:
    """pytest's exit code, the first test that failed or the last line of output, and seconds."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        child = os.fork()
        if child == 0:
            _become_pytest(files, output.fileno())
        _, status = os.waitpid(child, 0)
        output.seek(0)
        lines = output.read().strip().splitlines()
    failed = [line.split()[1].rpartition("::")[2] for line in lines if line.startswith("FAILED ")]
    detail = failed[0] if failed else (lines[-1] if lines else "")
    return os.waitstatus_to_exitcode(status), detail, time.perf_counter() - started


def _become_pytest(files: tuple[str, ...] | list[str], output: int) -> NoReturn:
    """Runs the tests of the copy in this process, a child whose libraries are imported already."""
    code = 3
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(COPY)
        sys.path[0] = os.environ["PYTHONPATH"] = str(COPY)
        for name in [name for name in sys.modules if name.partition(".")[0] in COPIED]:
            del sys.modules[name]
        signal.alarm(TIME_LIMIT)
        options = ["-x", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-m", "not slow and not browser"]
        code = int(pytest.main([*options, *files]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def report(results: list[Result], seconds: float) -> str:
    """The table for tests/mutants.md."""
    killed = sum(result.outcome == "killed" for result in results)
    lines = [
        "# Mutants",
        "",
        f"`python -m tests.mutants`: {killed} of {len(results)} killed, in {seconds / 60:.1f} minutes "
        f"on {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.0f}.",
        "",
        "| mutant | in | outcome | first test that fails |",
        "| --- | --- | --- | --- |",
    ]
    for result in results:
        mutant = result.mutant
        lines.append(f"| {mutant.what} | `{mutant.path}` | {result.outcome} | `{result.detail}` |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
