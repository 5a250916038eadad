import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.dummy import DummyClassifier

from tapetum.errors import NotFound, UntrustedModel
from tapetum.predict.package import FILES, NOTICE, TRUSTED, ModelCard, load, save


@pytest.fixture
def folder(made: Any, tmp_path: Path) -> Path:
    return save(made.model, made.result, tmp_path / "model")


def _sign_again(folder: Path) -> None:
    manifest = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_packaged_model_says_the_same_as_before(made: Any, folder: Path) -> None:
    package = load(folder)
    x = np.random.default_rng(1).normal(size=(7, len(made.model.columns)))
    x[2, 0] = np.nan
    np.testing.assert_array_equal(package.model.probability(x), made.model.probability(x))
    np.testing.assert_array_equal(package.model.interval(x), made.model.interval(x))
    np.testing.assert_array_equal(package.model.envelope.distances(x), made.model.envelope.distances(x))
    assert package.study == made.model.study
    assert package.model.columns == made.model.columns


def test_the_card_says_what_one_must_know(made: Any, folder: Path) -> None:
    card = load(folder).card
    assert (card.name, card.outcome, card.notice) == ("Virtual", "sick", NOTICE)
    assert [row["name"] for row in card.features] == [column.name for column in made.model.columns]
    assert card.population["patients"] + made.result.test.patients == 90
    auc = made.result.test.metrics["roc_auc"]
    assert card.performance["on"] == "test set"
    assert card.performance["roc_auc"] == [auc.value, auc.low, auc.high]
    assert card.lineage["data_digest"] == made.result.lineage["data_digest"]
    assert card.limitations == ("Nobody is real.",)
    assert ModelCard.from_json(json.loads(json.dumps(dataclasses.asdict(card)))) == card


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_one_changed_byte_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(UntrustedModel) as caught:
        load(folder)
    assert caught.value.code == "untrusted-model"
    assert caught.value.hint


def test_a_package_that_was_signed_again_is_not_the_one_that_was_asked_for(folder: Path) -> None:
    digest = load(folder).digest
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"threshold": 0.99}))
    _sign_again(folder)
    assert load(folder).digest != digest
    with pytest.raises(UntrustedModel, match="another model"):
        load(folder, digest=digest)


def test_a_type_that_is_no_part_of_a_model_is_refused_before_it_is_built(folder: Path) -> None:
    class Foreign(DummyClassifier):
        pass

    skops.io.dump({"members": [np.datetime_as_string], "bags": []}, folder / "model.skops")
    _sign_again(folder)
    with pytest.raises(UntrustedModel, match="no part of a model"):
        load(folder)


def test_a_folder_without_a_file_of_the_package_is_said(folder: Path) -> None:
    (folder / "model.skops").unlink()
    with pytest.raises(NotFound, match=r"model\.skops"):
        load(folder)


def test_the_trusted_types_are_all_that_a_model_needs_and_none_can_run_code(folder: Path) -> None:
    found = set(skops.io.get_untrusted_types(file=folder / "model.skops"))
    assert found <= set(TRUSTED)
    assert all(name.startswith(("sklearn.", "tapetum.learn.")) or name == "numpy.dtype" for name in TRUSTED)


def test_saving_again_replaces_the_older_package(made: Any, folder: Path) -> None:
    assert load(save(made.model, made.result, folder)).card == load(folder).card
