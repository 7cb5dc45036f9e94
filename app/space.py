"""A Hugging Face Space of this program: its README, its files, its persistent storage.

`ar4d space push NAME` uploads what the Space needs and nothing else.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ar4d.errors import UserError

ROOT = Path(__file__).parents[1]
GRADIO = "gradio=="
FILES = ("app.py", "requirements.txt", "packages.txt", "LICENSE")
FOLDERS = ("ar4d", "app", "assets/examples", "assets/example_run")
LEFT_OUT = ("__pycache__", "*.pyc", "node_modules", ".*")
DATA = Path("/data")
"""Where a Space shows its persistent storage, if it has any."""


def usual_runs(data: Path = DATA) -> Path:
    """The folder of runs unless one is given: AR4D_RUNS, or a Space's persistent storage, or runs."""
    given = os.environ.get("AR4D_RUNS")
    if given:
        return Path(given)
    return data / "runs" if has_persistent_storage(data) else Path("runs")


def has_persistent_storage(data: Path = DATA) -> bool:
    """Whether this is a Space whose files outlive a restart."""
    return bool(os.environ.get("SPACE_ID")) and data.is_dir() and os.access(data, os.W_OK)


def prepare(data: Path = DATA) -> None:
    """Lets the Hub's library keep weights in a Space's persistent storage. Called before it is imported."""
    if has_persistent_storage(data):
        os.environ.setdefault("HF_HOME", str(data / "huggingface"))


def space_readme(root: Path = ROOT) -> str:
    """The README with the front matter that a Space needs; the Gradio version is that of requirements.txt."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (version,) = (line.removeprefix(GRADIO) for line in lines if line.startswith(GRADIO))
    front = {
        "title": "AR4D",
        "emoji": "🦕",
        "colorFrom": "indigo",
        "colorTo": "green",
        "sdk": "gradio",
        "sdk_version": version,
        "python_version": "3.12.12",  # one of those that ZeroGPU takes
        "app_file": "app.py",
        "license": "apache-2.0",
        "short_description": "A video goes in, animated 3D Gaussians come out",
    }
    header = "\n".join(f"{key}: {value}" for key, value in front.items())
    return f"---\n{header}\n---\n\n{(root / 'README.md').read_text(encoding='utf-8')}"


def stage(folder: Path, root: Path = ROOT) -> None:
    """Copies what a Space needs into a folder.

    Raises:
        UserError: this is no copy of the repository.
    """
    missing = [name for name in (*FILES, *FOLDERS, "README.md") if not (root / name).exists()]
    if missing:
        raise UserError(f"A Space is made from a copy of the repository; {root} has no {missing[0]}.")
    for name in FILES:
        shutil.copyfile(root / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / "README.md").write_text(space_readme(root), encoding="utf-8")


def push(name: str, api: Any, private: bool = False) -> str:
    """Makes the Space if there is none, and uploads its files in one commit; others are deleted there.

    Args:
        name: "user/space".
        api: a `huggingface_hub.HfApi`.
        private: for a new Space.

    Returns:
        The Space's address.

    Raises:
        UserError: the Hub refuses it, or does not answer.
    """
    from httpx import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    with tempfile.TemporaryDirectory(prefix="ar4d-space-") as folder:
        stage(Path(folder))
        try:
            address = api.create_repo(
                name, repo_type="space", space_sdk="gradio", private=private, exist_ok=True
            )
            api.upload_folder(
                repo_id=name,
                repo_type="space",
                folder_path=folder,
                commit_message="Update the program",
                delete_patterns="*",
            )
        except LocalTokenNotFoundError as error:
            raise UserError("You are not logged in to the Hub; run `hf auth login` first.") from error
        except (HfHubHTTPError, HFValidationError, HTTPError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise UserError(f"The Hub did not take {name}: {reason}.") from error
    return str(address)
