"""Compares polder-tokenizer with the references on tokenizer files of every format, read and written.

usage: check_tokenizer_files.py TOKENIZE LLAMACPP GPT2 [RANKS]
  TOKENIZE  the program built by `cargo build --release -p polder-tokenizer --example tokenize`
  LLAMACPP  folder with ggml-vocab-*.gguf and their .inp and .out, from llama.cpp's models/
  GPT2      folder with vocab.bpe, encoder.json and gpt2_tokenizer.json
  RANKS     folder with *.tiktoken files, as tiktoken-rs has under assets/
needs: pip install tokenizers transformers tiktoken gguf (0.23.3, 5.x, 0.14, 0.19 were used)
Prints what was compared; any difference ends it with status 1.
"""

import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TOKENIZE, LLAMACPP, GPT2 = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
RANKS = pathlib.Path(sys.argv[4]) if len(sys.argv) > 4 else None
TMP = pathlib.Path(tempfile.mkdtemp())


def run(arguments, lines=()):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([TOKENIZE, *map(str, arguments)], input=text, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{arguments}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def texts():
    found = (LLAMACPP / "ggml-vocab-gpt-2.gguf.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    rng = random.Random(7)
    alphabet = list("aeiotnshrdl ABC'’.,!?-_\n\r\t 0123456789") + ["  ", "\r\n", "'s", "'LL", "don't", "中", "文", "é", "e\u0301", "éé", " éé", "ab.", " ab. ", "e\u0301.", "ß", "ſ", "²", "½"]
    alphabet += ["\u00a0", "\u3000", "\u200b", "\u200d", "🚀", "👨‍👩‍👧", "\ufffd", "\x00", "\x7f", "َ", "ก็", "한", "日本", "<|endoftext|>", "<s>", "</s>"]
    for _ in range(400):
        found.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 60))))
    found += ["", " ", "  ", "\n", "a" * 3000, " " * 3000, "ab" * 500 + "!" * 500]
    for path in sorted(pathlib.Path(__file__).parent.parent.rglob("*.rs"))[:6]:
        found.append(path.read_text(encoding="utf-8"))
    return found


TEXTS = texts()


def theirs_of(path, special=False):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = not special
    return tokenizer


def same(name, ours, theirs, texts=TEXTS):
    for text, a, b in zip(texts, ours, theirs, strict=True):
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            sys.exit(f"{name}: {text[:120]!r}\n  at {at}\n  ours   {a[max(0, at - 3):at + 6]}\n  theirs {b[max(0, at - 3):at + 6]}")
    print(f"{name}: {len(texts)} texts agree, {sum(map(len, ours))} ids or letters")


def compare(name, path, theirs_path=None, decode=True):
    """Our reading of `path` with the reference's of `theirs_path`, text as text and special tokens found, and back."""
    theirs = theirs_of(theirs_path or path)
    ours = run(["encode", path], TEXTS)
    same(name, ours, [theirs.encode(t, add_special_tokens=False).ids for t in TEXTS])
    allowed = theirs_of(theirs_path or path, special=True)
    same(f"{name}, special tokens found", run(["encode-special", path], TEXTS), [allowed.encode(t, add_special_tokens=False).ids for t in TEXTS])
    if decode:
        same(f"{name}, decoded", run(["decode", path], ours), [theirs.decode(ids, skip_special_tokens=False) for ids in ours])


def written(name, path, prefix=()):
    """What we write for `path`, read by the reference and by us, gives what we gave."""
    ours = run([*prefix, "encode", path], TEXTS)
    out = TMP / "tokenizer.json"
    run([*prefix, "export", path, "json", out])
    theirs = theirs_of(out)
    same(f"{name}, written as tokenizer.json", ours, [theirs.encode(t, add_special_tokens=False).ids for t in TEXTS])
    same(f"{name}, written and read again", run(["encode", out], TEXTS), ours)
    return out


