#!/usr/bin/env python3
"""Compares the quality rules with the tools whose dialects they speak, document by document.

    POLDER_QUALITY_DOCUMENTS=DOCUMENTS.jsonl cargo bench --profile release -p polder-text --bench quality -- figures > FIGURES.jsonl
    python3 tests/golden/check_quality.py DOCUMENTS.jsonl FIGURES.jsonl [DCLM]

    python3 tests/golden/check_quality.py expected DATA EXPECTED.jsonl [DCLM]

The second form writes what tools answer for the test data of Dolma and of the Data Prep Kit (DATA/peer_dolma, DATA/peer_dpk), and what the
latter published as expected, for `cargo xtask score` to read as DATA/peer_quality/expected.jsonl; it needs pyarrow too.

DOCUMENTS.jsonl has a field `text` a line. Packages: datatrove[processing], spacy, regex, tqdm; dolma and nemo-curator are asked where they
can be imported; DCLM is the folder of its repository, with uniseg, fasttext and nltk. Prints, per rule set and dialect, on how many documents
verdict and reason agree, and on how many each figure does (to 1e-9), with the first documents that differ.
"""

import collections
import gzip
import json
import pathlib
import sys

TOP, DUPLICATE = range(2, 5), range(5, 11)


def main() -> None:
    if sys.argv[1] == "expected":
        expect(pathlib.Path(sys.argv[2]), all_tools(sys.argv[4] if len(sys.argv) > 4 else None), sys.argv[3])
        return
    with open(sys.argv[1], encoding="utf-8") as documents, open(sys.argv[2], encoding="utf-8") as figures:
        rows = [(json.loads(d)["text"], json.loads(f)) for d, f in zip(documents, figures)]
    for name, tool in all_tools(sys.argv[3] if len(sys.argv) > 3 else None).items():
        n, asked, same, first = 0, collections.Counter(), collections.Counter(), {}
        for i, (text, ours) in enumerate(rows):
            theirs = tool(text)
            if theirs is None:
                continue
            n += 1
            for key, value in theirs.items():
                agrees = equal(ours[name][key], value)
                asked[key] += 1
                same[key] += agrees
                if not agrees:
                    first.setdefault(key, []).append((i, ours[name][key], value))
        print(f"{name}: {n} documents; " + ", ".join(f"{key} {same[key] / asked[key]:.2%}" for key in sorted(asked)))
        for key, differing in first.items():
            for i, ours, theirs in differing[:3]:
                print(f"    {key} of document {i}: {str(ours)[-80:]!r}, the tool has {str(theirs)[-80:]!r}")


def all_tools(dclm_folder):
    tools = dict(datatrove())
    for add in (dolma, curator, lambda: dclm(dclm_folder)):
        try:
            tools.update(add())
        except ImportError as e:
            print(f"not compared: {e!r}")
    return tools


def expect(data: pathlib.Path, tools: dict, target: str) -> None:
    from pyarrow import parquet

    published = {"line_punct_ratio": "frac_line_punct", "short_line_ratio": "short_line_frac", "char_dup_ratio": "dup_line_char_frac"}
    annotated = parquet.read_table(data / "peer_dpk/universal/fineweb_quality_annotator/expected/test1.parquet").to_pylist()
    rows = [(r["text"], {"fineweb_quality/dpk": {ours: r[theirs] for ours, theirs in published.items()}}) for r in annotated]
    lines = {"mean_line_length": "line_mean", "max_line_length": "line_max", "n_lines": "total_num_lines", "alphanumeric_share": "alphanum_frac"}
    for name in ("sample_1", "sample_2"):
        for row in parquet.read_table(data / f"peer_dpk/code/code_quality/expected/{name}.parquet").to_pylist():
            rows.append((row["contents"], {"code_quality/dpk": {ours: row[theirs] for ours, theirs in lines.items()}}))
    texts = [r["text"] for r in annotated]
    for name in ("extreme_tokenized/expected/test1", "enrichment/expected/1", "enrichment/expected/2"):
        texts += parquet.read_table(data / f"peer_dpk/language/{name}.parquet")["text"].to_pylist()
    for file in sorted((data / "peer_dolma/data").rglob("*.json*")):
        if file.parent.name in ("multiple_files", "documents", "pathnotd0cumentz") and file.suffix in (".jsonl", ".gz"):
            with (gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else open(file, encoding="utf-8")) as lines:
                texts += [json.loads(line)["text"] for line in lines]
    rows += [(text, {name: answer for name, tool in tools.items() if (answer := tool(text)) is not None}) for text in dict.fromkeys(texts)]
    with open(target, "w", encoding="utf-8") as out:
        for text, expected in rows:
            out.write(json.dumps({"text": text, "expected": expected}) + "\n")


