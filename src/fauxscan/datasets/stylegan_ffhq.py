"""FFHQ photographs and StyleGAN faces, published with A. Y. Xu's article on MesoNet (GradientCrescent, 2019).

The addresses and the name stylegan_05psi.zip are from the article. Not verified: the number of images in the published
archives, the name of the 10 psi archive (Drive shows none before a download), and the folder inside the StyleGAN
archives, which is therefore looked for under several names; the option `fakes` gives another one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from fauxscan.records import FAKE, REAL, Archive, DatasetCard, Example, UserError

Psi = Literal[5, 10]
DRIVE = "https://drive.google.com/uc?id="
PHOTOGRAPHS = Archive("real.zip", f"{DRIVE}1ky465Gxe-7KYF5cheXgxHIkevJu7Ofbc")
FACES = {
    5: Archive("stylegan_05psi.zip", f"{DRIVE}1Zxke5rZZOPRNAf0AmETNHUfbn6EPyeYi", aliases=("stylegan.zip",)),
    10: Archive("stylegan_10psi.zip", f"{DRIVE}1aJvpWIQ6G8fHwRCWRgrtKaKUQ8zaRLsK"),
}
FOLDERS = ("stylegan", "stylegan_{psi:02d}psi", "stylegan_{psi}psi", "{psi:02d}psi", "{psi}psi")

CARD = DatasetCard(
    name="stylegan_ffhq",
    title="FFHQ photographs and StyleGAN faces, 256 pixels",
    citation=(
        "Karras, Laine and Aila 2019, A Style-Based Generator Architecture for Generative Adversarial Networks;"
        " selection: A. Y. Xu 2019, Mesoscopic Neural Networks for Synthetic Image Detection, GradientCrescent"
    ),
    licence="FFHQ CC BY-NC-SA 4.0, StyleGAN's outputs CC BY-NC 4.0",
    archives=(PHOTOGRAPHS, FACES[5]),
    layout=("real",),
    instructions=(
        "It is downloaded from Google Drive. If Drive refuses, download real.zip and stylegan_05psi.zip in a"
        " browser, and set `archives` of the dataset in params.yaml to their folder."
    ),
)


def archives(psi: Psi = 5) -> tuple[Archive, ...]:
    """Return the photographs and the faces of one truncation psi, in the article's notation (5 or 10)."""
    return PHOTOGRAPHS, FACES[psi]


def examples(root: Path, psi: Psi = 5, fakes: str | None = None) -> Iterator[Example]:
    """Yield each image as a source of its own. Raise UserError if no folder has a known name."""
    fake_folder = _folder(root, [fakes] if fakes else [name.format(psi=psi) for name in FOLDERS])
    for folder, label, generator in ((_folder(root, ["real"]), REAL, None), (fake_folder, FAKE, "stylegan")):
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            path = file.relative_to(root).as_posix()
            yield Example(path, label, f"{folder.name}/{file.stem}", generator)


def _folder(root: Path, names: list[str]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    there = ", ".join(sorted(folder.name for folder in root.iterdir() if folder.is_dir()))
    raise UserError(
        f"stylegan_ffhq has no folder {' or '.join(names)}; it has: {there or 'none'}. If one of them holds the fakes,"
        " set options.fakes of the dataset in params.yaml to its name"
    )
