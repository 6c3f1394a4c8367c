#!/usr/bin/env python3
"""Makes crates/polder-text/lists/licenses.txt: hashes of three-word runs of well-known licence texts.

    python3 tests/golden/make_license_fingerprints.py FOLDER

FOLDER holds the files of github.com/github/choosealicense.com `_licenses/` (front matter with `spdx-id`, then the text).
A line of the result is the SPDX identifier, the number of distinct runs, and the smallest KEPT of their hashes. No wording is kept.
The hashing mirrors words.rs and each_shingle in minhash.rs.
"""

import pathlib
import re
import sys

# The GNU family's texts are the same for "only" and "or later"; the text alone grants no later version.
GNU = {"AGPL-3.0", "GPL-2.0", "GPL-3.0", "LGPL-2.1", "LGPL-3.0", "GFDL-1.3"}
KEPT = 128
NGRAM = 3
MASK = (1 << 64) - 1
ROLL = 0x9E3779B97F4A7C15


def mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def word_hash(word: str) -> int:
    h = 0xCBF29CE484222325
    for b in word.lower().encode():
        h = ((h ^ b) * 0x100000001B3) & MASK
    return h


def shingles(text: str) -> set[int]:
    hashes = [mix(word_hash(w)) for w in re.findall(r"[^\W_]+", text)]
    out = set()
    for i in range(len(hashes) - NGRAM + 1):
        rolling = 0
        for h in hashes[i : i + NGRAM]:
            rolling = (rolling * ROLL + h) & MASK
        out.add(mix(rolling) >> 32)
    return out


def main() -> None:
    rows = []
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.txt")):
        parts = path.read_text(encoding="utf-8").split("---\n", 2)
        spdx = re.search(r"^spdx-id: (\S+)$", parts[1], re.M) if len(parts) == 3 else None
        if spdx is None:
            continue
        # Names and years stand on the copyright line: it differs in every copy.
        body = "\n".join(line for line in parts[2].splitlines() if not re.match(r"\s*copyright( \(c\))? \[", line, re.I))
        body = re.sub(r"\[[a-z ]+\]", " ", body)
        found = shingles(body)
        kept = " ".join(f"{h:08x}" for h in sorted(found)[:KEPT])
        name = spdx[1] + "-only" if spdx[1] in GNU else spdx[1]
        rows.append(f"{name} {len(found)} {kept}")
    head = "# Made by tests/golden/make_license_fingerprints.py; edit the script, not this file.\n"
    target = pathlib.Path(__file__).resolve().parents[2] / "crates/polder-text/lists/licenses.txt"
    target.write_text(head + "\n".join(sorted(rows)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
