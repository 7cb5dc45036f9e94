"""The Space's README."""

import yaml

from app.space import ROOT, space_readme


def test_the_front_matter_is_valid_and_pins_the_gradio_of_the_requirements():
    _, front, body = space_readme().split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["sdk"] == "gradio"
    assert f"gradio=={values['sdk_version']}" in (ROOT / "requirements.txt").read_text()
    assert values["python_version"] == "3.11"
    assert (ROOT / values["app_file"]).is_file()
    assert len(values["short_description"]) <= 60
    assert body.strip() == (ROOT / "README.md").read_text().strip()
