from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from tapetum.errors import InvalidStudy, ValidationFailed
from tapetum.learn import Study, parse_study
from tapetum.learn.cohort import assemble, unit_column

Facts = Callable[[list[dict[str, Any]]], pl.DataFrame]
Tables = tuple[pl.DataFrame, pl.DataFrame]


def _study(**cohort: Any) -> Study:
    return parse_study(
        {
            "study": {"name": "A", "question": "?"},
            "cohort": cohort,
            "outcome": {"name": "2", "observation": "grade", "positive": [2], "negative": [0, 1]},
            "features": {"recipes": ["fundus"]},
        }
    )


def _fact(patient: str, series: str, name: str, **more: Any) -> dict[str, Any]:
    return {"patient_key": patient, "series_instance_uid": series, "name": name} | more


@pytest.fixture
def tables(facts: Facts) -> Tables:
    """Nine images of five patients: graded 2, 0, both at once, ungradable, never, without features, and one CT."""
    owner = dict(zip("123456789", "aabbccdde", strict=True))
    series = pl.DataFrame(
        {
            "patient_key": list(owner.values()),
            "series_instance_uid": list(owner),
            "study_instance_uid": [f"study {patient}" for patient in owner.values()],
            "modality": ["OP"] * 8 + ["CT"],
            "site": ["A", "", "B", "B", "A", "A", "A", "A", "A"],
            "pixel_digest": [f"digest {uid}" for uid in owner],
            "laterality": ["R", "R", "L", "L", "R", "L", "R", "L", None],
        }
    )
    grades = [("1", "2"), ("2", "0"), ("3", "0"), ("3", "2"), ("4", "U"), ("6", "0"), ("7", "2"), ("9", "2")]
    rows = [_fact(owner[uid], uid, "grade", text=grade) for uid, grade in grades]
    rows += [_fact(owner[uid], uid, "f", value=float(uid), method="fundus/1") for uid in "1234578"]
    return series, facts(rows)


def test_everybody_who_left_is_counted_with_the_reason(tables: Tables) -> None:
    cohort = assemble(_study(modality="OP"), *tables)
    assert [(step.label, step.patients, step.units, dict(step.dropped)) for step in cohort.flow] == [
        ("Image series in the workspace", 5, 9, {}),
        ("Modality OP", 4, 8, {"other modality": 1}),
        (
            "With the outcome known",
            3,
            4,
            {"conflicting outcome": 1, "outcome neither positive nor negative": 1, "no outcome": 2},
        ),
        ("With features", 2, 3, {"no features": 1}),
    ]
    assert cohort.unit.tolist() == ["1", "2", "7"]
    assert cohort.outcome.tolist() == [1, 0, 1]
    assert cohort.x.tolist() == [[1.0], [2.0], [7.0]]
    assert cohort.images == (("digest 1",), ("digest 2",), ("digest 7",))


def test_a_patient_has_the_outcome_when_any_image_has(tables: Tables) -> None:
    cohort = assemble(_study(modality="OP", unit="patient"), *tables)
    assert dict(zip(cohort.unit.tolist(), cohort.outcome.tolist(), strict=True)) == {"a": 1, "b": 1, "c": 0, "d": 1}
    known = dict(
        zip(cohort.unit.tolist(), zip(cohort.x[:, 0].tolist(), cohort.site.tolist(), strict=True), strict=True)
    )
    assert known == {"a": (1.5, "A"), "b": (3.5, "B"), "c": (5.0, "A"), "d": (7.5, "A")}


def test_the_images_of_a_study_are_one_unit(tables: Tables) -> None:
    study = _study(modality="OP", unit="study")
    assert unit_column(study) == "study_instance_uid"
    flow = assemble(
        study,
        tables[0],
        tables[1]
        .filter(pl.col("name") != "grade")
        .vstack(tables[1].filter(pl.col("series_instance_uid").is_in(["1", "6"]))),
    ).flow
    assert flow[2].label == "Studies"
    assert flow[-1].units == 2


