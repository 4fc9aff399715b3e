"""Put published weights into our own networks: the file is read as bare arrays, and nothing else in it is."""

from pathlib import Path
from typing import Any

from fauxscan.records import UserError
from fauxscan.weights import activations, assign, keras2, torch_state

READERS = {  # chosen by the first bytes of a file, never by its name
    keras2.MAGIC: keras2,
    torch_state.ZIP_MAGIC: torch_state,
    torch_state.OLD_MAGIC: torch_state,
}


def load_into(network: Any, file: Path, trunk: bool = False) -> None:
    """Put the weights in `file` into the network. With `trunk`, leave its dense layers as they are.

    Raise UserError, with the network unchanged, if it is not a weight file or belongs to another architecture.
    """
    layers = assign.weighted_layers(network, trunk)
    try:
        reader = _reader(file)
        fitting = reader.fillings(file, layers, trunk)
        if reader is keras2 and not trunk:
            activations.check(file, network)
        assign.fill(fitting)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error


def _reader(file: Path) -> Any:
    """Return the module that reads this kind of file. Raise UserError that names the kinds that can be read."""
    with file.open("rb") as stream:
        start = stream.read(max(map(len, READERS)))
    for magic, reader in READERS.items():
        if start.startswith(magic):
            return reader
    raise UserError(
        "it is neither a Keras 2 weight file (.h5, .hdf5) nor a PyTorch state dict (.pth, .pt), "
        "the only kinds that can be imported"
    )
