"""The commands: the flow as verbs. Every command is loaded when it is called, so that ``--help`` is quick.

Results go to stdout (``--json`` everywhere), talk to stderr. Exit status: 0 done, 1 failure, 2 usage, 3 done with
some inputs in the quarantine, 4 a validation gate failed, 5 permission or consent.
"""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError

from tapetum import __version__
from tapetum.errors import TapetumError

__all__ = ["app", "main"]

app = App(
    name="tapetum",
    help="A hospital's imaging archive, used a second time. For research; not a certified medical device.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
study = App(name="study", help="Run a study from its file, and look at what it found.")
COMMANDS = {
    "init": ("Make a workspace.", "tapetum init hospital"),
    "config": ("Print every setting with its value and where it comes from.", "tapetum config -w hospital"),
    "acquire": (
        "Take in files, folders and archives; names are removed on the way, and running it twice changes nothing.",
        "tapetum acquire /media/disk --mapping fundus.toml",
    ),
    "listen": (
        "Store, find and give back DICOM objects over the network, until stopped.",
        "tapetum listen --port 11112 --peer VIEWER=10.0.0.7:104",
    ),
    "pull": (
        "Take in what another archive has, by query; what is stored already is not fetched again.",
        "tapetum pull PACS --modality CT --date 2020-2022",
    ),
    "push": (
        "Send series to another archive; what it has already is not sent again.",
        "tapetum push CLOUD --modality CT",
    ),
    "work": (
        "Do what the routing rules want of series that have arrived, and list what is left or failed.",
        "tapetum work",
    ),
    "quarantine": (
        "List what could not be taken in, why, and what to do; what comes through at last leaves the list.",
        "tapetum quarantine --code truncated",
    ),
    "series": (
        "List the series of the workspace, or search them.",
        "tapetum series --modality CT --date 2020-2022 --text lung",
    ),
    "studies": ("List the studies of the workspace, or search them.", "tapetum studies --modality MR --limit 20"),
    "patients": ("List the patients of the workspace, or search them.", "tapetum patients --csv"),
    "standardise": (
        "Build every series in the unified standard, measure its quality and note what is wrong.",
        "tapetum standardise",
    ),
    "describe": ("Describe every series by the features of a recipe.", "tapetum describe radiomics --modality CT"),
    "serve": ("Serve the workspace over HTTP: store, search and retrieve with DICOMweb.", "tapetum serve --port 8042"),
    "export": (
        "Write series as NIfTI (with BIDS names, if asked), DICOM or OME-Zarr.",
        "tapetum export --modality MR --format nifti --bids --to brains",
    ),
    "verify": (
        "Read every stored object and compare it with its digest; a run that was stopped goes on where it was.",
        "tapetum verify --json",
    ),
    "repair": (
        "Make the catalogue again from the stored objects and their journal; a healthy one stays as it is.",
        "tapetum repair",
    ),
    "predict": (
        "Predict new images with a packaged model, or abstain with the reason; nothing of the images is kept.",
        "tapetum predict hospital/studies/retinopathy/model eye.jpg",
    ),
}
STUDY_COMMANDS = {
    "run": ("Run a study from its file to its report and model.", "tapetum study run retinopathy.toml"),
    "check": ("Check a study file and print what it ends up with.", "tapetum study check retinopathy.toml"),
}
for command, (sentence, example) in COMMANDS.items():
    app.command(f"tapetum.cli.{command}:{command}", name=command, help=f"{sentence}\n\nExample: {example}")
for command, (sentence, example) in STUDY_COMMANDS.items():
    study.command(f"tapetum.cli.study:{command}", name=command, help=f"{sentence}\n\nExample: {example}")
app.command(study)


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        sys.exit(app(sys.argv[1:], exit_on_error=False, result_action="return_value") or 0)
    except CycloptsError:
        sys.exit(2)  # cyclopts has printed what was wrong
    except TapetumError as error:
        sys.stderr.write(f"error[{error.code}]: {error}\n")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run the same command again to go on\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
