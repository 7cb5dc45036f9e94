"""`experts` and `fetch`: what the pre-trained parts ask for, and getting them before they are needed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ar4d.errors import UserError
from ar4d.tables import text_table

if TYPE_CHECKING:
    from ar4d.experts.registry import Entry
    from ar4d.weights.release import Release


@dataclass(frozen=True)
class _ExpertsArguments:
    """List the experts: what they do, what they need, their licences, and what keeps them from running."""

    memory: bool = False
    """How much GPU memory their networks take, worked out from their shapes (a minute)."""


def experts(argv: list[str]) -> None:
    """list the pre-trained experts: needs, downloads, licences, obstacles"""
    options = tyro.cli(_ExpertsArguments, prog="ar4d experts", args=argv)
    if options.memory:
        from ar4d.experts.memory import memory_table

        print(memory_table())
        return
    print(experts_table())


def experts_table() -> str:
    """One row an expert, then one sentence for each that cannot run here or be imported."""
    from ar4d.devices import resolve_device
    from ar4d.experts.registry import entries, installed

    device = resolve_device("auto")
    rows = [["expert", "here", "needs", "download", "licence", "what it does"]]
    remedies = []
    for entry in entries():
        unavailable = entry.why_unavailable(device)
        rows.append(
            [
                entry.name,
                "yes" if unavailable is None else "no",
                entry.needs,
                entry.download,
                entry.licence,
                entry.summary,
            ]
        )
        if unavailable is not None:
            remedies.append(f"{entry.name}: {unavailable.reason}")
    remedies += installed().failures
    return "\n".join([text_table(rows), *([""] if remedies else []), *remedies])


@dataclass(frozen=True)
class _FetchArguments:
    """Download what experts need, so that they run without a network afterwards.

    Files go to the model hub's cache (HF_HOME) unless --to names a folder. A download that was broken
    off resumes where it stopped. Every file is compared with the hash under which the hub lists it.
    """

    experts: tyro.conf.Positional[list[str]] = field(default_factory=list)
    """Names, as `ar4d experts` lists them; none: all that need no acceptance."""
    to: Path | None = None
    """A folder to carry elsewhere; there, AR4D_WEIGHTS names it."""
    accept_licence: bool = False
    """Say that you have read and accept the licences of the experts named."""
    verify: bool = False
    """Compare files that are here already with their hashes, too."""


def fetch(argv: list[str]) -> None:
    """download what experts need, for use without a network"""
    from ar4d.devices import resolve_device

    options = tyro.cli(_FetchArguments, prog="ar4d fetch", args=argv)
    entries = _wanted(options)
    sizes = [(entry.name, entry.download, entry.licence) for entry in entries if entry.releases]
    for name, size, licence in sizes:
        print(f"{name}: {size}, {licence}", file=sys.stderr)
    releases = list(dict.fromkeys(_key(release) for entry in entries for release in entry.releases))
    by_key = {_key(release): release for entry in entries for release in entry.releases}
    for key in releases:
        print(_fetch(by_key[key], options))
    for entry in entries:
        if not entry.releases:
            unavailable = entry.check(resolve_device("auto"))
            said = "it needs no download" if unavailable is None else unavailable.reason
            print(f"{entry.name}: {said}", file=sys.stderr)


def _key(release: Release) -> tuple[str, tuple[str, ...]]:
    return release.repo, (*release.files, *release.weights)


def _wanted(options: _FetchArguments) -> list[Entry]:
    """The entries to fetch; notes accepted licences.

    Raises:
        UserError: no such expert, or a licence that was not accepted.
    """
    from ar4d.experts.registry import entries, named
    from ar4d.weights import licences

    if not options.experts:
        return [entry for entry in entries() if entry.acceptance is None or licences.is_accepted(entry.name)]
    entries = [named(name) for name in options.experts]
    for entry in entries:
        if entry.acceptance is None:
            continue
        if options.accept_licence:
            licences.accept(entry.name, entry.acceptance)
            print(f"{entry.name}: {entry.acceptance} accepted", file=sys.stderr)
        elif not licences.is_accepted(entry.name):
            raise UserError(licences.refusal(entry.name, entry.acceptance))
    return entries


def _fetch(release: Release, options: _FetchArguments) -> Path:
    """Downloads one release behind a bar; the folder in which it lies."""
    from ar4d.weights import hub

    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()]
    to = None if options.to is None else options.to / release.repo
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        tasks = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total or None)
            progress.update(tasks[name], completed=done)

        root = hub.fetch(release, on_bytes=show, to=to)
    if options.verify:
        unknown = hub.verify_release(release, root)
        if unknown:
            print(f"no hash is known here for {', '.join(unknown)}", file=sys.stderr)
    return root
