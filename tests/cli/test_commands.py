"""The commands as a person types them: what is printed where, and how they exit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tapetum.cli import COMMANDS, main
from tapetum.testing import dicom_series, to_bytes


class Ran:
    """Exit status and what was printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call the command line in this process."""

    def call(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["tapetum", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return Ran(int(caught.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def hospital(run, tmp_path: Path) -> Path:
    assert run("init", tmp_path / "hospital").status == 0
    return tmp_path / "hospital"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Three good slices and one damaged file."""
    folder = tmp_path / "disk"
    folder.mkdir()
    for number, item in enumerate(dicom_series(slices=3, patient_name="Doe^Jane", patient_id="4711")):
        (folder / f"Jane_Doe_{number}").write_bytes(to_bytes(item))
    (folder / "empty.dcm").touch()
    return folder


def test_acquire_says_how_each_file_ended_and_exits_with_3_when_some_are_quarantined(run, hospital, disk) -> None:
    ran = run("acquire", disk, "-w", hospital, "--json")
    assert ran.status == 3
    tally = json.loads(ran.out)
    assert (tally["stored"], tally["rejected_by_code"]) == (3, {"empty-file": 1})
    assert "tapetum quarantine" in ran.err


def test_acquire_of_good_files_exits_with_0_and_twice_changes_nothing(run, hospital, disk) -> None:
    (disk / "empty.dcm").unlink()
    assert run("acquire", disk, "-w", hospital).status == 0
    again = json.loads(run("acquire", disk, "-w", hospital, "--json").out)
    assert (again["stored"], again["duplicate"]) == (0, 3)


def test_no_name_is_printed_or_listed_but_the_quarantine_shows_its_owner_where_the_file_is(run, hospital, disk) -> None:
    (disk / "Jane_Doe_0").write_bytes(b"")
    first = run("acquire", disk, "-w", hospital)
    listed = run("series", "-w", hospital, "--json")
    for text in (first.out, first.err, listed.out):
        assert "Doe" not in text
        assert "4711" not in text
    rows = json.loads(run("quarantine", "-w", hospital, "--json").out)
    assert any(row["file"].endswith("Jane_Doe_0") for row in rows)


def test_quarantine_can_be_narrowed_to_one_code(run, hospital, disk) -> None:
    run("acquire", disk, "-w", hospital)
    assert json.loads(run("quarantine", "-w", hospital, "--code", "truncated", "--json").out) == []
    assert len(json.loads(run("quarantine", "-w", hospital, "--code", "empty-file", "--json").out)) == 1


def test_standardise_and_describe_count_what_they_did(run, hospital, disk) -> None:
    run("acquire", disk, "-w", hospital)
    assert json.loads(run("standardise", "-w", hospital, "--json").out)["done"] == 1
    assert json.loads(run("describe", "radiomics", "--modality", "CT", "-w", hospital, "--json").out)["done"] == 1


def test_config_prints_every_value_with_its_origin(run, hospital, monkeypatch) -> None:
    monkeypatch.setenv("TAPETUM_COMPUTE_WORKERS", "1")
    (hospital / "tapetum.toml").write_text('[acquire]\nsite = "North"\n')
    rows = {row["setting"]: row for row in json.loads(run("config", "-w", hospital, "--json").out)}
    assert (rows["acquire.site"]["value"], rows["acquire.site"]["origin"]) == ("North", "tapetum.toml")
    assert (rows["compute.workers"]["value"], rows["compute.workers"]["origin"]) == (1, "environment")
    assert rows["acquire.max_pixels"]["origin"] == "default"


def test_the_workspace_is_found_from_the_environment_and_from_a_folder_inside_it(run, hospital, monkeypatch) -> None:
    monkeypatch.setenv("TAPETUM_WORKSPACE", str(hospital))
    assert run("series").status == 0
    monkeypatch.delenv("TAPETUM_WORKSPACE")
    monkeypatch.chdir(hospital / "blobs")
    assert run("series").status == 0


def test_an_error_is_one_line_with_code_and_hint(run, tmp_path) -> None:
    ran = run("series", "-w", tmp_path / "nowhere")
    assert ran.status == 1
    assert ran.err.startswith("error[not-found]:")
    assert "tapetum init" in ran.err


def test_a_wrong_word_is_a_usage_error(run) -> None:
    assert run("nonsense").status == 2
    assert run("acquire", "--nonsense").status == 2


