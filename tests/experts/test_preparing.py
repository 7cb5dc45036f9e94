from ar4d.events import Progress
from ar4d.experts.preparing import prepare
from ar4d.experts.registry import Entry
from ar4d.weights.release import Release, locate
from tests.support.hub_mirror import Mirror

PAIR = Release("someone/pair", ("config.json", "model.safetensors"), 0.1, "MIT")


def entry(*releases: Release) -> Entry:
    return Entry("one", ("views_to_gaussians",), "", lambda d: None, lambda d: None, releases)


def test_what_is_lacking_is_downloaded_and_told(mirror: Mirror, tmp_path):
    folder = tmp_path / "hub/someone/pair"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"w" * 300_000)
    events = list(prepare(entry(PAIR)))
    assert events[-1] == Progress("downloading someone/pair/model.safetensors", 300_000, 300_000, "bytes")
    assert locate(PAIR) is not None
    assert list(prepare(entry(PAIR))) == []  # it is here


def test_an_expert_without_weights_needs_nothing():
    assert list(prepare(entry())) == []