def golden_vectors():
    inputs = (LLAMACPP / "ggml-vocab-gpt-2.gguf.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    for out in sorted(LLAMACPP.glob("*.out")):
        expected = [[int(n) for n in line.split()] for line in out.read_text().split("\n")[: len(inputs)]]
        same(f"{out.name}", run(["encode", out.with_suffix("")], inputs), expected, inputs)


def gguf_files():
    import gguf

    for path in sorted(LLAMACPP.glob("*.gguf")):
        written(path.name, path)
        reader = gguf.GGUFReader(path)
        if reader.fields["tokenizer.ggml.model"].contents() != "gpt2":
            continue
        out = TMP / "written.gguf"
        run(["export", path, "gguf", out])
        again = gguf.GGUFReader(out)
        for key in ("model", "pre", "tokens", "token_type", "merges"):
            key = f"tokenizer.ggml.{key}"
            if key.endswith("pre") and path.name == "ggml-vocab-mpt.gguf":
                continue  # The same splitting, by its first name.
            if again.fields[key].contents() != reader.fields[key].contents():
                sys.exit(f"{path.name}: {key} is written otherwise")
        same(f"{path.name}, written as GGUF", run(["encode", out], TEXTS), run(["encode", path], TEXTS))
        print(f"{path.name}: `gguf` reads back what was written")


def gpt2():
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    ranks = data_gym_to_mergeable_bpe_ranks(str(GPT2 / "vocab.bpe"), str(GPT2 / "encoder.json"))
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
    theirs = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
    pair = TMP / "pair"
    pair.mkdir()
    for name in ("vocab.bpe", "encoder.json"):
        (pair / name).write_bytes((GPT2 / name).read_bytes())
    for path in (GPT2 / "gpt2_tokenizer.json", pair, pair / "vocab.bpe"):
        same(f"{path.name} with tiktoken", run(["encode", path], TEXTS), [theirs.encode_ordinary(t) for t in TEXTS])
        same(f"{path.name} with tiktoken, all allowed", run(["encode-special", path], TEXTS), [theirs.encode(t, allowed_special="all") for t in TEXTS])
    compare("gpt2_tokenizer.json", GPT2 / "gpt2_tokenizer.json")
    written("vocab.bpe", pair)
    run(["export", pair, "vocab-bpe", TMP / "pair2"])
    if (TMP / "pair2/vocab.bpe").read_text().strip() != (GPT2 / "vocab.bpe").read_text().strip():
        sys.exit("vocab.bpe is written otherwise")
    if json.loads((TMP / "pair2/encoder.json").read_text()) != json.loads((GPT2 / "encoder.json").read_text()):
        sys.exit("encoder.json is written otherwise")
    run(["export", pair, "ranks", TMP / "gpt2.tiktoken"])
    if tiktoken.load.load_tiktoken_bpe(str(TMP / "gpt2.tiktoken")) != ranks:
        sys.exit("the rank file is written otherwise")
    print("vocab.bpe, encoder.json and the rank file are written as they were")


def patterns():
    """GPT-2's vocabulary behind other splittings."""
    base = json.loads((GPT2 / "gpt2_tokenizer.json").read_text())
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    gpt2_level = dict(level, use_regex=True)
    split = lambda e, behavior="Isolated", invert=False: {"type": "Split", "pattern": {"Regex": e}, "behavior": behavior, "invert": invert}
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    o200k = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    sequences = {
        "Llama 3": [split(llama3), level],
        "Llama 3, inverted": [split(llama3, "Removed", True), level],
        "Qwen 2": [split(llama3.replace("{1,3}", "")), level],
        "o200k": [split(o200k), level],
        "starcoder": [{"type": "Digits", "individual_digits": True}, gpt2_level],
        "digits in runs": [{"type": "Digits", "individual_digits": False}, gpt2_level],
        "falcon": [{"type": "Punctuation", "behavior": "Contiguous"}, gpt2_level, {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")],
        "deepseek": [split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), {"type": "Digits", "individual_digits": True}, level],
        "prefix": gpt2_level | {"add_prefix_space": True},
        "whole text": level,
        "a text": [{"type": "Split", "pattern": {"String": "a."}, "behavior": "MergedWithNext", "invert": False}, level],
        "merged": [split(r"[aeo]", "MergedWithPrevious"), level],
    }
    for name, steps in sequences.items():
        file = json.loads(json.dumps(base))
        file["pre_tokenizer"] = steps if isinstance(steps, dict) else {"type": "Sequence", "pretokenizers": steps}
        for variant in ("plain", "NFC, whole words, template, added"):
            if variant != "plain":
                file["normalizer"] = {"type": "NFC"}
                # Where a piece may be a whole control token, the reference gives it with whole words first; we never do.
                file["model"]["ignore_merges"] = name not in ("whole text", "a text", "merged")
                file["post_processor"] = processors_json()
                flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=True, special=False)
                file["added_tokens"] += [
                    dict(flags, id=50257, content="don't"),
                    dict(flags, id=50258, content="\u00e9\u00e9", normalized=False, lstrip=True),
                    dict(flags, id=50259, content="ab.", single_word=True),
                    dict(flags, id=50260, content="<s>", special=True, normalized=False, rstrip=True),
                    dict(flags, id=50261, content="  ", normalized=False),
                    dict(flags, id=50262, content="e\u0301."),
                ]
            path = TMP / "pattern.json"
            path.write_text(json.dumps(file))
            # The reference's byte-level decoder takes the letters of added tokens for bytes; ours gives their text.
            compare(f"{name}, {variant}", path, decode=variant == "plain")
            out = written(f"{name}, {variant}", path)
            ours, theirs = theirs_of(out, True), theirs_of(path, True)
            same(f"{name}, {variant}, template", [ours.encode(t).ids for t in TEXTS], [theirs.encode(t).ids for t in TEXTS])
    transformers(out)


def processors_json():
    special = lambda: {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    template = {"type": "TemplateProcessing", "single": [special(), a], "pair": [special(), a, special(), b]}
    template["special_tokens"] = {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [50256], "tokens": ["<|endoftext|>"]}}
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    return {"type": "Sequence", "processors": [level, template]}


def transformers(path):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path), split_special_tokens=True)
    same("transformers", run(["encode", path], TEXTS), [tokenizer.encode(t, add_special_tokens=False) for t in TEXTS])


