"""Prints what `tokenizers` and tiktoken make of texts that hold added tokens: the expected values of polder-tokenizer's `special/tests.rs`.

usage: make_special_tokens.py
needs: pip install tokenizers tiktoken (0.23.3 and 0.14 were used)
A token is printed as its number in brackets, everything else as its text. tiktoken knows special tokens only, and one way to match.
"""

import tiktoken
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())


def theirs(tokens, text, specials, normalizer=None):
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(ALPHABET)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    for token in tokens:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    tokenizer.encode_special_tokens = not specials
    out, run = "", []
    for i in tokenizer.encode(text).ids + [None]:
        if i is None or i >= 256:
            out += tokenizer.decode(run, skip_special_tokens=False)
            run = []
            out += "" if i is None else f"[{i - 256}]"
        else:
            run.append(i)
    return out


def openai(specials, text, allowed):
    ranks = {bytes([b]): b for b in range(256)}
    encoding = tiktoken.Encoding("x", pat_str=r"[\s\S]", mergeable_ranks=ranks, special_tokens={s: 256 + i for i, s in enumerate(specials)})
    ids = encoding.encode(text, allowed_special=allowed, disallowed_special=())
    return b"".join(bytes([i]) if i < 256 else f"[{i - 256}]".encode() for i in ids).decode()


def special(content):
    return AddedToken(content, special=True, normalized=False)


def ordinary(content, **flags):
    return AddedToken(content, normalized=flags.pop("normalized", False), **flags)


abc = [special("<|a|>"), special("<|b|>"), ordinary("<c>")]
print("specials", theirs(abc, "x<|a|>y<|b|><c>", False), theirs(abc, "x<|a|>y<|b|><c>", True))
print("specials, tiktoken", openai(["<|a|>", "<|b|>"], "x<|a|>y<|b|><c>", {"<|b|>"}), openai(["<|a|>", "<|b|>"], "x<|a|>y<|b|><c>", "all"))
overlap = [special("<|a|>"), special("<|a|>b"), special("b<"), ordinary("  "), ordinary("    ")]
for text in ("<|a|>b<|a|>c", "b<|a|>", "x       y"):
    print("overlaps", repr(text), theirs(overlap, text, True))
print("overlaps, tiktoken", openai(["<|a|>", "<|a|>b"], "<|a|>b", {"<|a|>"}))
for flags, text in (
    (dict(lstrip=True), "a \n<m> b"),
    (dict(rstrip=True), "a <m>\u3000 b"),
    (dict(lstrip=True, rstrip=True), " <m> <m> "),
    (dict(single_word=True), "a<m> <m>b <m>. (<m>) ²<m>² é\u0301<m>"),
    (dict(single_word=True, lstrip=True, rstrip=True), "_<m> x <m> y"),
):
    print("flags", flags, repr(theirs([ordinary("<m>", **flags)], text, False)))
taken = [AddedToken("<s>", special=True, normalized=False, rstrip=True), ordinary("  ")]
print("taken", repr(theirs(taken, "a<s>  b<s> c<s>     d", True)))
nfc = [ordinary("e\u0301!", normalized=True), ordinary("e\u0301?")]
print("normalised", theirs(nfc, "é!e\u0301!é?e\u0301?", False, normalizers.NFC()))
