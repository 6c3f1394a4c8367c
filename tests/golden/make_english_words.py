#!/usr/bin/env python3
"""Makes crates/polder-text/lists/english_words.txt: what the quality rules' `datatrove` dialect knows about characters and words.

    python3 tests/golden/make_english_words.py

Needs the packages spacy (its blank English pipeline, MIT) and datatrove (Apache-2.0); both are asked, none of their code is taken.
A line of the result is one of
    class NAME FIRST-LAST …   characters of a class, as hexadecimal code points
    unit WORD …               what ends a token when it stands behind a digit
    split WORD PART …         a word that is no single token, or that affixes must leave alone, and its tokens
"""

import pathlib
import re
import sys
import unicodedata

import spacy
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION
from spacy.lang import char_classes
from spacy.pipeline import Sentencizer
from spacy.symbols import ORTH

CHARACTERS = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i <= 0xDFFF]


def main() -> None:
    tokenizer = spacy.blank("en").tokenizer

    def one_of(members: str):
        pattern = re.compile(f"[{members}]")
        return lambda c: pattern.match(c) is not None

    quotes, punct = char_classes.CONCAT_QUOTES, char_classes.PUNCT
    classes = {
        "alpha": one_of(char_classes.ALPHA),
        "lower": one_of(char_classes.ALPHA_LOWER),
        "upper": one_of(char_classes.ALPHA_UPPER),
        "icon": one_of(char_classes.CONCAT_ICONS),
        "quote": one_of(quotes),
        "prefix": lambda c: c not in "+." and tokenizer.find_prefix(c + "Q") == 1,
        "suffix": lambda c: c != "." and tokenizer.find_suffix("Q" + c) == 1,
        "currency": one_of("".join(c for c in char_classes.LIST_CURRENCY if len(c.lstrip("\\")) == 1)),
        "before_stop": one_of(rf"0-9{char_classes.ALPHA_LOWER}%²\-\+{punct}(?:{quotes})"),
        "letter": str.isalpha,
        "numeric": str.isnumeric,
        "digit": str.isdigit,
        "punctuation": lambda c: unicodedata.category(c).startswith("P"),
        "sentence_end": set(Sentencizer.default_punct_chars).__contains__,
        "terminal": set(TERMINAL_PUNCTUATION).__contains__,
        "symbol": set(PUNCTUATION_SET).__contains__,
    }
    lines = ["# Made by tests/golden/make_english_words.py; what the lines mean stands there."]
    for name, is_member in classes.items():
        lines.append(f"class {name} " + " ".join(ranges([ord(c) for c in CHARACTERS if is_member(c)])))
    lines.append("unit " + " ".join(u for u in char_classes.LIST_UNITS if u))
    for word, parts in sorted(tokenizer.rules.items()):
        if word.strip() == word and word:
            lines.append(" ".join(["split", word] + [p[ORTH] for p in parts]))
    target = pathlib.Path(__file__).resolve().parents[2] / "crates/polder-text/lists/english_words.txt"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ranges(points: list[int]):
    first = last = None
    for point in points + [None]:
        if first is not None and point != last + 1:
            yield f"{first:x}" if first == last else f"{first:x}-{last:x}"
            first = None
        if first is None:
            first = point
        last = point


main()
