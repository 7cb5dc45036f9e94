"""The command line: `ar4d lift | batch | imagine | render | export | evaluate | app | …`.

Exit codes: 0 done, 2 something the user can mend (one sentence on stderr), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from ar4d.errors import UserError
from ar4d.threads import configure_threads


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    configure_threads()
    argv = sys.argv[1:] if argv is None else argv
    commands = _commands()
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview(commands))
        return 0
    command = commands.get(argv[0])
    try:
        if command is None:
            raise UserError(f'There is no command "{argv[0]}"; choose one of: {", ".join(commands)}.')
        command(argv[1:])
    except UserError as error:
        print(f"ar4d: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nar4d: stopped; what was finished is kept.", file=sys.stderr)
        return 130
    return 0


def _commands() -> dict[str, Callable[[list[str]], None]]:
    from ar4d.cli import app, batch, bench, clean, experts, imagine, imports, inspect, lift, output, space

    return {
        "lift": lift.main,
        "batch": batch.main,
        "imagine": imagine.main,
        "render": output.render,
        "export": output.export,
        "clean": clean.main,
        "import": imports.main,
        "evaluate": output.evaluate,
        "bench": bench.main,
        "app": app.main,
        "space": space.main,
        "info": inspect.info,
        "presets": inspect.presets,
        "doctor": inspect.doctor,
        "experts": experts.experts,
        "fetch": experts.fetch,
    }


def _overview(commands: dict[str, Callable[[list[str]], None]]) -> str:
    lines = [f"  {name:<10}{(command.__doc__ or '').splitlines()[0]}" for name, command in commands.items()]
    return "usage: ar4d COMMAND [options]; COMMAND --help lists its options\n\n" + "\n".join(lines)
