#!/usr/bin/env python3
"""Lists lines, branches and functions of the kernels' sources that no test reaches on the emulation.

    POLDER_COVERAGE=1 cargo test --release -p polder-compute --test kernels
    python3 kernels/emulation/coverage.py target/tmp/emulation-*-coverage.*/

Counts are summed over all that a line is compiled to: variants of a template whose branches differ in number stand one by one.
"""

import collections
import json
import pathlib
import subprocess
import sys

SOURCES = pathlib.Path(__file__).resolve().parent.parent


def main(room):
    lines, functions, branches = collections.Counter(), collections.Counter(), collections.defaultdict(list)
    for notes in sorted(room.glob("*.gcno")):
        gcov = subprocess.run(["gcov", "--branch-probabilities", "--json-format", "--stdout", notes], cwd=room, capture_output=True, check=True)
        for file in (file for text in gcov.stdout.splitlines() if text for file in json.loads(text)["files"]):
            path = (room / file["file"]).resolve()
            if SOURCES not in path.parents:
                continue
            name = str(path.relative_to(SOURCES))
            for function in file["functions"]:
                functions[name, function["start_line"], function["demangled_name"]] += function["execution_count"]
            for line in file["lines"]:
                place = name, line["line_number"]
                lines[place] += line["count"]
                counts = [branch["count"] for branch in line["branches"] if not branch["throw"]]
                branches[place, len(counts)].append(counts)
    text = {name: (SOURCES / name).read_text().splitlines() for name, _ in lines}
    for (name, line), count in sorted(lines.items()):
        source = text[name][line - 1].strip()[:120]
        if count == 0:
            print(f"{name}:{line}: never runs: {source}")
        for (place, _), variants in branches.items():
            counts = [sum(way) for way in zip(*variants)]
            if place == (name, line) and count and 0 in counts:
                print(f"{name}:{line}: ways taken {counts}: {source}")
    for (name, line, function), count in sorted(functions.items()):
        if count == 0:
            print(f"{name}:{line}: never called: {function[:200]}")


main(pathlib.Path(sys.argv[1]).resolve())
