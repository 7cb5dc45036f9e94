"""The README of a Hugging Face Space: front matter before the project's own."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
GRADIO = "gradio=="


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
        "python_version": '"3.11"',
        "app_file": "app.py",
        "license": "apache-2.0",
        "short_description": "A video goes in, animated 3D Gaussians come out",
    }
    header = "\n".join(f"{key}: {value}" for key, value in front.items())
    return f"---\n{header}\n---\n\n{(root / 'README.md').read_text(encoding='utf-8')}"


if __name__ == "__main__":
    print(space_readme(), end="")
