import subprocess
import sys

import pytest

ODD = """
import sys
from pydicom import Dataset
from tapetum.protect import silence_parsers
if sys.argv[1] == "silent":
    silence_parsers()
item = Dataset()
item.add_new(0x00080060, "CS", "Miller, Anna")
from pydicom.valuerep import validate_value
from pydicom import config
validate_value("CS", "Miller, Anna", config.WARN)
config.logger.error("Invalid value Miller")
"""


@pytest.mark.parametrize(("how", "heard"), [("silent", False), ("loud", True)])
def test_a_name_in_an_odd_value_is_not_heard(how: str, heard: bool) -> None:
    run = subprocess.run([sys.executable, "-c", ODD, how], capture_output=True, text=True, check=True)
    assert ("Miller" in run.stderr) is heard