def equal(ours, theirs) -> bool:
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if isinstance(theirs, float):
        return abs(ours - theirs) < 1e-9
    return ours == theirs


def datatrove():
    from datatrove.data import Document
    from datatrove.pipeline import filters
    from datatrove.pipeline.filters import gopher_repetition_filter as repetition
    from datatrove.utils.text import PUNCTUATION_SET, split_into_words

    def verdict(tool, text: str):
        document = Document(text=text, id="0")
        answer = tool.filter(document)
        return {"reason": answer[1] if isinstance(answer, tuple) else None}, document.text

    gopher, repeated = filters.GopherQualityFilter(), filters.GopherRepetitionFilter()

    def gopher_quality(text: str):
        words = split_into_words(text)
        real = [w for w in words if any(c not in PUNCTUATION_SET for c in w)]
        figures = {"n_words": len(real)}
        if real:
            figures["mean_word_length"] = sum(map(len, real)) / len(real)
            figures["alphabetic_share"] = sum(any(map(str.isalpha, w)) for w in words) / len(words)
            figures["n_stop_words"] = len(gopher.stop_words & set(words))
        return verdict(gopher, text)[0] | figures

    def gopher_repetition(text: str):
        answer = verdict(repeated, text)[0]
        if not text:
            return answer
        paragraphs = repetition.find_duplicates(repeated.paragraph_exp.split(text.strip()))
        lines, words = repeated._line_splitter.split(text), split_into_words(text)
        answer["paragraph_chars"] = paragraphs[1] / len(text)
        answer["lines"], answer["line_chars"] = (a / b for a, b in zip(repetition.find_duplicates(lines), (len(lines), len(text))))
        grams = (repetition.get_n_grams(words, n) for n in TOP)
        answer["top"] = [repetition.find_top_duplicate(g) / len(text) if g else 0.0 for g in grams]
        answer["duplicate"] = [repetition.find_all_duplicate(words, n) / len(text) for n in DUPLICATE]
        return answer

    def c4(**options):
        tool = filters.C4QualityFilter(**options)

        def answer(text: str):
            answer, left = verdict(tool, text)
            return answer | ({"text": left} if answer["reason"] is None else {})

        return answer

    fineweb = filters.FineWebQualityFilter()
    yield "gopher_quality/datatrove", gopher_quality
    yield "gopher_repetition/datatrove", gopher_repetition
    yield "c4_quality/datatrove", c4()
    yield "c4_quality/fineweb", c4(filter_no_terminal_punct=False)
    yield "fineweb_quality/datatrove", lambda text: verdict(fineweb, text)[0]


def dolma():
    from dolma.taggers import c4, gopher

    def gopher_quality(text: str):
        a = gopher.get_attributes(text)
        return {
            "n_words": a.word_count,
            "mean_word_length": a.median_word_length,
            "symbol_share": a.symbol_to_word_ratio,
            "alphabetic_share": a.fraction_of_words_with_alpha_character,
            "n_stop_words": a.required_word_count,
            "bullet_lines_share": a.fraction_of_lines_starting_with_bullet_point,
            "ellipsis_lines_share": a.fraction_of_lines_ending_with_ellipsis,
        }

    def gopher_repetition(text: str):
        a = gopher.get_attributes(text)
        top, duplicate = dict(a.fraction_of_characters_in_most_common_ngram), dict(a.fraction_of_characters_in_duplicate_ngrams)
        return {
            "lines": a.fraction_of_duplicate_lines,
            "line_chars": a.fraction_of_characters_in_duplicate_lines,
            "top": [float(top.get(n, 0)) for n in TOP],
            "duplicate": [float(duplicate.get(n, 0)) for n in DUPLICATE],
        }

    def c4_quality(text: str):
        a = c4.get_attributes(text)
        gone = {i for span in a.lines_with_no_ending_punctuation + a.lines_with_too_few_words for i in range(span.start, span.end)}
        return {"n_lines": a.line_count, "text": "".join(c for i, c in enumerate(text) if i not in gone)}

    return {"gopher_quality/dolma": gopher_quality, "gopher_repetition/dolma": gopher_repetition, "c4_quality/dolma": c4_quality}


