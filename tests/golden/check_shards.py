"""Reads Polder's shards and exports with the readers of others and compares every token.

    cargo run --release -p polder-shard --example foreign_readers -- /tmp/shards
    pip install numpy torch torchvision mosaicml-streaming==0.13.0; pip install --no-deps megatron-core==0.16.1
    python tests/golden/check_shards.py /tmp/shards

- `.bin`/`.idx` by `IndexedDataset` of megatron-core;
- MDS by `MDSReader` of mosaicml-streaming, and `index.json` by its `reader_from_json`;
- llm.c and nanoGPT by the lines of their loaders (karpathy/llm.c `dev/data/data_common.py` and `llmc/dataloader.h`;
  karpathy/nanoGPT `train.py`), with numpy.
"""

import glob
import json
import os
import sys

import numpy as np

folder = sys.argv[1]


def documents(vocab, split):
    for i in range(500):
        if ("validation" if i % 10 == 9 else "train") == split:
            yield f"{i:05}", [(i * 7919 + j * 104729) % (vocab - 1) for j in range(i * 37 % 211)]


def check_megatron(name, vocab):
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    for split in ["train", "validation"]:
        found = []
        for index in sorted(glob.glob(f"{folder}/{name}/{split}-*.idx")):
            dataset = IndexedDataset(index[:-4], mmap=True)
            assert len(dataset.document_indices) == len(dataset) + 1
            found += [dataset[i].tolist() for i in range(len(dataset))]
        assert found == [tokens + [vocab - 1] for _, tokens in documents(vocab, split)], (name, split)
    print(f"megatron-core: {name} is the same")


def check_mds(name, vocab):
    from streaming.base.format import reader_from_json

    for split in ["train", "validation"]:
        base = f"{folder}/{name}-mds/{split}"
        found = []
        for shard in json.load(open(f"{base}/index.json"))["shards"]:
            reader = reader_from_json(base, None, shard)
            reader.validate(True)
            for i in range(len(reader)):
                sample = reader[i]
                assert sample["tokens"].dtype == (np.uint16 if vocab <= 65536 else np.uint32)
                found.append((sample["doc_id"], sample["tokens"].tolist()))
        assert found == [(doc_id, tokens + [vocab - 1]) for doc_id, tokens in documents(vocab, split)], (name, split)
    print(f"mosaicml-streaming: {name} is the same")


def check_llm_c(name, vocab, export, magic, version, dtype):
    for split in ["train", "validation"]:
        found = []
        for path in sorted(glob.glob(f"{folder}/{name}-{export}/{split}_*.bin")):
            with open(path, "rb") as f:
                header = np.frombuffer(f.read(256 * 4), dtype=np.int32)
                assert header[0] == magic and header[1] == version
                tokens = np.frombuffer(f.read(), dtype=dtype)
            assert len(tokens) == header[2] and os.path.getsize(path) == 1024 + header[2] * dtype().itemsize
            found += tokens.tolist()
        expected = [token for _, tokens in documents(vocab, split) for token in [vocab - 1] + tokens]
        assert found == expected, (name, split)
    print(f"llm.c's lines: {name} as {export} is the same")


def check_nano_gpt(name, vocab):
    for split, file in [("train", "train.bin"), ("validation", "val.bin")]:
        data = np.memmap(f"{folder}/{name}-nanogpt/{file}", dtype=np.uint16, mode="r")
        assert data.tolist() == [token for _, tokens in documents(vocab, split) for token in tokens + [vocab - 1]]
    print(f"nanoGPT's line: {name} is the same")


for name, vocab in [("narrow", 50257), ("wide", 128256)]:
    check_llm_c(name, vocab, "llm.c-u32", 20240801, 7, np.uint32)
    if vocab <= 65536:
        check_llm_c(name, vocab, "llm.c", 20240520, 1, np.uint16)
        check_nano_gpt(name, vocab)
    check_megatron(name, vocab)
    check_mds(name, vocab)
