"""The models that judge by default: those with an evaluation, and none of the demo beside others."""

from pathlib import Path

import pandas as pd
import pytest
from support.scanning import stub_cards, tiny_params

from fauxscan import models, params
from fauxscan.judging import evaluation
from fauxscan.records import UserError
from fauxscan.scanning import settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    """Return a project with the models `faces` and `wholes`, in which the test runs."""
    caplog.set_level("INFO", "fauxscan")
    stub_cards(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluate(project: Path, digest: str, name: str = "one") -> Path:
    """Write figures as the stage `evaluate` does, of the model with this digest."""
    file = project / "evaluations" / name / "figures.parquet"
    file.parent.mkdir(parents=True)
    pd.DataFrame({"model_digest": [digest, digest], "auc": [0.5, 0.6]}).to_parquet(file, index=False)
    return file


def of_the_demo(folder: Path) -> None:
    """Let a model be one that was trained on the demo."""
    card = models.read_card(folder)
    proof = card.trained_on.model_copy(update={"proof_of_machinery": True})
    models.write_card(folder, card.model_copy(update={"trained_on": proof}))


def names(chosen: settings.Settings) -> list[str]:
    return [card.name for card in chosen.cards]


def test_a_new_model_joins_once_it_is_evaluated(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluate(project, "a" * 64)
    assert names(settings.read(tiny_params())) == ["faces"]
    (said,) = caplog.messages
    assert said.startswith("Left out, because they have no evaluation: wholes.") and "--models" in said
    evaluate(project, "b" * 64, "two")
    assert names(settings.read(tiny_params())) == ["faces", "wholes"]
    assert len(caplog.messages) == 1


def test_an_evaluation_of_earlier_weights_does_not_count(project: Path) -> None:
    evaluate(project, "a" * 64)
    evaluate(project, "f" * 64, "of wholes before it was trained again")
    assert names(settings.read(tiny_params())) == ["faces"]


def test_named_models_need_no_evaluation(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluate(project, "a" * 64)
    assert names(settings.read(tiny_params(), [project / "models" / "wholes"])) == ["wholes"]
    assert not caplog.messages


def test_without_any_evaluation_all_judge_and_a_line_says_so(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert names(settings.read(tiny_params())) == ["faces", "wholes"]
    (said,) = caplog.messages
    assert said.startswith("All models judge, although none has an evaluation: faces, wholes.")


def test_a_model_that_declines_its_evaluation_does_not_join(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    evaluate(project, "a" * 64)
    evaluation.leave_out("wholes", project / "evaluations" / "wholes")
    assert names(settings.read(tiny_params())) == ["faces"]
    assert caplog.messages[-1].startswith("Left out, because they have no evaluation: wholes.")
    assert names(settings.read(tiny_params(), [project / "models" / "wholes"])) == ["wholes"]


def test_damaged_figures_are_named(project: Path) -> None:
    evaluate(project, "a" * 64).write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"figures\.parquet is damaged: delete it and run `make repro`"):
        settings.read(tiny_params())


@pytest.mark.parametrize("listed", [(), ("models/faces", "models/wholes")], ids=["trained", "listed"])
def test_models_of_the_demo_never_judge_beside_others(
    project: Path, caplog: pytest.LogCaptureFixture, listed: tuple[str, ...]
) -> None:
    of_the_demo(project / "models" / "faces")
    for name in "ab":
        evaluate(project, name * 64, name)
    chosen = params.changed(tiny_params(), "scan", {"models": listed})
    assert names(settings.read(chosen)) == ["wholes"]
    (said,) = caplog.messages
    assert said.startswith("Left out, because other models judge: faces.") and "demo" in said
    of_the_demo(project / "models" / "wholes")
    assert names(settings.read(chosen)) == ["faces", "wholes"], "the demo alone still judges"
    assert len(caplog.messages) == 1
