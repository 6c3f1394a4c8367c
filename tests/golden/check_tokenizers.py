"""Compares polder-tokenizer with Hugging Face `tokenizers`: the split of every character, and the ids of real text.

usage: check_tokenizers.py TOKENIZE FOLDER
  TOKENIZE  the program built by `cargo build --release -p polder-tokenizer --example tokenize`
  FOLDER    text to compare on: .jsonl lines with a "text" field, .txt, .md and .html files
needs: pip install tokenizers (0.23.3 was used)
Prints what was compared; any difference ends it with status 1.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, pre_tokenizers

TOKENIZE, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
TEXT_BYTES_MAX = 64 << 20


def tokenize(arguments, texts):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    done = subprocess.run([TOKENIZE, *arguments], input=lines, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        sys.exit(done.stderr)
    # Only "\n" ends a line here; str.splitlines would also cut at U+2028 and others.
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def read_texts():
    total = 0
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix == ".jsonl":
            found = (json.loads(line).get("text") or json.loads(line).get("content") for line in path.open(encoding="utf-8"))
        elif path.suffix in (".txt", ".md", ".html"):
            found = [path.read_text(encoding="utf-8", errors="replace")]
        else:
            continue
        for text in found:
            if text:
                yield text
                total += len(text.encode())
                if total > TEXT_BYTES_MAX:
                    return


def check_every_character():
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    chars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    # Each character after a letter, a number, a sign, a space and itself.
    texts = [f"a{c}1{c}!{c} {c}{c}\n{c} x" for c in chars]
    spans = tokenize(["split"], texts)
    for text, pieces in zip(texts, spans, strict=True):
        theirs = [text[a:b] for _, (a, b) in level.pre_tokenize_str(text)]
        if theirs != pieces:
            sys.exit(f"split differs: {text!r}\n  ours   {pieces}\n  theirs {theirs}")
    print(f"split: {len(texts)} characters in five surroundings agree")


def check_ids():
    texts = list(read_texts())
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tokenizer.json"
        tokenize(["train", "8192", path], texts[::2])
        theirs = Tokenizer.from_file(path)
        theirs.encode_special_tokens = True
        ours = tokenize(["encode", path], texts)
        n_ids = 0
        for text, ids in zip(texts, ours, strict=True):
            if theirs.encode(text).ids != ids:
                sys.exit(f"ids differ: {text[:200]!r}")
            if theirs.decode(ids, skip_special_tokens=False) != text:
                sys.exit(f"decoding differs: {text[:200]!r}")
            n_ids += len(ids)
        n_bytes = sum(len(t.encode()) for t in texts)
        print(f"ids: {len(texts)} texts, {n_bytes} bytes, {n_ids} ids agree, vocabulary {theirs.get_vocab_size()}")


check_every_character()
check_ids()
