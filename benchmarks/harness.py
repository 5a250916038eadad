"""What every benchmark needs: figures that are printed and judged, CPU time of a process, the machine in words."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Figures:
    """Ratios, each with the goal it must reach. `finish` prints them, one a line, and ends the program."""

    rows: list[tuple[str, float, float]] = field(default_factory=list)

    def add(self, name: str, ratio: float, goal: float, told: str) -> None:
        """A ratio (peer by ours, or limit by ours: more is better), and in words what was measured."""
        self.rows.append((name, ratio, goal))
        print(f"  {name}: {told}", flush=True)

    def finish(self) -> None:
        """One line per figure, ``NAME ratio GOAL``; exit 1 if one falls short."""
        print(f"\n{machine()}")
        for name, ratio, goal in self.rows:
            print(f"{name} {ratio:.2f} {goal:g}{'' if ratio >= goal else '  SHORT'}")
        sys.exit(any(ratio < goal for _, ratio, goal in self.rows))


@dataclass
class Spent:
    """What a piece of work took: seconds on the clock, and CPU seconds of the processes that did it."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def spending(*pids: int) -> Iterator[Spent]:
    """Measure the block: wall time, and the CPU time of these processes (this one when none is named)."""
    spent = Spent()
    before, start = [cpu_seconds(pid) for pid in pids or (os.getpid(),)], time.perf_counter()
    yield spent
    spent.wall = time.perf_counter() - start
    spent.cpu = sum(cpu_seconds(pid) for pid in pids or (os.getpid(),)) - sum(before)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended (proc(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """Processor, cores, memory, Python."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def arguments(what: str) -> argparse.Namespace:
    """``--quick`` (under a minute) and ``--only``."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--quick", action="store_true", help="fewer objects: under a minute")
    parser.add_argument("--only", nargs="*", default=[], help="only these parts")
    return parser.parse_args()
