"""Write networks in OpenVINO's format, into model folders; as a process, export MODEL to FILE for each MODEL FILE."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fauxscan import disk, models
from fauxscan.models import OpenvinoFiles
from fauxscan.records import UserError

NETWORK = "openvino.xml"  # in a model folder; the weights are in the .bin beside it
FULL_PRECISION_KEY = "full_precision"  # in an export's runtime information: run it in 32 bits
EXIT_BAD_MODEL = 3  # the exit status of the process if a model is at fault


def add(folder: Path, network: Any) -> OpenvinoFiles:
    """Write the network's OpenVINO files into a model folder, and return their digests for its card."""
    folder.mkdir(parents=True, exist_ok=True)
    export(network, folder / NETWORK)
    return digests(folder)


def digests(folder: Path) -> OpenvinoFiles:
    """Return the digests of the OpenVINO files in a model folder. Raise OSError if one cannot be read."""
    file = folder / NETWORK
    return OpenvinoFiles(xml=disk.digest(file), bin=disk.digest(file.with_suffix(".bin")))


def export(network: Any, file: Path) -> None:
    """Write a Keras network to `file`, an .xml, and its weights beside it, in float32 and for batches of any size.

    The same network always gives the same bytes.
    """
    import openvino

    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".exporting-") as aside:
        raw = Path(aside) / file.name
        network.export(str(raw), format="openvino", verbose=False)
        exported = openvino.Core().read_model(raw)
        _name_by_position(exported)
        if models.needs_full_precision(network):
            exported.set_rt_info("true", FULL_PRECISION_KEY)
        openvino.save_model(exported, file, compress_to_fp16=False)


def _name_by_position(exported: Any) -> None:
    """Name the operations after their place: OpenVINO numbers them on over all that a process has converted."""
    for place, operation in enumerate(exported.get_ordered_ops()):
        kind = operation.get_type_name()
        if kind != "Parameter":
            operation.set_friendly_name(f"{kind}_{place}")


def main(arguments: Sequence[str]) -> int:
    """Export each model to the file that follows it; return 0, or EXIT_BAD_MODEL if one cannot be loaded."""
    try:
        for folder, file in zip(arguments[::2], arguments[1::2], strict=True):
            export(models.load(Path(folder)).network, Path(file))
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_BAD_MODEL
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