def curator():
    from nemo_curator.stages.text.filters.heuristic import repetition, string

    quality = {
        "n_words": string.WordCountFilter(),
        "mean_word_length": string.MeanWordLengthFilter(),
        "symbol_share": string.SymbolsToWordsFilter(),
        "alphabetic_share": string.WordsWithoutAlphabetsFilter(),
        "n_stop_words": string.CommonEnglishWordsFilter(),
        "bullet_lines_share": string.BulletsFilter(),
        "ellipsis_lines_share": string.EllipsisFilter(),
    }
    left = {
        "lines": repetition.RepeatedLinesFilter(),
        "paragraphs": repetition.RepeatedParagraphsFilter(),
        "line_chars": repetition.RepeatedLinesByCharFilter(),
        "paragraph_chars": repetition.RepeatedParagraphsByCharFilter(),
    }
    duplicate = [repetition.RepeatingDuplicateNGramsFilter(n) for n in DUPLICATE]
    for tool in [*quality.values(), *left.values(), *duplicate]:
        tool._sentences = tool._paragraphs = tool._ngrams = None

    def gopher_quality(text: str):
        return {name: tool.score_document(text) for name, tool in quality.items()} if text.strip() else None

    # Its most frequent n-gram is any of several, by Python's order of sets: not compared.
    def gopher_repetition(text: str):
        if not text.strip():
            return None
        shares = {name: 1 - tool.score_document(text) for name, tool in left.items()}
        return shares | {"duplicate": [float(tool.score_document(text)) for tool in duplicate]}

    return {"gopher_quality/curator": gopher_quality, "gopher_repetition/curator": gopher_repetition}


def dclm(folder):
    sys.path.insert(0, folder or ".")
    from baselines.mappers import modifiers as m
    from baselines.mappers.filters import content_filters as f

    quality = [
        (f.page_length_filter, {"length_type": "word", "min_length": 50, "max_length": 100000, "ignore_punctuation": True}),
        (f.word_length_filter, {"min_length": 3, "max_length": 10}),
        (f.symbol_ratio_filter, {}),
        (f.bullet_count_filter, {}),
        (f.ellipsis_count_filter, {}),
        (f.alphabetic_word_ratio_filter, {}),
        (f.stop_word_filter, {}),
    ]
    limits = [(n, limit, f"{n}_grams") for n, limit in zip(range(2, 11), (0.2, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10))]
    pieces = [("line", 0.3, False, "line"), ("paragraph", 0.3, False, "paragraph")]
    pieces += [("line", 0.2, True, "line_characters"), ("paragraph", 0.2, True, "paragraph_characters")]
    repetition = [(f.repetition_filter, {"granularity": g, "max_fraction": x, "count_characters": c}, f"repetition_filter_{n}") for g, x, c, n in pieces]
    repetition += [(f.repetition_filter, {"granularity": g, "max_fraction": x}, f"repetition_filter_{n}") for g, x, n in limits]
    short = {"max_length": 10, "remove_substring_only": True}
    lines = [
        (m.uppercase_ratio_line_modifier, {"max_ratio": 0.5}),
        (m.numeric_ratio_line_modifier, {"max_ratio": 0.999999}),
        (m.counter_line_modifier(), {}, "counter_line_modifier"),
        (m.line_length_modifier, {"min_length": 2}),
        (m.substring_line_modifier("items in cart", **short), {}, "substring_line_modifier"),
        (m.substring_line_modifier("Read more...", location="suffix", **short), {}, "substring_line_modifier"),
        (m.substring_line_modifier("Sign-in", location="prefix", **short), {}, "substring_line_modifier"),
        (f.word_removal_ratio_filter, {"prev_word_count_key": "n"}),
    ]

    def run(steps, page):
        for step, options, *name in steps:
            if not step(page, **options):
                return name[0] if name else step.__name__
        return None

    def refinedweb(text: str):
        page = m.newline_removal_modifier(max_consecutive=2)({"text": text})[0]
        page["n"] = len(f.split_words(page["text"], ignore_punctuation=True))
        answer = {"n_words": page["n"], "reason": run(quality + repetition + lines, page)}
        return answer | ({"text": page["text"]} if answer["reason"] is None else {})

    return {
        "gopher_quality/dclm": lambda text: {"reason": run(quality, {"text": text})},
        "gopher_repetition/dclm": lambda text: {"reason": "empty" if not text else run(repetition, {"text": text})},
        "refinedweb_quality/dclm": refinedweb,
    }


main()
