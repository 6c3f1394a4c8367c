#!/usr/bin/env python3
"""Makes crates/polder-text/lists/profanity_{en,de}.txt from the LDNOOBW word lists (CC BY 4.0).

    python3 tests/golden/make_profanity_lists.py FOLDER

FOLDER holds the files `en` and `de` of github.com/LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words.
A line of the result is a weight, a tab and a term. Terms in AMBIGUOUS have an innocent use that is common in
technical or everyday text and weigh 0.25; terms in DROPPED have mostly that use, or don't survive splitting into words.
German terms with umlauts or ß also appear in the spelling without.
"""

import pathlib
import sys

AMBIGUOUS = {
    "en": """anal anus ass bareback bastard bondage boner breasts bullet vibe busty butt camgirl cialis cock cocks coon coons
        cornhole cum darkie dick domination ecchi ejaculation erotic escort eunuch fecal fingering genitals grope guro hooker humping
        incest intercourse kinky lolita male squirting menage a trois mong negro nipple nipples nude nudity orgasm orgy panties panty
        pegging penis poof porno pornography playboy pubes rape raping rapist rectum rimming sadism scat schlong semen sex sexual
        sexually sexuality sexy snatch snowballing spastic spic spunk strap on suck sucks swastika swinger threesome tit topless
        tosser twink undressing vagina viagra vibrator voyeur vulva white power porn nsfw hentai""",
    "de": "bimbo bratze bonze fick kacke lümmel milf möse mufti muschi nackt neger nippel orgasmus penis pinkeln popel porno schabracke scheiße",
}
DROPPED = {
    "en": {
        "s&m", "🖕", "xx", "hard core", "hardcore", "big black", "how to kill", "how to murder", "huge fat", "tied up", "taste my",
        "tight white", "girl on", "make me come", "jack off", "hot chick", "jelly donut", "skeet", "poon", "santorum", "twinkie",
        "tongue in a", "bastardo", "dvda", "figging", "beaver cleaver", "style doggy", "tainted love", "mr hands", "octopussy",
        "prince albert piercing", "g-spot", "dog style", "babeland", "scissoring", "throating", "yaoi", "xxx",
    },
    "de": {"rosette", "kimme", "ische", "schiesser", "poppen"},
}
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def main() -> None:
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(__file__).resolve().parents[2] / "crates/polder-text/lists"
    target.mkdir(parents=True, exist_ok=True)
    for language in ("en", "de"):
        ambiguous = " ".join(AMBIGUOUS[language].split())
        terms = {}
        for line in (source / language).read_text(encoding="utf-8").splitlines():
            term = line.strip().lower()
            if not term or term in DROPPED[language]:
                continue
            weight = "0.25" if f" {term} " in f" {ambiguous} " else "1"
            for spelling in {term, term.translate(UMLAUTS)} if language == "de" else {term}:
                terms[spelling] = weight
        head = [
            "# Made by tests/golden/make_profanity_lists.py; edit the script, not this file.",
            "# From LDNOOBW's List of Dirty, Naughty, Obscene and Otherwise Bad Words, CC BY 4.0, with weights added.",
        ]
        lines = head + [f"{weight}\t{term}" for term, weight in sorted(terms.items())]
        (target / f"profanity_{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
