"""A Space: its README, the files that are uploaded, its persistent storage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from httpx import ConnectError
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError

from app.space import FILES, ROOT, prepare, push, space_readme, usual_runs
from ar4d.cli import main
from ar4d.errors import UserError


def test_the_front_matter_is_valid_and_pins_the_gradio_of_the_requirements() -> None:
    _, front, body = space_readme().split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["sdk"] == "gradio"
    assert f"gradio=={values['sdk_version']}" in (ROOT / "requirements.txt").read_text()
    assert values["python_version"] == "3.12.12"
    assert (ROOT / values["app_file"]).is_file()
    assert len(values["short_description"]) <= 60
    assert body.strip() == (ROOT / "README.md").read_text().strip()


class Hub:
    """Stands for `HfApi` and records what it would upload."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.files: dict[str, int] = {}
        self.space: dict[str, Any] = {}

    def create_repo(self, name: str, **kwargs: Any) -> str:
        if self.error is not None:
            raise self.error
        self.space = {"name": name, **kwargs}
        return f"https://hub/spaces/{name}"

    def upload_folder(self, repo_id: str, repo_type: str, folder_path: str, **kwargs: Any) -> None:
        assert (repo_id, repo_type) == (self.space["name"], "space")
        self.space |= kwargs
        root = Path(folder_path)
        for path in root.rglob("*"):
            if path.is_file():
                self.files[path.relative_to(root).as_posix()] = path.stat().st_size
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-c", "import app.main, app.service, ar4d.cli; print(app.__file__)"],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(root))
        self.readme = (root / "README.md").read_text(encoding="utf-8")


def test_push_uploads_what_the_page_needs_and_nothing_else(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    assert main(["space", "push", "me/lift", "--private"]) == 0
    assert capsys.readouterr().out.strip() == "https://hub/spaces/me/lift"
    assert hub.space["space_sdk"] == "gradio"
    assert hub.space["private"] is True
    assert hub.space["delete_patterns"] == "*"
    assert hub.readme == space_readme()
    assert {"app/main.py", "ar4d/player/web/main.js", "ar4d/cli/space.py"} <= set(hub.files)
    assert any(name.startswith("ar4d/experts/embedded/weights/") for name in hub.files)
    assert any(name.startswith("assets/examples/") for name in hub.files)
    tops = {name.split("/")[0] for name in hub.files}
    assert tops == {*FILES, "README.md", "app", "ar4d", "assets"}
    assert not [name for name in hub.files if "__pycache__" in name or "/." in name]
    assert sum(hub.files.values()) < 80e6


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LocalTokenNotFoundError(), "hf auth login"),
        (
            HFValidationError("Repo id must be in the form user/name.\nMore."),
            "not take a b: Repo id must be",
        ),
        (ConnectError("no network"), "not take a b: no network"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(error: Exception, words: str) -> None:
    with pytest.raises(UserError, match=words):
        push("a b", Hub(error))


def test_runs_and_weights_are_kept_in_persistent_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPACE_ID", "AR4D_RUNS", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert usual_runs(tmp_path) == Path("runs")  # no Space
    monkeypatch.setenv("SPACE_ID", "me/lift")
    assert usual_runs(tmp_path / "data") == Path("runs")  # without storage
    prepare(tmp_path / "data")
    assert "HF_HOME" not in os.environ
    assert usual_runs(tmp_path) == tmp_path / "runs"
    prepare(tmp_path)
    assert os.environ.pop("HF_HOME") == str(tmp_path / "huggingface")
    monkeypatch.setenv("AR4D_RUNS", "elsewhere")
    assert usual_runs(tmp_path) == Path("elsewhere")
