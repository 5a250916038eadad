"""Small workspaces with virtual patients and pictures that carry a known truth."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from tapetum.flow import Workspace

STUDY = """
[study]
name = "Red or not"
question = "Is the spot red?"
seed = 7

[cohort]
modality = "XC"
unit = "series"

[outcome]
name = "red spot"
observation = "spot"
positive = ["red"]

[features]
recipes = ["picture"]

[models]
candidates = ["logistic", "forest"]
budget = 2

[validation]
outer_folds = 3
inner_folds = 2
bootstrap = 100
threshold = "youden"
"""

MAPPING = """
[columns]
patient = "who"
file = "file"
site = "hospital"

[image]
modality = "XC"
body_part_examined = "SKIN"

[[observation]]
column = "spot"
kind = "text"
level = "image"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "hospital", compute_workers=1)


@pytest.fixture(name="spot")
def spot_maker() -> Callable[..., None]:
    """Draws one picture."""
    return draw_spot


def draw_spot(path: Path, *, red: bool, seed: int) -> None:
    """A noisy 24 x 24 picture with a spot that is red or brown; the two overlap a little."""
    draw = np.random.default_rng(seed)
    pixels = draw.normal(150, 20, (24, 24, 3))
    pixels[8:16, 8:16, 0] += draw.normal(30 if red else 5, 12)
    Picture.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """60 pictures of 30 people at two hospitals, with table, mapping and study file."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    with (folder / "spots.csv").open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["who", "file", "hospital", "spot"])
        for number in range(60):
            red = number % 4 < 2
            draw_spot(folder / f"{number}.png", red=red, seed=number)
            table.writerow([f"Person {number // 2}", f"{number}.png", "NS"[number % 8 < 4], "red" if red else "brown"])
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "study.toml").write_text(STUDY)
    return folder
