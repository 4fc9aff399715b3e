"""The process that exports models to OpenVINO's format; its arguments are MODEL FILE ..."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fauxscan import models
from fauxscan.records import UserError
from fauxscan.scanning.inference.backends import EXIT_BAD_MODEL, FULL_PRECISION_KEY


def export(folder: Path, file: Path) -> None:
    """Write the network of a model folder to `file`, an .xml, and its weights beside it. Raise UserError."""
    import openvino

    model = models.load(folder)
    aside = file.with_name(f"raw-{file.name}")
    model.network.export(str(aside), format="openvino", verbose=False)
    network = openvino.Core().read_model(aside)
    if models.needs_full_precision(model.network):
        network.set_rt_info("true", FULL_PRECISION_KEY)
    openvino.save_model(network, file, compress_to_fp16=False)
    for part in (aside, aside.with_suffix(".bin")):
        part.unlink()


def main(arguments: Sequence[str]) -> int:
    """Export each model to the file that follows it; return 0, or EXIT_BAD_MODEL if one cannot be loaded."""
    try:
        for folder, file in zip(arguments[::2], arguments[1::2], strict=True):
            export(Path(folder), Path(file))
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_BAD_MODEL
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
