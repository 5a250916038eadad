import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from tapetum.predict.infer import Risk, judge, predict
from tapetum.predict.package import NOTICE, Package, load, save


@pytest.fixture(scope="module")
def package(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return load(save(made.model, made.result, tmp_path_factory.mktemp("model")))


def _usual(package: Package) -> dict[str, float]:
    return {
        column.name: float(value)
        for column, value in zip(package.model.columns, package.model.envelope.centre, strict=True)
    }


def _codes(risk: Risk) -> list[str]:
    return [reason.code for reason in risk.abstentions]


def test_an_image_of_the_study_gets_the_risk_that_the_model_gave_it(made: Any, package: Package) -> None:
    listed = {row.unit: row for row in made.result.predictions if row.part == "test"}
    for uid in sorted(listed)[:5]:
        risk = predict(package, made.series.filter(pl.col("series_instance_uid") == uid), made.observations)
        if not risk.abstentions:
            assert risk.probability == pytest.approx(listed[uid].probability, abs=1e-12)
            assert risk.low == pytest.approx(listed[uid].low, abs=1e-12)


def test_hardly_anybody_of_the_study_is_turned_away(made: Any, package: Package) -> None:
    said = [predict(package, made.series[i : i + 1], made.observations) for i in range(0, 180, 7)]
    assert sum(bool(risk.abstentions) for risk in said) <= 2


def test_a_risk_has_an_interval_a_verdict_and_awaits_a_signature(package: Package) -> None:
    risk = judge(package, _usual(package), modality="OP")
    assert risk.probability is not None
    assert risk.low is not None
    assert risk.high is not None
    assert 0 < risk.low <= risk.probability <= risk.high < 1
    assert risk.positive == (risk.probability >= risk.threshold)
    assert risk.awaits_signature
    assert risk.notice == NOTICE
    assert risk.rests_on["model_digest"] == package.digest
    assert len(risk.rests_on["data_digest"]) == 64


def test_more_of_what_makes_sick_is_more_risk(package: Package) -> None:
    low, high = (judge(package, _usual(package) | {"fundus/f0": v}, modality="OP").probability for v in (-1, 1))
    assert low is not None
    assert high is not None
    assert low < high


def test_a_ct_is_not_judged_by_a_model_of_photographs(package: Package) -> None:
    risk = judge(package, _usual(package), modality="CT")
    assert _codes(risk) == ["other-modality"]
    assert "OP" in risk.abstentions[0].detail
    assert risk.probability is risk.low is risk.high is risk.positive is None


def test_no_image_is_another_modality_too(package: Package) -> None:
    assert _codes(judge(package, _usual(package), modality="")) == ["other-modality"]


def test_too_many_missing_features_are_a_reason_to_say_nothing(package: Package) -> None:
    usual = _usual(package)
    one = {name: (math.nan if name == "fundus/f3" else value) for name, value in usual.items()}
    assert _codes(judge(package, one, modality="OP")) == []
    few = {name: usual[name] for name in list(usual)[:4]}
    assert _codes(judge(package, few, modality="OP")) == ["features-missing"]


def test_what_was_never_seen_is_out_of_range_and_named(package: Package) -> None:
    risk = judge(package, _usual(package) | {"age": 400.0}, modality="OP")
    assert _codes(risk) == ["out-of-range"]
    assert "age" in risk.abstentions[0].detail
    assert next(iter(risk.unusual)) == "age"


def test_several_reasons_are_all_given(package: Package) -> None:
    risk = judge(package, _usual(package) | {"age": 400.0}, modality="MR")
    assert _codes(risk) == ["other-modality", "out-of-range"]


def test_images_of_two_patients_are_not_one_unit(made: Any, package: Package) -> None:
    with pytest.raises(ValueError, match="one patient"):
        predict(package, made.series[:3], made.observations)


def test_facts_of_other_people_do_not_matter(made: Any, package: Package) -> None:
    unit = made.series[:1]
    own = made.observations.filter(pl.col("patient_key") == "p000")
    assert predict(package, unit, own) == predict(package, unit, made.observations)


def test_random_images_of_noise_are_turned_away(package: Package) -> None:
    rng = np.random.default_rng(1)
    names = [column.name for column in package.model.columns]
    said = [judge(package, dict(zip(names, rng.normal(0, 500, len(names)), strict=True)), modality="OP") for _ in "abc"]
    assert all(_codes(risk) == ["out-of-range"] for risk in said)
