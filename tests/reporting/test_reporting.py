"""The report: every evaluation in one table, one page that needs nothing from outside, names escaped."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import ROOT

from fauxscan import cli, params
from fauxscan.judging import metrics
from fauxscan.params import Params
from fauxscan.records import UserError, Verdict
from fauxscan.reporting import page, tables


def evaluation(rng: np.random.Generator, folder: Path, name: str, settings: Params) -> None:
    labels = np.tile([0, 1], 40)
    scores = pd.DataFrame(
        {
            "sha256": [str(n) for n in range(80)], "label": labels, "generator": np.where(labels, "gan", ""),
            "source": [f"s{n // 4}" for n in range(80)], "degradation": "none", "unit": "media",
            "p_fake": np.clip(labels * 0.4 + rng.random(80) * 0.6, 0, 1),
        }
    )  # fmt: skip
    scores["verdict"] = pd.cut(scores["p_fake"], [-1, 0.3, 0.7, 2], labels=list(reversed(Verdict))).astype(str)
    found = metrics.figures(scores, 0.9, 0.5, settings.evaluate, 1)
    of = {
        "evaluation": name,
        "model": name,
        "model_digest": "d",
        "trained_on": "demo",
        "dataset": "demo",
        "confidence": 0.95,
    }
    keys = {"unit": "media", "degradation": "none", **of}
    rows = [{**keys, "generator": generator, **found} for generator in ("all", "gan")]
    (folder / name).mkdir(parents=True)
    scores.assign(evaluation=name).to_parquet(folder / name / "scores.parquet")
    pd.DataFrame(rows).to_parquet(folder / name / "figures.parquet")


def test_the_page_stands_alone_and_escapes_names(rng: np.random.Generator, tmp_path: Path, settings: Params) -> None:
    names = ["meso4-demo", "<script>alert(1)<"]
    for name in names:
        evaluation(rng, tmp_path / "evaluations", name, settings)
    page.write(tmp_path / "evaluations", names, 0.95, tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html and "&lt;script&gt;" in html
    assert html.count("<svg") == 5
    assert "src=" not in html and "@import" not in html
    assert "coverage" in html and "nan" not in html
    joined = pd.read_parquet(tmp_path / "out" / "evaluation.parquet")
    assert list(joined.columns) == list(page.COLUMNS) and len(joined) == 4
    assert list(tables.headline(joined)["evaluation"]) == names


def test_the_same_evaluations_give_the_same_bytes(rng: np.random.Generator, tmp_path: Path, settings: Params) -> None:
    evaluation(rng, tmp_path / "evaluations", "a", settings)
    for run in ("one", "two"):
        page.write(tmp_path / "evaluations", ["a"], 0.95, tmp_path / run)
    for name in ("report.html", "evaluation.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_terminal_shows_the_headline(
    rng: np.random.Generator,
    tmp_path: Path,
    settings: Params,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    evaluation(rng, tmp_path / "evaluations", "meso4-demo", settings)
    page.write(tmp_path / "evaluations", ["meso4-demo"], 0.95, tmp_path / "out")
    assert cli.run(["results", "--reports", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    row = pd.read_parquet(tmp_path / "out" / "evaluation.parquet").iloc[0]
    assert f"{row['accuracy']:.3f}" in said and f"{row['auc']:.3f}" in said and "80" in said
    assert "evaluation.parquet" in said and "report.html" in said
    assert cli.run(["results", "--reports", str(tmp_path / "none")]) == 3


def test_a_preset_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "params.yaml"
    target.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    fixed = ["--presets", str(ROOT / "presets"), "--params", str(target)]
    labels = ["--set", "datasets.own.options.labels={camera: real, gan: stylegan}"]
    assert cli.run(["preset", "folder", *labels, *fixed]) == 3
    assert "none is named" in capsys.readouterr().err
    assert cli.run(["preset", "folder", "--set", f"datasets.own.archives={tmp_path}", *labels, *fixed]) == 0
    assert params.load(target).datasets["own"].options["labels"] == {"camera": "real", "gan": "stylegan"}
    assert cli.run(["preset", "nothing", *fixed]) == 3
    assert "deepfake_database" in capsys.readouterr().err


def test_a_stale_evaluation_is_left_out_and_a_missing_one_named(
    rng: np.random.Generator, tmp_path: Path, settings: Params
) -> None:
    for name in ("a", "stale"):
        evaluation(rng, tmp_path / "evaluations", name, settings)
    page.write(tmp_path / "evaluations", ["a"], 0.95, tmp_path / "out")
    assert set(pd.read_parquet(tmp_path / "out" / "evaluation.parquet")["evaluation"]) == {"a"}
    with pytest.raises(UserError, match=r"no figures\.parquet of b in"):
        page.write(tmp_path / "evaluations", ["a", "b"], 0.95, tmp_path / "out")
