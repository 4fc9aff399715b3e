"""The stages of a student in the graph of the real pipeline: what they wait for, and that nothing waits for itself."""

import shutil
from pathlib import Path
from typing import Any

import networkx
import pytest
import yaml
from support import ROOT

from fauxscan import params
from fauxscan.records import ParamsError

STUDENT = {
    "detector": "mesoinception4", "dataset": "demo", "weights": "scratch",
    "teacher": {"kind": "ensemble", "model": "logistic"},
}  # fmt: skip
OWN = {"teach@small", "train_student@small", "calibrate_student@small", "evaluate@small-demo"}


def graph_of(home: Path, **sections: Any) -> dict[str, set[str]]:
    """Return what each stage of the committed pipeline waits for, with other sections of params.yaml."""
    from dvc.repo import Repo

    home.mkdir()
    shutil.copy(ROOT / "dvc.yaml", home / "dvc.yaml")
    declared = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | sections
    (home / "params.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    params.validate(home / "params.yaml")
    Repo.init(str(home), no_scm=True).close()
    with Repo(str(home)) as repo:
        stages = {stage.name: stage for stage in repo.index.stages}
        assert networkx.is_directed_acyclic_graph(repo.index.graph)
        return {name: {one.name for one in repo.index.graph.successors(stages[name])} for name in stages}


def test_a_student_waits_for_its_teacher_and_nothing_else_changes(tmp_path: Path) -> None:
    committed = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert committed["students"] == {}
    of_student = {"small-demo": {"kind": "student", "model": "small", "dataset": "demo"}}
    without = graph_of(tmp_path / "without")
    with_one = graph_of(
        tmp_path / "with", students={"small": STUDENT}, evaluations=committed["evaluations"] | of_student
    )
    assert with_one["teach@small"] == {"combine@logistic", "shards@demo"}
    assert with_one["train_student@small"] == {"teach@small", "weights@scratch"}
    assert with_one["calibrate_student@small"] == {"train_student@small", "teach@small"}
    assert with_one["evaluate@small-demo"] == {"calibrate_student@small", "shards@demo"}
    assert set(with_one) - set(without) == OWN
    rest = {name: waits - OWN for name, waits in with_one.items() if name not in OWN}
    assert rest == without, "models and ensembles do not notice a student"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"teacher": {"kind": "ensemble", "model": "logistics"}},
            "students.small.teacher: unknown ensemble 'logistics'",
        ),
        ({"teacher": {"kind": "model", "model": "small"}}, "students.small.teacher: unknown model 'small'"),
        ({"teacher": {"kind": "student", "model": "small"}}, "students.small.teacher.kind"),
        ({"detector": "meso5"}, "students.small.detector: unknown detector 'meso5': did you mean 'meso4'"),
        ({"evaluate": False}, "students.small.evaluate: unknown key 'evaluate'"),
    ],
)
def test_a_student_that_names_what_is_not_there_is_refused(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    declared = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    declared["students"] = {"small": STUDENT | change}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    with pytest.raises(ParamsError) as raised:
        params.validate(tmp_path / "params.yaml")
    assert fault in str(raised.value)


def test_a_student_cannot_have_the_name_of_a_model(tmp_path: Path) -> None:
    declared = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    declared["students"] = {"meso4": STUDENT}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    with pytest.raises(ParamsError, match=r"students\.meso4: choose another name"):
        params.validate(tmp_path / "params.yaml")
