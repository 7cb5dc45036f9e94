import pytest

from ar4d.weights import licences


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AR4D_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AR4D_ACCEPT", raising=False)
    return tmp_path / "home"


def test_an_acceptance_is_kept_with_its_date(home):
    assert not licences.is_accepted("model")
    licences.accept("model", "CC BY-NC 4.0")
    licences.accept("other", "Community")
    licences.accept("model", "CC BY-NC 4.0")
    assert licences.is_accepted("model")
    assert not licences.is_accepted("mode")
    lines = (home / "accepted-licences.txt").read_text().splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["model", "CC BY-NC 4.0"], ["other", "Community"]]


def test_a_variable_accepts_for_one_process(monkeypatch):
    monkeypatch.setenv("AR4D_ACCEPT", "one, model")
    assert licences.is_accepted("model")
    assert licences.is_accepted("one")
    assert not licences.is_accepted("two")


def test_the_refusal_names_licence_and_command():
    sentence = licences.refusal("model", "CC BY-NC 4.0")
    assert "CC BY-NC 4.0" in sentence
    assert "`ar4d fetch model --accept-licence`" in sentence
