"""140k Real and Fake Faces (Kaggle, xhlulu): 70,000 FFHQ photographs and 70,000 StyleGAN faces, 256 pixels, split.

Layout: real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}, according to several public readers of the dataset.
From memory, not verified: the archive has the name of the dataset, or archive.zip when downloaded in a browser, and the
fakes are Bojan Tunguz's "1 million fake faces" by StyleGAN.
"""

from collections.abc import Iterator
from pathlib import Path

from fauxscan.records import FAKE, REAL, TEST, TRAIN, VALIDATION, Archive, DatasetCard, Example

CARD = DatasetCard(
    name="real_fake_140k",
    title="140k Real and Fake Faces",
    citation="xhlulu 2020, 140k Real and Fake Faces, Kaggle; Karras, Laine and Aila 2019 (FFHQ and StyleGAN)",
    licence="FFHQ CC BY-NC-SA 4.0, StyleGAN's outputs CC BY-NC 4.0; the terms of its page on Kaggle",
    access="manual",
    archives=(Archive("140k-real-and-fake-faces.zip", aliases=("archive.zip",)),),
    layout=("real_vs_fake", "real-vs-fake"),
    instructions=(
        "With a Kaggle account, download xhlulu/140k-real-and-fake-faces, and set `archives` of the dataset in"
        " params.yaml to the folder of the zip, or of the unpacked real_vs_fake."
    ),
)
SPLITS = {"train": TRAIN, "valid": VALIDATION, "test": TEST}
LABELS = {"real": (REAL, None), "fake": (FAKE, "stylegan")}


def examples(root: Path) -> Iterator[Example]:
    """Yield each image as a source of its own, in its published split."""
    for folder in sorted(root.glob("**/real-vs-fake/*/*")):
        if folder.parent.name in SPLITS and folder.name in LABELS:
            label, generator = LABELS[folder.name]
            for file in sorted(folder.iterdir()):
                path = file.relative_to(root).as_posix()
                yield Example(path, label, f"{folder.name}/{file.stem}", generator, SPLITS[folder.parent.name])