def test_only_images_with_the_wanted_attribute_come_in(tables: Tables) -> None:
    cohort = assemble(_study(where={"laterality": "R"}), *tables)
    assert cohort.flow[1].dropped == {"other laterality": 5}
    with pytest.raises(ValidationFailed, match="nobody"):
        assemble(_study(where={"laterality": "B"}), *tables)
    with pytest.raises(InvalidStudy, match="did you mean 'laterality'"):
        assemble(_study(where={"lateralty": "R"}), *tables)


def test_a_study_without_images_takes_everybody_with_observations(facts: Facts, tables: Tables) -> None:
    rows = [_fact(p, "", "grade", text=str(2 * i)) for i, p in enumerate("xy")]
    rows += [_fact(p, "", "site", text="ABC"[i]) for i, p in enumerate("xy")]
    rows += [_fact(p, "", "f", value=float(i), method="fundus/1") for i, p in enumerate("xy")]
    cohort = assemble(_study(unit="patient", site="site"), tables[0][:0], facts(rows))
    assert cohort.unit.tolist() == ["x", "y"]
    assert cohort.site.tolist() == ["A", "B"]
    assert cohort.modalities == ()
    assert cohort.images == ((), ())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"outcome": {"observation": "grad"}}, r"\[outcome\] observation names 'grad'"),
        ({"features": {"recipes": ["fundsu"]}}, "did you mean 'fundus'"),
        ({"features": {"observations": ["age"]}}, r"\[features\] observations names 'age'"),
        ({"cohort": {"site": "hospital"}}, r"\[cohort\] site names 'hospital'"),
    ],
)
def test_what_nobody_has_is_named(tables: Tables, change: dict[str, dict[str, Any]], told: str) -> None:
    tree = _study().to_json()
    tree = {
        name: {k: v for k, v in (keys | change.get(name, {})).items() if v is not None} for name, keys in tree.items()
    }
    with pytest.raises(InvalidStudy, match=told):
        assemble(parse_study(tree), *tables)


def test_a_feature_that_most_lack_is_left_out_and_said(facts: Facts, tables: Tables) -> None:
    rare = facts([_fact("a", "1", "rare", value=1.0, method="fundus/1")])
    cohort = assemble(_study(modality="OP"), tables[0], tables[1].vstack(rare))
    assert [column.name for column in cohort.columns] == ["fundus/f"]
    assert "fundus/rare" in cohort.checks[0].detail


def test_one_outcome_only_carries_no_question(tables: Tables) -> None:
    with pytest.raises(ValidationFailed, match="with and without"):
        assemble(_study(), tables[0], tables[1].filter((pl.col("name") != "grade") | (pl.col("text") == "2")))


def test_the_digest_follows_the_numbers_and_not_the_order_of_rows(tables: Tables) -> None:
    study = _study(modality="OP")
    digest = assemble(study, *tables).digest
    assert assemble(study, tables[0].reverse(), tables[1].reverse()).digest == digest
    other = tables[1].with_columns(value=pl.col("value") + np.float64(1e-9))
    assert assemble(study, tables[0], other).digest != digest


def test_rows_that_leave_later_are_counted_too(tables: Tables) -> None:
    cohort = assemble(_study(modality="OP"), *tables)
    smaller = cohort.without([1], label="Without copies", reason="copy")
    assert smaller.unit.tolist() == ["1", "7"]
    assert smaller.flow[-1].dropped == {"copy": 1}
    assert cohort.without([], label="Without copies", reason="copy") is cohort


def test_other_pseudonyms_change_neither_order_nor_digest(tables: Tables) -> None:
    def renamed(frame: pl.DataFrame) -> pl.DataFrame:
        turned = [pl.col(name).str.reverse() + "-other" for name in ("patient_key",) if name in frame.columns]
        return frame.with_columns(turned)

    study = _study(modality="OP")
    one, other = assemble(study, *tables), assemble(study, *map(renamed, tables))
    assert one.patient.tolist() != other.patient.tolist()
    assert one.person.tolist() == other.person.tolist()
    assert one.x.tolist() == other.x.tolist()
    assert one.digest == other.digest


def test_one_patient_is_one_person(tables: Tables) -> None:
    cohort = assemble(_study(modality="OP"), *tables)
    assert len(set(zip(cohort.patient.tolist(), cohort.person.tolist(), strict=True))) == len(
        set(cohort.patient.tolist())
    )
