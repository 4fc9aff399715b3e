"""Exports to OpenVINO: the same bytes wherever they are made, for batches of any size, in float32."""

import subprocess
import sys
from pathlib import Path

import pytest

from fauxscan import models, openvino_export

pytest_plugins = ["support.scanning_models"]


@pytest.mark.slow
def test_a_network_gives_the_same_bytes_in_any_process(
    tiny_models: list[Path], exported_models: list[Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", openvino_export.__name__]
    for folder in tiny_models[::-1]:
        (tmp_path / folder.name).mkdir()
        command += [str(folder), str(tmp_path / folder.name / openvino_export.NETWORK)]
    subprocess.run(command, check=True, capture_output=True)
    for folder in exported_models:
        assert openvino_export.digests(tmp_path / folder.name) == models.read_card(folder).openvino
        assert sorted(file.name for file in (tmp_path / folder.name).iterdir()) == ["openvino.bin", "openvino.xml"]


def test_exports_take_batches_of_any_size_in_float32_and_mark_frequency_detectors(exported_models: list[Path]) -> None:
    import openvino

    marked = []
    for folder in exported_models:
        network = openvino.Core().read_model(folder / openvino_export.NETWORK)
        assert network.input().get_partial_shape().to_string() == "[?,64,64,3]"
        kinds = {output.get_element_type().to_string() for node in network.get_ops() for output in node.outputs()}
        assert "f32" in kinds and not kinds & {"f16", "bf16"}
        marked.append(network.has_rt_info(openvino_export.FULL_PRECISION_KEY))
    assert marked == [False, True]
