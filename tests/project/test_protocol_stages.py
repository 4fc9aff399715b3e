"""The stages of a protocol in the graph of the real pipeline: what they wait for, and what makes them run again."""

import shutil
from pathlib import Path

import yaml
from support import ROOT

from fauxscan import params


def test_a_protocol_waits_for_its_mixture_and_backbone_and_heads_do_not_touch_features(tmp_path: Path) -> None:
    from dvc.repo import Repo

    declared = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    declared["models"]["head"] = {"detector": "clip_vit_b16", "dataset": "demo", "weights": "clip_vit_b16"}
    declared["weights"]["clip_vit_b16"] = {"archives": None}
    heads = {"default": {}, "small": {"options": {"hidden": 64}}}
    declared["protocols"] = {"demo": {"model": "head", "heads": heads, "tiers": ["native", "web"]}}
    shutil.copy(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    params.validate(tmp_path / "params.yaml")
    Repo.init(str(tmp_path), no_scm=True).close()
    with Repo(str(tmp_path)) as repo:
        stages = {stage.name: stage for stage in repo.index.stages}
        waits_for = {name: {one.name for one in repo.index.graph.successors(stages[name])} for name in stages}
    assert waits_for["features@demo"] >= {"mixture@head", "weights@clip_vit_b16"}
    assert waits_for["protocol@demo"] == {"features@demo"}
    watched = {name: {key for dep in stages[name].deps for key in getattr(dep, "params", ())} for name in stages}
    assert {"protocols.demo.tiers", "models.head"} <= watched["features@demo"]
    assert "protocols.demo" not in watched["features@demo"] and "protocols.demo" in watched["protocol@demo"]
