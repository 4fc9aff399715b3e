"""The page of one file: its digests, both propositions, each method with its limits, and how to repeat it."""

import hashlib
import shutil
from pathlib import Path

import pytest
from support.browser import opened, serious_faults
from support.scanning import stub_engine, write_folder

from fauxscan.records import InputError, Verdict
from fauxscan.reporting.exhibit import make, propositions, render
from fauxscan.reporting.exhibit.contents import Exhibit
from fauxscan.reporting.scan_page.contents import Model, Rate
from fauxscan.scanning.engine.engine import Engine
from fauxscan.scanning.rows import Outcome

MODEL = Model(
    name="one", model_digest="1", kind="model", card=True, low=0.3, high=0.7, aims="1.0% of the reals",
    reals_called_fake=(Rate(name="cameras", files=200, rate=0.005, unseen_rate=0.02),),
    fakes_missed=(Rate(name="stylegan", files=75, rate=0.1, unseen_rate=None),),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file of every kind."""
    return write_folder(tmp_path_factory.mktemp("exhibits"))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Return an engine with stub models."""
    return stub_engine(tmp_path / "models")


def test_an_image(folder: Path, engine: Engine) -> None:
    exhibit = make.make(folder / "face.jpg", engine, ["--models", "models/one"])
    data = (folder / "face.jpg").read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    assert exhibit.sha256_before == exhibit.sha256_judged == exhibit.sha256_after == sha256
    assert exhibit.md5 == hashlib.md5(data).hexdigest()
    assert exhibit.unchanged
    facts = {fact.name: fact.value for fact in exhibit.facts}
    assert facts["dimensions"] == "512 x 512 pixels, as displayed"
    assert facts["size"] == f"{len(data)} bytes"
    assert facts["format, by its first bytes"] == "jpeg"
    assert facts["pixels"] == "RGB"
    assert exhibit.verdict in list(Verdict)
    assert [model.name for model in exhibit.models] == ["faces", "wholes"]
    assert all(model.cannot_tell for model in exhibit.models)
    assert [one.name for one in exhibit.propositions] == ["authentic", "synthetic"]
    assert exhibit.item
    assert exhibit.item.pictures[0].jpeg
    assert exhibit.item.pictures[0].boxes
    assert {score.model for score in exhibit.item.scores} == {"faces", "wholes"}


def test_the_commands_repeat_the_judgement(folder: Path, engine: Engine) -> None:
    exhibit = make.make(folder / "copy of face.jpg", engine, ["--models", "models/one"])
    install, digest, check = exhibit.repeat
    assert install == f"pip install fauxscan=={exhibit.made_by}"
    assert digest.startswith("sha256sum '")
    assert check.endswith("copy of face.jpg' --models models/one --format json")


def test_a_video_has_its_codec_and_its_frames(folder: Path, engine: Engine) -> None:
    exhibit = make.make(folder / "a" / "clip.mp4", engine, [])
    facts = {fact.name: fact.value for fact in exhibit.facts}
    assert (facts["codec"], facts["frames"], facts["duration"]) == ("h264", "50", "2.00 s")
    assert exhibit.item
    assert exhibit.item.tracks
    assert all(picture.jpeg and picture.time_s is not None for picture in exhibit.item.pictures)


@pytest.mark.parametrize(("name", "status"), [("cut.jpg", "truncated"), ("notes.txt", "unsupported")])
def test_a_file_that_cannot_be_judged(folder: Path, engine: Engine, name: str, status: str, tmp_path: Path) -> None:
    exhibit = make.make(folder / name, engine, [])
    assert (exhibit.status, exhibit.verdict, exhibit.item, exhibit.propositions) == (status, None, None, ())
    assert exhibit.remedy
    assert exhibit.conclusion == propositions.NOT_JUDGED
    assert status in render.html(exhibit)


def test_a_file_that_changes_while_it_is_judged_is_said_to_have_changed(
    folder: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(shutil.copy(folder / "face.jpg", tmp_path / "face.jpg"))
    judge = Engine.check

    def check(*arguments: object) -> list[Outcome]:
        outcomes = judge(*arguments)  # type: ignore[arg-type]
        with file.open("ab") as more:
            more.write(b"\0")
        return outcomes

    monkeypatch.setattr(Engine, "check", check)
    exhibit = make.make(file, engine, [])
    assert not exhibit.unchanged
    assert exhibit.notes == (make.CHANGED,)


def test_a_file_that_is_missing_is_an_error(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(InputError, match=r"No such file or directory\. Name a results folder"):
        make.make(tmp_path / "nothing.jpg", engine, [])


def findings(verdict: Verdict, p_fake: float, model: Model = MODEL) -> list[str]:
    """Return all that is said about both propositions."""
    both = propositions.both(Outcome(verdict=verdict, p_fake=p_fake, detail=None), [model])
    return [text for one in both for text in one.findings]


def test_each_verdict_has_its_error_rates() -> None:
    assert any("Of 200 reals of cameras" in text and "0.5%" in text for text in findings(Verdict.LIKELY_SYNTHETIC, 0.9))
    assert any("Of 75 fakes by stylegan" in text and "10.0%" in text for text in findings(Verdict.NO_INDICATION, 0.1))
    assert all("0.500" in text for text in findings(Verdict.UNCERTAIN, 0.5))


def test_a_model_without_rates_is_said_to_have_none() -> None:
    bare = Model(name="bare", model_digest="2", kind="model", card=False)
    for verdict in Verdict:
        assert findings(verdict, 0.5, bare) == [propositions.NO_RATES.format(model="bare")] * 2


def test_the_page_opens_without_a_request(folder: Path, engine: Engine, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.jpg"
    shutil.copy(folder / "face.jpg", tmp_path / name)
    exhibit = make.make(tmp_path / name, engine, [])
    render.write(exhibit, tmp_path / "page.html")
    assert Exhibit.model_validate_json((tmp_path / "page.json").read_bytes()) == exhibit
    with opened(tmp_path / "page.html") as (tab, faults):
        assert tab.locator("h1").text_content() == f"Exhibit {name}"
        assert tab.get_by_text(exhibit.sha256_before).count() == 3
        assert not faults
        assert serious_faults(tab) == []
