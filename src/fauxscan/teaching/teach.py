"""Let a teacher judge the training images of a student, once and as they are stored."""

import logging
import math
from collections.abc import Hashable, Mapping
from pathlib import Path

import pandas as pd

from fauxscan import detectors, disk
from fauxscan.judging import ensemble, scoring
from fauxscan.judging.ensemble import Ensemble
from fauxscan.params import Params
from fauxscan.preparing.mixture.read import Mixture, open_mixture
from fauxscan.preparing.mixture.write import write_mixture
from fauxscan.records import TRAIN, UserError, View
from fauxscan.teaching.kept import KeptLogits
from fauxscan.training.data import targets
from fauxscan.training.data.targets import KEY, TargetsCard

IMAGE = list(KEY)
log = logging.getLogger(__name__)


def teach(name: str, params: Params, shards: Path, teacher: Path, work: Path, mixture: Path, out: Path) -> None:
    """Write the mixture of the student `name` to the file `mixture`, and the scores of its teacher to the folder `out`.

    `shards` has the shards of each dataset in a sub-folder, and `teacher` is the folder of a model or an ensemble.
    `work` keeps the logits of finished shards, with which a killed run continues, and one after a change elsewhere.
    Raise UserError.
    """
    student = params.student(name)
    write_mixture(name, student, shards, mixture, params.split)
    mixed, judges = open_mixture(mixture, shards), ensemble.load([teacher])
    kept, view = KeptLogits(work), mixed.view_for(detectors.get(student.detector).CARD.looks_at)
    judged = pd.concat([_judged(judges, mixed, dataset, view, kept) for dataset in mixed.shards], ignore_index=True)
    judged = judged.drop_duplicates(IMAGE, ignore_index=True)  # a file in two datasets has the same pixels in both
    kept.drop_unused()
    targets.write(out, judged, _card(judges, disk.digest(mixture)))
    log.info("%s has judged %d training images for %s", student.teacher.model, len(judged), name)


def _judged(judges: Ensemble, mixture: Mixture, dataset: str, view: View, kept: KeptLogits) -> pd.DataFrame:
    """Return one row for each training image of a dataset in the student's view, see records.TARGETS.

    A model that looks at the same view judges the image itself. Of another, its logit of the whole file counts. Raise
    UserError if no model can judge an image.
    """
    shards = mixture.shards[dataset]
    images: pd.DataFrame = shards.index(IMAGE, TRAIN, view).to_pandas()
    logits = {}
    for model in judges.members:
        own = mixture.view_for(model.card.looks_at)
        rows = kept.of_training(model, dataset, shards, own)
        logits[model.card.name] = _looked_up(images, rows, view is own)
    table = pd.DataFrame(logits)
    if unjudged := int(table.isna().all(axis=1).sum()):
        raise UserError(
            f"the teacher cannot judge {unjudged} of {len(images)} training images of {dataset}: its models look at"
            " another view, in which no face was found. Choose a teacher that has a model of the student's view"
        )
    return images.assign(p_fake=[_p_fake(judges, row) for row in table.to_dict("records")])


def _p_fake(judges: Ensemble, logits: Mapping[Hashable, float]) -> float:
    return judges.judge({str(name): logit for name, logit in logits.items() if not math.isnan(logit)}).p_fake


def _looked_up(images: pd.DataFrame, rows: pd.DataFrame, same_view: bool) -> pd.Series:
    """Return the logit of each image, null where a model could not judge it."""
    if same_view:
        return images.merge(rows[[*IMAGE, "logit"]], on=IMAGE, how="left")["logit"]
    of_files = scoring.media_logits(rows).drop_duplicates("sha256").set_index("sha256")["logit"]
    return images["sha256"].map(of_files)


def _card(judges: Ensemble, mixture_sha256: str) -> TargetsCard:
    cards, card = [model.card for model in judges.members], judges.card
    return TargetsCard(
        teacher=card.name if card else cards[0].name,
        digest=card.model_digest if card else cards[0].model_digest,
        licence="; ".join(dict.fromkeys(one.licence for one in cards)),
        proof_of_machinery=any(one.trained_on.proof_of_machinery for one in cards),
        mixture_sha256=mixture_sha256,
    )
