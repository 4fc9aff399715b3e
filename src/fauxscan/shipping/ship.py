"""Write a model set: a finished model or ensemble as OpenVINO runs it, with its card, its licences and its probe."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from fauxscan import datasets, disk, models, openvino_export
from fauxscan.judging import ensemble
from fauxscan.judging.ensemble import CARD_FILE, MEMBERS_FOLDER, Members
from fauxscan.judging.scoring import CAP
from fauxscan.media.images import codec
from fauxscan.media.images.codec import Image
from fauxscan.media.images.model_input import model_input
from fauxscan.models import ModelCard
from fauxscan.params import Params
from fauxscan.preparing.shards.read import Shards, view_for
from fauxscan.records import VALIDATION, DatasetCard, UserError
from fauxscan.scanning import probing
from fauxscan.shipped import sets
from fauxscan.shipping import card as pages
from fauxscan.shipping import half

SAMPLE = 64  # validation images of each dataset on which weights in 16 bits are tried


@dataclass(frozen=True)
class Made:
    """The folders in which the pipeline has left what a set is made from."""

    shards: Path
    evaluations: Path


def ship(name: str, model: Path, made: Made, params: Params, out: Path) -> None:
    """Write the set `name` to `out`, from a folder of a model or ensemble. Raise UserError if it is not finished.

    The same model, evaluations and parameters give the same bytes.
    """
    entry, members = params.set_to_ship(name), ensemble.read_members([model])
    facts = pages.Facts(_figures(members, made, params), _data(members, params), entry.notes)
    _copy(model, members, out)
    for folder in ensemble.read_members([out]).folders:
        card = models.read_card(folder)
        half.halve(folder, [_probe_input(card), *_validation_inputs(card, made.shards)], entry.logit_tolerance)
    final = ensemble.read_members([out])
    disk.write_text(out / pages.PAGE, pages.page(name, final, facts))
    disk.write_text(out / pages.DATA_LICENCES, pages.data_licences(name, facts.data))
    probing.write(out)


def _copy(model: Path, members: Members, out: Path) -> None:
    """Copy the cards and OpenVINO's files alone."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if members.ensemble:
        shutil.copyfile(model / CARD_FILE, out / CARD_FILE)
    for folder, card in zip(members.folders, members.cards, strict=True):
        if card.openvino is None:
            raise UserError(f"{folder} has no OpenVINO files: `fauxscan calibrate` writes a copy of it that has them")
        target = out / MEMBERS_FOLDER / folder.name if members.ensemble else out
        target.mkdir(parents=True, exist_ok=True)
        network = Path(openvino_export.NETWORK)
        for file in (models.CARD, network, network.with_suffix(".bin")):
            shutil.copyfile(folder / file, target / file)


def _figures(members: Members, made: Made, params: Params) -> Sequence[pages.Figures]:
    """Return the rows of whole files in the evaluations of a set. Raise UserError if there are none."""
    digest = members.ensemble.model_digest if members.ensemble else members.cards[0].model_digest
    files = [made.evaluations / name / "figures.parquet" for name in params.evaluated]
    rows = [row for file in files if file.is_file() for row in pq.read_table(file).to_pylist()]
    found = [row for row in rows if row.get("model_digest") == digest and row["unit"] == "media"]
    if not found:
        raise UserError(
            f"{made.evaluations} has no figures of this model: declare an evaluation of it in `evaluations` of"
            " params.yaml, because a model set ships with its figures"
        )
    return found


def _data(members: Members, params: Params) -> Mapping[str, DatasetCard]:
    """Return the cards of the datasets that the models of a set were trained on. Raise UserError for an unknown one."""
    names = dict.fromkeys(name for card in members.cards for name in _trained_on(card))
    return {name: datasets.get(params.dataset(name).name).CARD for name in names}


def _trained_on(card: ModelCard) -> list[str]:
    used = card.trained_on
    return [one.name for one in used.datasets] or used.dataset.split("+")


def _probe_input(card: ModelCard) -> Image:
    encoded = (sets.SHARED / probing.IMAGE).read_bytes()
    return model_input(codec.decode(encoded, "jpeg", CAP), card.input_size)


def _validation_inputs(card: ModelCard, shards: Path) -> Iterator[Image]:
    """Yield some images of the validation splits that a model was calibrated on, spread over each."""
    view = view_for(card.looks_at, card.trained_on.faces)
    for of_dataset in (Shards(shards / name) for name in _trained_on(card)):
        count, _ = of_dataset.size(VALIDATION, view)
        for example in islice(of_dataset.examples(VALIDATION, view), 0, None, max(1, count // SAMPLE)):
            yield model_input(codec.decode(example["image"], example["format"], CAP), card.input_size)
