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
)
study = App(name="study", help="Run a study from its file, and look at what it found.")
for command in ("init", "config", "acquire", "quarantine", "series", "standardise", "describe", "predict"):
    app.command(f"tapetum.cli.{command}:{command}", name=command)
study.command("tapetum.cli.study:run", name="run")
study.command("tapetum.cli.study:check", name="check")
app.command(study)


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        sys.exit(app(exit_on_error=False, result_action="return_value") or 0)
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
