"""The table of a protocol in Markdown."""

from pathlib import Path

import pandas as pd
import pytest

from fauxscan import cli
from fauxscan.protocol import figures

ROWS = [
    ("", "gan", "", "native", "auc", 0.99, 0.98, 1.0),
    ("", "diffusion", "", "native", "auc", 0.97, 0.96, 0.98),
    ("gan", "gan", "", "native", "auc", 0.9, 0.85, 0.95),
    ("gan", "gan", "", "hard", "auc", 0.7, 0.6, 0.8),
    ("diffusion", "diffusion", "", "native", "auc", 0.8, 0.75, 0.85),
    ("diffusion", "diffusion", "", "hard", "auc", 0.6, 0.5, 0.7),
    ("gan", "gan", "", "native", "found_at_0.05", None, None, None),
    ("diffusion", "diffusion", "", "native", "found_at_0.05", 0.4, 0.3, 0.5),
    ("gan", "", "portraits", "native", "false_positive_rate_at_0.05", 0.06, 0.02, 0.1),
    ("diffusion", "", "faces", "native", "false_positive_rate_at_0.05", 0.2, 0.1, 0.3),
]


def test_generators_are_rows_and_tiers_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["left_out", "generator", "dataset", "tier", "figure", "value", "low", "high"]
    table = pd.DataFrame(ROWS, columns=keys).assign(head="default", seed=7, fakes=1, reals=1)
    (tmp_path / "faces").mkdir()
    table.assign(fake_sources=1, real_sources=1)[figures.ORDER].to_parquet(tmp_path / "faces" / "table.parquet")
    assert cli.run(["protocol", "faces", "--protocols", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    first = shown.partition("AUC beside all unseen reals, with its interval:\n\n")[2].splitlines()[:6]
    assert first == [
        "| generator | native | hard | in distribution |",
        "| --- | --- | --- | --- |",
        "| diffusion | 0.800 (0.750 to 0.850) | 0.600 (0.500 to 0.700) | 0.970 (0.960 to 0.980) |",
        "| gan | 0.900 (0.850 to 0.950) | 0.700 (0.600 to 0.800) | 0.990 (0.980 to 1.000) |",
        "| **mean** | 0.850 | 0.650 | 0.980 |",
        "| **worst** | 0.800 | 0.600 | 0.970 |",
    ]
    assert "| gan | unknown | unknown |\n" in shown
    assert "| faces | 0.200 (0.100 to 0.300) | unknown |\n" in shown
    assert "| **worst** | 0.200 | unknown |\n" in shown, "the worst false positive rate is the highest"


def test_a_protocol_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["protocol", "faces", "--protocols", str(tmp_path)]) == 3
    assert "no protocol faces in" in capsys.readouterr().err
