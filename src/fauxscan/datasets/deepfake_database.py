"""The MesoNet authors' deepfake_database: aligned face crops from public web videos (Afchar et al. 2018)."""

from collections.abc import Iterator
from pathlib import Path

from fauxscan.records import FAKE, REAL, Archive, DatasetCard, Example

CARD = DatasetCard(
    name="deepfake_database",
    title="MesoNet deepfake_database",
    citation="Afchar, Nozick, Yamagishi and Echizen 2018, MesoNet: a Compact Facial Video Forgery Detection Network",
    licence="frames of public web videos, no stated licence: research use, do not redistribute",
    archives=(
        Archive("train-real.zip", sha256="f8ba9c11c4a6af2cc63c077682c55809ac3fdb45e1497a54a9a9a973082e6305"),
        Archive("train-df.zip", sha256="d01d66c13ef11ee508bd0da171568ae05d22361a9ac94aec6fe97385820aa5f2"),
        Archive("validation-part.zip", sha256="7ed2e10e1f4e9d99e1b063abf0b7d3ae57afc0dc2deff8b605fdba6d5820c46c"),
    ),
    access="manual",
    layout=("train:test", "validation"),
    instructions=(
        "Download the archives in a browser: the README of DariusAf/MesoNet, section 'deepfake_database', links"
        " them. Put them into one folder and set `archives` of the dataset in params.yaml to it, or to an https"
        " address that holds them."
    ),
)
LABELS = {"real": (REAL, None), "df": (FAKE, "deepfake")}


def examples(root: Path) -> Iterator[Example]:
    """Yield every crop; the authors' validation part is the test split, the rest is split by the stage `split`.

    Training files do not name their video, but are numbered video by video: their sources are recovered by similarity.
    """
    for folder, (label, generator) in LABELS.items():
        for file in sorted((root / "train:test" / folder).glob("*.jpg")):
            yield Example(file.relative_to(root).as_posix(), label, None, generator)
        for file in sorted((root / "validation" / folder).glob("*.jpg")):
            video, _, _ = file.stem.partition("_")
            path = file.relative_to(root).as_posix()
            yield Example(path, label, f"validation-{folder}-{video}", generator, split="test")
