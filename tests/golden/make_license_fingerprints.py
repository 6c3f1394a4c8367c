#!/usr/bin/env python3
"""Makes crates/polder-text/lists/licenses.txt and spdx.txt: fingerprints of licence texts, and the identifiers there are.

    python3 tests/golden/make_license_fingerprints.py SPDX CHOOSE

SPDX is the unpacked package `spdx` of crates.io: `src/text/licenses/ID` holds the texts of the SPDX licence list,
`src/identifiers.rs` the names. CHOOSE holds the files of github.com/github/choosealicense.com `_licenses/`: of the licences whose
text there is another (in another language, or without the licence that it builds on) both are kept. No wording is kept. A line of licenses.txt is an identifier, the number of distinct three-word
runs of its text, and 30 bits of the hashes of some of them, five characters each: the smallest (so that two licences are
sampled alike), and of each pair of similar licences some that only one of the two has.
The hashing mirrors words.rs and each_shingle in minhash.rs.
"""

import pathlib
import re
import sys

# The GNU family's texts are the same for "only" and "or later"; the text alone grants no later version.
GNU = re.compile(r"(AGPL|GPL|LGPL|GFDL)-[\d.]+$")
# Too general to be told by their words, no licences, or another's text with an exception that has its own name.
LEFT_OUT = re.compile(r"NOASSERTION|any-OSI.*|GPL-.*-with-.*|.*GPL-[\d.]+\+|Unlicense-lib.*|BSD-2-Clause-(FreeBSD|NetBSD)|X11-swapped|StandardML-NJ|Nunit|Net-SNMP|eCos-2.0|wxWindows|bzip2-1.0.5")
# Runs of a text below which every one is kept, and how many are kept of longer ones.
ALL_KEPT, KEPT = 160, 96
# Runs that are kept because a similar licence lacks them, for each such licence.
DISTINCT = 8
SIMILAR = 0.4
# The share of a text's runs below which another text of the same licence has its own line.
ANOTHER = 0.8
RUNS_MIN = 20
NGRAM = 3
MASK = (1 << 64) - 1
ROLL = 0x9E3779B97F4A7C15
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"


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
    # Scripts without spaces give a word a character.
    alone = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    hashes = [mix(word_hash(w)) for w in re.findall(rf"[{alone}]|[^\W_{alone}]+", text)]
    out = set()
    for i in range(len(hashes) - NGRAM + 1):
        rolling = 0
        for h in hashes[i : i + NGRAM]:
            rolling = (rolling * ROLL + h) & MASK
        out.add(mix(rolling) >> 34)
    return out


def body(text: str) -> str:
    """The wording without what differs in every copy: names, years, placeholders."""
    text = text.removeprefix('r#"').removesuffix('"#')
    lines = [line for line in text.splitlines() if not re.match(r"\W*(portions )?copyright\W*(\(c\)|©|\d|<|\[)", line, re.I)]
    return re.sub(r"<[^<>\n]{1,60}>|\[[a-z ]{1,40}\]", " \n", "\n".join(lines))


def encoded(hash30: int) -> str:
    return "".join(DIGITS[(hash30 >> shift) & 63] for shift in (24, 18, 12, 6, 0))


def other_texts(folder: pathlib.Path, runs: dict[str, set[int]]) -> dict[str, set[int]]:
    found = {}
    for path in sorted(folder.glob("*.txt")):
        parts = path.read_text(encoding="utf-8").split("---\n", 2)
        spdx = re.search(r"^spdx-id: (\S+)$", parts[1], re.M) if len(parts) == 3 else None
        if spdx:
            mine, theirs = shingles(body(parts[2])), runs.get(spdx[1], set())
            if len(mine & theirs) < ANOTHER * len(theirs):
                found[spdx[1] + "/other"] = mine
    return found


def fingerprints(folder: pathlib.Path, other: pathlib.Path) -> list[str]:
    runs = {}
    for path in sorted(folder.iterdir()):
        found = shingles(body(path.read_text(encoding="utf-8")))
        if len(found) >= RUNS_MIN and not LEFT_OUT.fullmatch(path.name):
            runs[path.name] = found
    runs |= other_texts(other, runs)
    rows = []
    for name, mine in runs.items():
        in_order = sorted(mine)
        kept = set(in_order if len(mine) <= ALL_KEPT else in_order[:KEPT])
        for other, theirs in runs.items():
            common = len(mine & theirs)
            if other.split("/")[0] == name.split("/")[0] or common < SIMILAR * min(len(mine), len(theirs)):
                continue
            only = [h for h in in_order if h not in theirs]
            missing = DISTINCT - sum(h not in theirs for h in kept)
            kept.update([h for h in only if h not in kept][: max(missing, 0)])
        name = name.split("/")[0]
        spdx = name + "-only" if GNU.match(name) else name
        rows.append(f"{spdx} {len(mine)} {''.join(map(encoded, sorted(kept)))}")
    return sorted(rows)


def identifiers(source: str) -> list[str]:
    licenses, exceptions = source.split("pub const EXCEPTIONS", 1)
    rows = []
    for part, kind in ((licenses, "license"), (exceptions, "exception")):
        for name, flags in re.findall(r'name: "([^"]+)",.*?flags: ([^\n]+),', part, re.S):
            if name != "NOASSERTION":
                rows.append(f"{name} {kind}{' deprecated' if 'DEPRECATED' in flags else ''}")
    return sorted(rows)


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) / "src"
    lists = pathlib.Path(__file__).resolve().parents[2] / "crates/polder-text/lists"
    head = "# Made by tests/golden/make_license_fingerprints.py; edit the script, not this file.\n"
    made = {
        "licenses.txt": fingerprints(folder / "text/licenses", pathlib.Path(sys.argv[2])),
        "spdx.txt": identifiers((folder / "identifiers.rs").read_text(encoding="utf-8")),
    }
    for name, rows in made.items():
        (lists / name).write_text(head + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
