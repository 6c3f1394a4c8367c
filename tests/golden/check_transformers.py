"""Loads a model's folder with transformers and compares its logits and its tokenizer with Polder's.

usage: python check_transformers.py MODEL_DIR LOGITS.json [ADAPTER_DIR]

LOGITS.json comes from `cargo run --release -p polder-infer --example logits -- MODEL_DIR [ADAPTER_DIR]`.
An adapter is merged with peft. Needs transformers, torch, safetensors (and peft). Exit status 1 when anything differs.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers

TOLERANCE = 1e-4


def main(model_dir, logits_file, adapter_dir=None):
    with open(logits_file, encoding="utf-8") as file:
        ours = json.load(file)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, output_loading_info=True)
    strange = {key: sorted(map(str, value)) for key, value in info.items() if value}
    if adapter_dir:
        import peft

        model = peft.PeftModel.from_pretrained(model, adapter_dir).merge_and_unload()
    model.eval()
    with torch.no_grad():
        theirs = model(torch.tensor([ours["tokens"]])).logits[0]
    mine = torch.tensor(ours["logits"], dtype=torch.float32).reshape(theirs.shape)
    worst = (theirs - mine).abs().max().item()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    text_tokens = tokenizer(ours["text"])["input_ids"]
    same_text = text_tokens == ours["text_tokens"] and tokenizer.decode(text_tokens) == ours["text"]
    print(f"transformers {transformers.__version__}, torch {torch.__version__}: {sum(p.numel() for p in model.parameters())} parameters")
    print(f"loading: {strange or 'every tensor found and used'}")
    print(f"logits: shape {tuple(theirs.shape)}, largest {theirs.abs().max().item():.4f}, largest difference {worst:.3e}")
    verdict = "same ids and text" if same_text else f"DIFFERS: {text_tokens} instead of {ours['text_tokens']}"
    print(f"tokenizer: {len(tokenizer)} tokens, {verdict}")
    return 0 if worst <= TOLERANCE and not strange and same_text else 1


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
