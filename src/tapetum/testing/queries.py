"""What every catalogue must answer: DICOM's matching rules (PS3.4 C.2.2.2), order, pages. Start at `QueryContract`."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tapetum.errors import InvalidQuery, NotFound
from tapetum.model import Arrival, Level, Query
from tapetum.ports import Catalogue
from tapetum.testing.contracts import arrival_of

__all__ = ["QueryContract", "hospital"]

OLD: dict[str, str] = {
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19500607",
    "PatientSex": "F",
    "StudyDate": "20190430",
    "StudyTime": "081500",
    "StudyDescription": "CT Thorax low dose",
    "AccessionNumber": "A[1]_%",
    "ReferringPhysicianName": "Who^Doctor",
}
NEW = {
    **OLD,
    "StudyDate": "20210203",
    "StudyTime": "101530.25",
    "StudyDescription": "Follow-up",
    "AccessionNumber": "7",
}
OTHER = {
    "PatientName": "Müller^Jörg=王^小东",
    "PatientSex": "M",
    "StudyDate": "20200229",
    "StudyDescription": "Knee",
    "PatientAge": "044Y",
}
CT = {"Modality": "CT", "BodyPartExamined": "CHEST", "SeriesNumber": "2", "SeriesDescription": "Lung 1.0 B70f"}
SEG = {"Modality": "SEG", "SeriesNumber": "10", "SeriesDescription": "lung lesions"}
MR = {"Modality": "MR", "BodyPartExamined": "KNEE", "SeriesNumber": "1", "KVP": "120", "ProtocolName": "t1 fat sat"}


def hospital() -> list[Arrival]:
    """Two patients, three studies, four series, six instances."""
    return [
        _arrival(1, "2.25.100", "2.25.11", "P-A", {**OLD, **CT, "InstanceNumber": "2", "Rows": "512"}),
        _arrival(2, "2.25.100", "2.25.11", "P-A", {**OLD, **CT, "InstanceNumber": "10", "Rows": "512"}),
        _arrival(3, "2.25.100", "2.25.11", "P-A", {**OLD, **CT, "InstanceNumber": "1", "Rows": "256"}),
        _arrival(4, "2.25.101", "2.25.11", "P-A", {**OLD, **SEG, "InstanceNumber": "1", "SOPClassUID": "1.2.3"}),
        _arrival(5, "2.25.102", "2.25.12", "P-A", {**NEW, **CT, "ImageType": "ORIGINAL\\PRIMARY"}),
        _arrival(6, "2.25.103", "2.25.13", "P-B", {**OTHER, **MR, "site": "S-2"}),
    ]


def _arrival(number: int, series: str, study: str, patient: str, attributes: dict[str, str]) -> Arrival:
    made = arrival_of(number, series=series, study_instance_uid=study, patient_key=patient)
    assert made.instance is not None
    return replace(made, instance=replace(made.instance, attributes={"site": "S-1", **attributes}))


UID: dict[Level, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}


class QueryContract:
    """For the questions of `ports.Catalogue`: give the fixture ``catalogue``, an empty one."""

    @pytest.fixture
    def full(self, catalogue: Catalogue) -> Catalogue:
        """The catalogue of a small hospital."""
        assert {item.outcome for item in catalogue.record(hospital())} == {"stored"}
        return catalogue

    def ask(self, catalogue: Catalogue, level: Level, **match: Any) -> list[str]:
        """The last numbers of what is found; `count` must say as many."""
        more = {name: match.pop(name) for name in ("text", "fuzzy", "limit", "offset", "newest_first") if name in match}
        query = Query(level, match, **more)
        found = [str(row[UID[level]]).rpartition(".")[2] for row in catalogue.find(query)]
        if query.limit is None and not query.offset:
            assert catalogue.count(query) == len(found)
        return found

    def test_lists_go_by_patient_then_newest_study_then_number(self, full: Catalogue) -> None:
        """Numbers as numbers: 10 comes after 2."""
        assert self.ask(full, "patient") == ["P-A", "P-B"]
        assert self.ask(full, "study") == ["12", "11", "13"]
        assert self.ask(full, "series") == ["102", "100", "101", "103"]
        assert self.ask(full, "instance") == ["5", "3", "1", "2", "4", "6"]

    def test_newest_studies_of_everybody_come_first_when_asked_so(self, full: Catalogue) -> None:
        """A worklist."""
        assert self.ask(full, "study", newest_first=True) == ["12", "13", "11"]
        assert self.ask(full, "series", newest_first=True) == ["102", "103", "100", "101"]

    @pytest.mark.parametrize("level", ["patient", "study", "series", "instance"])
    def test_pages_together_are_the_whole_list(self, full: Catalogue, level: Level) -> None:
        """None twice, none left out."""
        whole = self.ask(full, level)
        assert [one for start in range(len(whole)) for one in self.ask(full, level, limit=1, offset=start)] == whole
        assert self.ask(full, level, offset=len(whole)) == []
        assert self.ask(full, level, limit=0) == []
        assert full.count(Query(level, limit=1)) == len(whole)

    @pytest.mark.parametrize(
        ("match", "found"),
        [
            ({"StudyInstanceUID": "2.25.11"}, ["11"]),
            ({"StudyInstanceUID": "2.25.13\\2.25.12\\2.25.404"}, ["12", "13"]),
            ({"StudyInstanceUID": ""}, ["12", "11", "13"]),
            ({"AccessionNumber": "*"}, ["12", "11", "13"]),
            ({"AccessionNumber": "A[1]_%"}, ["11"]),
            ({"AccessionNumber": "A[1]?%"}, ["11"]),
            ({"AccessionNumber": "A1*"}, []),
            ({"AccessionNumber": "*_*"}, ["11"]),
            ({"AccessionNumber": "?"}, ["12"]),
            ({"StudyDescription": "CT*dose"}, ["11"]),
            ({"StudyDescription": "ct*"}, []),
            ({"StudyDescription": "*hora*"}, ["11"]),
            ({"StudyDescription": "*ne?"}, ["13"]),
            ({"StudyDate": "20200229"}, ["13"]),
            ({"StudyDate": "20190430-20200229"}, ["11", "13"]),
            ({"StudyDate": "20200229-"}, ["12", "13"]),
            ({"StudyDate": "-20200228"}, ["11"]),
            ({"StudyTime": "1015"}, ["12"]),
            ({"StudyTime": "080000-0816"}, ["11"]),
            ({"StudyTime": "-10"}, ["12", "11"]),
            ({"ModalitiesInStudy": "SEG"}, ["11"]),
            ({"ModalitiesInStudy": "MR\\SEG"}, ["11", "13"]),
            ({"ModalitiesInStudy": "S*"}, ["11"]),
            ({"ModalitiesInStudy": "C"}, []),
            ({"PatientID": "P-B"}, ["13"]),
            ({"PatientSex": "F", "StudyDate": "2021"}, ["12"]),
            ({"PatientBirthDate": "1950"}, ["12", "11"]),
            ({"PatientAge": "044Y"}, ["13"]),
            ({"NumberOfStudyRelatedInstances": "4"}, ["11"]),
        ],
    )  # fmt: skip
    def test_studies_match(self, full: Catalogue, match: dict[str, str], found: list[str]) -> None:
        """PS3.4 C.2.2.2.1 to C.2.2.2.5."""
        assert self.ask(full, "study", **match) == found

    @pytest.mark.parametrize(
        ("match", "found"),
        [
            ({"PatientName": "doe^jane"}, ["P-A"]),
            ({"PatientName": "DOE^*"}, ["P-A"]),
            ({"PatientName": "Doe"}, []),
            ({"PatientName": "*jane"}, ["P-A"]),
            ({"PatientName": "müller*"}, ["P-B"]),
            ({"PatientName": "*ÖRG*"}, ["P-B"]),
            ({"PatientName": "jan", "fuzzy": True}, ["P-A"]),
            ({"PatientName": "Ane", "fuzzy": True}, []),
            ({"PatientName": "jane doe", "fuzzy": True}, ["P-A"]),
            ({"PatientName": "MULLER^jorg", "fuzzy": True}, ["P-B"]),
            ({"PatientName": "小东", "fuzzy": True}, ["P-B"]),
            ({"PatientName": "doe jorg", "fuzzy": True}, []),
            ({"ReferringPhysicianName": "who^*"}, ["P-A"]),
            ({"ReferringPhysicianName": "doc", "fuzzy": True}, ["P-A"]),
        ],
    )
    def test_names_match_without_case_and_fuzzy_by_their_parts(
        self, full: Catalogue, match: dict[str, Any], found: list[str]
    ) -> None:
        """Accents aside when fuzzy."""
        assert self.ask(full, "patient", **match) == found

    @pytest.mark.parametrize(
        ("match", "found"),
        [
            ({"Modality": "CT"}, ["102", "100"]),
            ({"Modality": "MR\\SEG"}, ["101", "103"]),
            ({"Modality": "CT", "StudyDate": "2019-2019"}, ["100"]),
            ({"SeriesNumber": "2\\10"}, ["102", "100", "101"]),
            ({"SeriesDescription": "*B70f", "BodyPartExamined": "CHEST"}, ["102", "100"]),
            ({"KVP": "120"}, ["103"]),
            ({"KVP": "1*"}, ["103"]),
            ({"site": "S-2"}, ["103"]),
            ({"role": "image"}, ["102", "100", "101", "103"]),
            ({"PatientName": "doe*", "StudyDescription": "Follow-up"}, ["102"]),
            ({"text": "LUNG"}, ["102", "100", "101"]),
            ({"text": "thorax lung"}, ["100", "101"]),
            ({"text": "fat"}, ["103"]),
            ({"text": "b7"}, ["102", "100"]),
            ({"text": "100%"}, []),
        ],
    )
    def test_series_match(self, full: Catalogue, match: dict[str, Any], found: list[str]) -> None:
        """Of their own level, of one above, and by the words of their descriptions."""
        assert self.ask(full, "series", **match) == found

    def test_a_study_matches_by_what_is_below_it(self, full: Catalogue) -> None:
        """Conditions on series hold for one and the same series."""
        assert self.ask(full, "study", Modality="SEG") == ["11"]
        assert self.ask(full, "study", Modality="SEG", SeriesDescription="Lung 1.0 B70f") == []
        assert self.ask(full, "patient", StudyDate="2020") == ["P-B"]
        assert self.ask(full, "patient", SOPInstanceUID="2.25.6") == ["P-B"]
        assert self.ask(full, "study", text="lesions") == ["11"]

    def test_instances_match_in_their_series_by_number_class_and_size(self, full: Catalogue) -> None:
        """The third series level of C-FIND."""
        assert self.ask(full, "instance", SeriesInstanceUID="2.25.100", Rows="512") == ["1", "2"]
        assert self.ask(full, "instance", InstanceNumber="1") == ["3", "4"]
        assert self.ask(full, "instance", StudyInstanceUID="2.25.11", SOPClassUID="1.2.3") == ["4"]

    def test_a_patient_id_is_asked_for_without_its_issuer_and_answered_so(self, catalogue: Catalogue) -> None:
        """DICOM PS3.4 C.2.2.1.1: the issuer is a key of its own; our key of the patient is neither."""
        for number, key, issuer in ((1, "4711", ""), (2, "4711^^^North", "North"), (3, "47110", "")):
            said = {**OLD, **CT, **({"IssuerOfPatientID": issuer} if issuer else {})}
            catalogue.record([_arrival(number, f"2.25.10{number}", f"2.25.1{number}", key, said)])
        for level in ("patient", "study", "series", "instance"):
            for asked, keys in (
                ({"PatientID": "4711"}, {"4711", "4711^^^North"}),
                ({"PatientID": "4711", "IssuerOfPatientID": "North"}, {"4711^^^North"}),
                ({"PatientID": "4711^^^North"}, {"4711^^^North"}),
                ({"PatientID": "*711"}, {"4711", "4711^^^North"}),
                ({"PatientID": "4?110"}, {"47110"}),
                ({"PatientID": "*North"}, set()),
                ({"patient_key": "4711"}, {"4711"}),
            ):
                rows = catalogue.find(Query(level, asked))
                assert {row["patient_key"] for row in rows} == keys, (level, asked)
                assert {row["PatientID"] for row in rows} == {key.partition("^")[0] for key in keys}
        assert len(catalogue.series(Query("series", {"PatientID": "4711"}))) == 2
        with pytest.raises(ValueError, match="series"):
            catalogue.series(Query("study"))

    def test_a_row_holds_its_level_and_those_above_with_their_counters(self, full: Catalogue) -> None:
        """By keyword; several values are a tuple, numbers are numbers."""
        (study,) = full.find(Query("study", {"StudyInstanceUID": "2.25.11"}))
        assert study["PatientID"] == "P-A"
        assert study["PatientName"] == "Doe^Jane"
        assert study["ModalitiesInStudy"] == ("CT", "SEG")
        assert (study["NumberOfStudyRelatedSeries"], study["NumberOfStudyRelatedInstances"]) == (2, 4)
        assert study["NumberOfPatientRelatedStudies"] == 2
        (row,) = full.find(Query("instance", {"SOPInstanceUID": "2.25.5"}))
        assert row["ImageType"] == ("ORIGINAL", "PRIMARY")
        assert (row["SeriesNumber"], row["NumberOfSeriesRelatedInstances"]) == (2, 1)
        uids = ("2.25.12", "2.25.102")
        assert (row["StudyInstanceUID"], row["SeriesInstanceUID"]) == uids

    def test_an_object_comes_back_as_it_was_recorded(self, full: Catalogue) -> None:
        """Whichever columns its attributes stand in."""
        for arrival in hospital():
            assert arrival.instance is not None
            (found,) = full.select(Query("instance", {"SOPInstanceUID": arrival.instance.sop_instance_uid}))
            assert found == arrival.instance

    def test_what_an_instance_says_otherwise_than_its_series_is_kept(self, catalogue: Catalogue) -> None:
        """And the series says what its first instance said."""
        first, second = (
            _arrival(number, "2.25.100", "2.25.11", "P-A", {**CT, "SeriesDescription": text, "SeriesNumber": figure})
            for number, text, figure in ((1, "one", "2"), (2, "two", "2a"))
        )
        catalogue.record([first, second])
        assert catalogue.instances("2.25.100") == [first.instance, second.instance]
        assert catalogue.one("2.25.100").attributes["SeriesDescription"] == "one"

    @pytest.mark.parametrize(
        ("level", "match", "found"),
        [
            ("patient", {"PatientID": "P-A"}, ["5", "3", "1", "2", "4"]),
            ("study", {"ModalitiesInStudy": "MR\\SEG"}, ["3", "1", "2", "4", "6"]),
            ("series", {"SeriesInstanceUID": "2.25.101"}, ["4"]),
            ("instance", {"InstanceNumber": "2"}, ["1"]),
            ("series", {"Modality": "XA"}, []),
        ],
    )
    def test_every_object_below_the_matches_is_selected(
        self, full: Catalogue, level: Level, match: dict[str, str], found: list[str]
    ) -> None:
        """C-MOVE and WADO-RS of a patient, a study, a series."""
        uids = [item.sop_instance_uid.rpartition(".")[2] for item in full.select(Query(level, match))]
        assert uids == found

    def test_one_series_is_found_by_its_uid_and_an_unknown_one_is_not(self, full: Catalogue) -> None:
        """The guard says no."""
        assert full.one("2.25.103") == full.series()[-1]
        with pytest.raises(NotFound):
            full.one("2.25.404")

    @pytest.mark.parametrize(
        "match", [{"Colour": "red"}, {"StudyDate": "yesterday"}, {"StudyDate": "-"}, {"SeriesNumber": "first"}]
    )
    def test_an_attribute_that_does_not_exist_or_cannot_be_so_is_refused(
        self, full: Catalogue, match: dict[str, str]
    ) -> None:
        """Rather than that nothing is found."""
        with pytest.raises(InvalidQuery) as caught:
            full.find(Query("study", match))
        assert caught.value.hint
        with pytest.raises(InvalidQuery):
            full.count(Query("study", match))

    def test_a_study_that_two_patients_share_is_two_studies(self, catalogue: Catalogue) -> None:
        """Each with its own series."""
        catalogue.record([_arrival(1, "2.25.1", "2.25.11", "P-A", CT), _arrival(2, "2.25.2", "2.25.11", "P-B", MR)])
        rows = catalogue.find(Query("study"))
        assert [(row["PatientID"], row["ModalitiesInStudy"]) for row in rows] == [("P-A", ("CT",)), ("P-B", ("MR",))]