def test_a_wrong_study_file_is_a_usage_error_that_names_the_key(run, tmp_path) -> None:
    (tmp_path / "study.toml").write_text('[study]\nname = "A"\nquestion = "?"\n[outcom]\n')
    ran = run("study", "check", tmp_path / "study.toml")
    assert ran.status == 2
    assert "outcome" in ran.err


def test_a_mapping_that_names_no_patient_is_refused(run, hospital, disk, tmp_path) -> None:
    (tmp_path / "mapping.toml").write_text('[columns]\nfile = "file"\n')
    ran = run("acquire", disk, "--mapping", tmp_path / "mapping.toml", "-w", hospital)
    assert ran.status == 2
    assert "patient" in ran.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_help_of_every_command_has_a_sentence_and_an_example(run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.status == 0
    assert "Example:" in ran.out


def test_the_help_loads_no_heavy_library() -> None:
    code = "import sys, tapetum.cli; print([m for m in ('numpy', 'polars', 'sklearn', 'numba') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_verify_exits_with_0_when_all_is_whole_and_with_1_when_a_blob_changed(run, hospital, disk) -> None:
    run("acquire", disk, "-w", hospital)
    whole = run("verify", "-w", hospital, "--json")
    assert (whole.status, json.loads(whole.out)["whole"]) == (0, 3)
    blob = next((hospital / "blobs").glob("??/*"))
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    ran = run("verify", "-w", hospital)
    assert ran.status == 1
    assert "changed: 1" in ran.out
    (row,) = json.loads(run("verify", "-w", hospital, "--json").out)["wrong"]
    assert row["blob"].endswith(blob.name)


def test_repair_brings_a_lost_catalogue_back(run, hospital, disk) -> None:
    run("acquire", disk, "-w", hospital)
    before = run("series", "-w", hospital, "--json").out
    (hospital / "catalogue.db").write_bytes(b"damaged")
    for left in hospital.glob("catalogue.db-*"):
        left.unlink()
    ran = run("repair", "-w", hospital, "--json")
    assert (ran.status, json.loads(ran.out)["restored"]) == (0, 3)
    assert run("series", "-w", hospital, "--json").out == before


def test_linking_in_a_workspace_that_replaces_identities_is_a_usage_error(run, hospital, disk) -> None:
    ran = run("acquire", disk, "--link", "-w", hospital)
    assert ran.status == 2
    assert "protect.deidentify" in ran.err


def test_ctrl_c_stops_acquire_with_130_and_the_next_run_goes_on(hospital: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for patient in range(60):
        for number, item in enumerate(dicom_series(slices=5, rows=64, columns=64, patient_id=f"P{patient}")):
            (many / f"{patient}-{number}").write_bytes(to_bytes(item))
    command = [sys.executable, "-m", "tapetum", "acquire", str(many), "-w", str(hospital), "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    deadline = time.monotonic() + 60
    while not any((hospital / "blobs").glob("??/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, talk = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "go on" in talk
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    tally = json.loads(finished.stdout)
    assert tally["stored"] + tally["duplicate"] == 300
    assert tally["duplicate"] > 0


def test_acquire_and_predict_without_a_path_are_usage_errors(run, hospital) -> None:
    assert run("acquire", "-w", hospital).status == 2
    assert run("predict", "model").status == 2


def test_export_writes_volumes_and_exits_with_3_when_one_has_no_bids_name(run, hospital, disk, tmp_path) -> None:
    (disk / "empty.dcm").unlink()
    run("acquire", disk, "-w", hospital)
    plain = run("export", "-w", hospital, "--to", tmp_path / "out", "--json")
    assert plain.status == 0
    (item,) = json.loads(plain.out)["items"]
    assert (tmp_path / "out" / item["files"][0]).exists()
    named = run("export", "-w", hospital, "--to", tmp_path / "bids", "--bids")
    assert named.status == 3
    assert "no-bids-name" in named.err
    assert "Doe" not in plain.out + named.err


def test_export_of_an_unknown_series_says_how_to_find_one(run, hospital, tmp_path) -> None:
    ran = run("export", "1.2.3", "-w", hospital, "--to", tmp_path / "out")
    assert ran.status == 1
    assert "tapetum series" in ran.err


def test_series_studies_and_patients_are_searched_and_printed_as_csv(run, hospital, disk) -> None:
    run("acquire", disk, "-w", hospital)
    found = run("series", "--modality", "ct", "-w", hospital, "--csv")
    header, row = found.out.strip().splitlines()
    assert header.startswith("patient_key,study_instance_uid,series_instance_uid,modality")
    assert ",CT," in row
    assert json.loads(run("series", "--modality", "MR", "-w", hospital, "--json").out) == []
    assert len(json.loads(run("studies", "--modality", "CT", "-w", hospital, "--json").out)) == 1
    assert len(json.loads(run("patients", "--limit", "1", "-w", hospital, "--json").out)) == 1


def test_a_condition_on_quality_that_is_none_is_a_usage_error(run, hospital) -> None:
    ran = run("series", "--quality", "good", "-w", hospital)
    assert ran.status == 2
    assert "invalid-query" in ran.err


@pytest.fixture
def other(run, disk: Path, tmp_path: Path):
    """Another archive of ours, full, which answers; its address."""
    place = tmp_path / "other"
    run("init", place)
    (place / "tapetum.toml").write_text("[protect]\ndeidentify = false\n[dimse]\nae_title = 'OTHER'\n")
    run("acquire", disk, "-w", place)
    command = [sys.executable, "-m", "tapetum", "listen", "--port", "0", "-w", str(place)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert running.stdout is not None
    yield f"OTHER@{running.stdout.readline().split()[-1]}"
    running.terminate()
    running.communicate(timeout=30)


def test_series_come_from_another_archive_once_and_go_back_once(run, hospital: Path, other: str) -> None:
    (hospital / "tapetum.toml").write_text(f'[peers]\nOTHER = "{other}"\n')
    words = ("pull", "OTHER", "--modality", "CT", "--date", "1990-", "-w", hospital, "--json")
    first, second = run(*words), run(*words)
    assert (first.status, json.loads(first.out)["stored"]) == (0, 3)
    assert (second.status, json.loads(second.out)["present"]) == (0, 3)
    sent, again = (run("push", "OTHER", "-w", hospital, "--json") for _ in range(2))
    assert (sent.status, json.loads(sent.out)["sent"], json.loads(sent.out)["confirmed"]) == (0, 3, 3)
    assert json.loads(again.out)["present"] == 3


def test_a_peer_that_cannot_be_reached_is_said_with_its_code(run, hospital: Path) -> None:
    (hospital / "tapetum.toml").write_text('[peers]\nGONE = "GONE@127.0.0.1:1"\n')
    for command in ("pull", "push"):
        ended = run(command, "GONE", "-w", hospital)
        assert (ended.status, ended.err) == ((0, "") if command == "push" else (1, ended.err))
    assert "error[peer-unreachable]" in run("pull", "GONE", "-w", hospital).err
    assert "error[not-found]" in run("pull", "NOBODY", "-w", hospital).err


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("2020", "20200101-20201231"),
        ("202002", "20200201-20200231"),
        ("2020-2022", "20200101-20221231"),
        ("2020-", "20200101-"),
        ("-202002", "-20200231"),
        ("20200131", "20200131"),
        ("", ""),
    ],
)
def test_years_and_months_are_asked_for_by_their_days(given: str, asked: str) -> None:
    from tapetum.cli.pull import _days

    assert _days(given) == asked


def test_rules_are_followed_by_work(run, hospital: Path, disk: Path) -> None:
    rule = '[[route]]\nmodality = "CT"\nproject = "lung"\nthen = ["standardise"]\n'
    (hospital / "tapetum.toml").write_text(rule)
    run("acquire", disk, "-w", hospital)
    ended = run("work", "-w", hospital, "--json")
    assert (ended.status, json.loads(ended.out)) == (0, {"done": 1, "left": []})
    assert "modality CT -> project lung, standardise" in run("config", "-w", hospital, "--json").out


def test_work_that_fails_is_listed_with_its_code(run, hospital: Path, disk: Path) -> None:
    rule = '[peers]\nGONE = "GONE@127.0.0.1:1"\n[[route]]\nthen = ["push:GONE"]\n'
    (hospital / "tapetum.toml").write_text(rule)
    run("acquire", disk, "-w", hospital)
    (left,) = json.loads(run("work", "-w", hospital, "--json").out)["left"]
    assert (left["what"], left["state"], left["problem"]) == ("push:GONE", "waiting", "peer-unreachable")
    assert "peer-unreachable" in run("work", "--again", "-w", hospital).err