def characters():
    """WordPiece, Unigram and BPE over characters with many kinds of steps, trained on the texts."""
    specials = ["[UNK]", "[CLS]", "[SEP]", "<unk>", "<s>", "</s>"]
    n = normalizers
    byte_tokens = [f"<0x{b:02X}>" for b in range(256)]

    def save(name, tokenizer, trainer, added=(), **post):
        tokenizer.train_from_iterator([t for t in TEXTS if len(t) < 2000], trainer)
        if not post:
            tokenizer.add_tokens(list(added))
        path = TMP / "characters.json"
        tokenizer.save(str(path))
        file = json.loads(path.read_text())
        file["model"].update(post)
        if file["model"]["type"] == "Unigram":
            # The reference reads long decimals a bit off, which decides ties; short ones are read alike.
            file["model"]["vocab"] = [[text, round(score, 6)] for text, score in file["model"]["vocab"]]
        if post.get("byte_fallback"):
            if file["model"]["type"] == "Unigram":
                file["model"]["vocab"] += [[t, 0.0] for t in byte_tokens]
            else:
                more = range(max(file["model"]["vocab"].values()) + 1, 1 << 30)
                file["model"]["vocab"].update(zip(byte_tokens, more))
        path.write_text(json.dumps(file))
        compare(name, path)
        written(name, path)

    for lowercase in (True, False):
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
        tokenizer.normalizer = n.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
        save(f"WordPiece, lowercase {lowercase}", tokenizer, trainers.WordPieceTrainer(vocab_size=900, special_tokens=specials, show_progress=False))
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            tokenizer = Tokenizer(models.Unigram())
            tokenizer.normalizer = n.Sequence([n.Nmt(), n.NFKC(), n.Replace(Regex(" {2,}"), " ")])
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
            tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=split)
            added = [AddedToken("don't", normalized=True), AddedToken("  ", normalized=False)]
            trainer = trainers.UnigramTrainer(vocab_size=600, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
            save(f"Unigram with bytes, {scheme}, split {split}", tokenizer, trainer, byte_fallback=True)
            save(f"Unigram, {scheme}, split {split}", tokenizer, trainer, added)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = n.Sequence([n.NFD(), n.StripAccents(), n.Lowercase(), n.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True), pre_tokenizers.Punctuation()])
    save("Unigram, no decoder", tokenizer, trainers.UnigramTrainer(vocab_size=500, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False))
    for fuse in (True, False):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
        tokenizer.normalizer = n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>"], limit_alphabet=70, show_progress=False)
        save(f"BPE over characters, fused {fuse}", tokenizer, trainer)
        save(f"BPE over characters with bytes, fused {fuse}", tokenizer, trainer, byte_fallback=True)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = n.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.BPEDecoder()
    save("BPE with ends of words", tokenizer, trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False))


def rank_files():
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe
    from tiktoken_ext import openai_public

    for path in sorted(RANKS.glob("*.tiktoken")):
        name = path.stem
        if not hasattr(openai_public, name):
            continue
        openai_public.load_tiktoken_bpe = lambda *_, **__: load_tiktoken_bpe(str(path))
        theirs = tiktoken.Encoding(**getattr(openai_public, name)())
        same(f"{path.name}", run(["encode", path], TEXTS), [theirs.encode_ordinary(t) for t in TEXTS])
        same(f"{path.name}, all allowed", run(["encode-special", path], TEXTS), [theirs.encode(t, allowed_special="all") for t in TEXTS])
        same(f"{path.name}, decoded", run(["decode", path], [theirs.encode_ordinary(t) for t in TEXTS]), TEXTS)
        written(path.name, path)
        run(["export", path, "ranks", TMP / "again.tiktoken"])
        if (TMP / "again.tiktoken").read_bytes() != path.read_bytes():
            sys.exit(f"{path.name} is written otherwise")


golden_vectors()
gguf_files()
gpt2()
characters()
patterns()
if RANKS:
    rank_files()
