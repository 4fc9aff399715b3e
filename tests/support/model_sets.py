"""Stand-ins for the model sets of fauxscan, made of tiny models, and packages that bring one."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from fauxscan import models
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import Dense, EnsembleCard
from fauxscan.scanning import probing


def write_set(folder: Path, model: Path) -> Path:
    """Write a set of one model, which has OpenVINO files."""
    folder.mkdir(parents=True)
    for name in (models.CARD, "openvino.xml", "openvino.bin"):
        shutil.copyfile(model / name, folder / name)
    probing.write(folder)
    return folder


def write_ensemble(folder: Path, members: Sequence[Path], keras: bool = False) -> Path:
    """Write an ensemble of models, which weighs their calibrated logits alike."""
    names = ("openvino.xml", "openvino.bin", models.CARD, *((models.NETWORK,) if keras else ()))
    for member in members:
        (folder / ensemble.MEMBERS_FOLDER / member.name).mkdir(parents=True)
        for name in names:
            shutil.copyfile(member / name, folder / ensemble.MEMBERS_FOLDER / member.name / name)
    cards = [models.read_card(member) for member in members]
    calibration = cards[0].calibration
    assert calibration
    weights = tuple((1 / len(members),) for _ in members)
    card = EnsembleCard(
        name=folder.name, method="mean", dataset="none", layers=(Dense(kernel=weights, bias=(0.0,)),),
        digests={one.name: one.model_digest for one in cards}, calibration=calibration, proof_of_machinery=False,
    )  # fmt: skip
    (folder / ensemble.CARD_FILE).write_text(card.model_dump_json(), encoding="utf-8")
    return folder


def write_package(site: Path, name: str, package: str, value: str, code: str = "") -> Path:
    """Write a package, as it is when installed, with an entry point for the model set `name`; return its folder."""
    module = package.replace("-", "_")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[fauxscan.models]\n{name} = {value}\n", encoding="utf-8")
    (site / module).mkdir()
    (site / module / "__init__.py").write_text(code, encoding="utf-8")
    return site / module
