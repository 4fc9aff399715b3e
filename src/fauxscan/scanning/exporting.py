"""The process that exports models to OpenVINO's format: `python -m fauxscan.scanning.exporting MODEL FILE ...`."""

import sys
from pathlib import Path

from fauxscan import detectors, models
from fauxscan.scanning.networks import FULL_PRECISION


def export(folder: Path, file: Path) -> None:
    """Write the network of a model folder to `file`, an .xml, and its weights beside it. Raise UserError."""
    import openvino

    model = models.load(folder)
    aside = file.with_name(f"raw-{file.name}")
    model.network.export(str(aside), format="openvino", verbose=False)
    network = openvino.Core().read_model(aside)
    if detectors.get(model.card.detector).CARD.full_precision:
        network.set_rt_info("true", FULL_PRECISION)
    openvino.save_model(network, file, compress_to_fp16=False)
    for part in (aside, aside.with_suffix(".bin")):
        part.unlink()


if __name__ == "__main__":
    for model_folder, target in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        export(Path(model_folder), Path(target))
