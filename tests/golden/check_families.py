"""Checks that transformers and Polder read each other's folders and compute the same logits, for every family.

usage: python check_families.py make DIR    (writes random models of every kind to DIR/theirs)
       cargo run --release -p polder-model --example families -- DIR
       python check_families.py check DIR   (exit status 1 when logits differ by more than 1e-4, or a tensor is strange)

Without a head, the last hidden states are compared. Run with PyTorch 2.15 and transformers 5.23.
"""

import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers as t

TOLERANCE = 1e-4
TIME, V = 24, 211
SIZES = {"vocab_size": V, "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 48}
IDS = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
KV = {"num_key_value_heads": 2}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LABELS = {"id2label": {0: "no", 1: "yes", 2: "perhaps"}, "label2id": {"no": 0, "yes": 1, "perhaps": 2}}


def kinds():
    gpt2 = {"vocab_size": V, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 48, **IDS}
    modern = {**SIZES, **IDS, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 8}
    yield "llama", t.LlamaForCausalLM(t.LlamaConfig(**SIZES, **KV, **IDS)), {}
    yield "llama-split", t.LlamaForCausalLM(t.LlamaConfig(**SIZES, **KV, **IDS)), {"max_shard_size": "100KB"}
    yield "llama-3", t.LlamaForCausalLM(t.LlamaConfig(**SIZES, **KV, **IDS, tie_word_embeddings=True, rope_parameters=LLAMA3)), {}
    yield "llama-biases", t.LlamaForCausalLM(t.LlamaConfig(**SIZES, **KV, **IDS, attention_bias=True, mlp_bias=True)), {}
    yield "llama-bf16", t.LlamaForCausalLM(t.LlamaConfig(**SIZES, **KV, **IDS)).bfloat16(), {}
    yield "gpt2-fp16", t.GPT2LMHeadModel(t.GPT2Config(**gpt2)).half(), {}
    yield "qwen2", t.Qwen2ForCausalLM(t.Qwen2Config(**SIZES, **KV, **IDS)), {}
    yield "qwen3", t.Qwen3ForCausalLM(t.Qwen3Config(**SIZES, **KV, **IDS, head_dim=24)), {}
    yield "qwen3-biases", t.Qwen3ForCausalLM(t.Qwen3Config(**SIZES, **KV, **IDS, head_dim=16, attention_bias=True, tie_word_embeddings=True)), {}
    yield "gpt2", t.GPT2LMHeadModel(t.GPT2Config(**gpt2)), {}
    yield "gpt2-bare", t.GPT2Model(t.GPT2Config(**gpt2, n_inner=80)), {}
    yield "bert", t.BertForMaskedLM(t.BertConfig(**SIZES, **IDS)), {}
    yield "bert-pretraining", t.BertForPreTraining(t.BertConfig(**SIZES, **IDS)), {}
    yield "bert-classifier", t.BertForSequenceClassification(t.BertConfig(**SIZES, **IDS, **LABELS)), {}
    yield "bert-embedding", t.BertModel(t.BertConfig(**SIZES, **IDS)), {}
    yield "modernbert", t.ModernBertForMaskedLM(t.ModernBertConfig(**modern)), {}
    yield "modernbert-biases", t.ModernBertForMaskedLM(
        t.ModernBertConfig(**modern, attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True, decoder_bias=False)
    ), {}
    yield "modernbert-cls", t.ModernBertForSequenceClassification(t.ModernBertConfig(**modern, **LABELS)), {}
    yield "modernbert-mean", t.ModernBertForSequenceClassification(t.ModernBertConfig(**modern, **LABELS, classifier_pooling="mean")), {}
    yield "modernbert-embedding", t.ModernBertModel(t.ModernBertConfig(**modern)), {}


def make(folder):
    torch.manual_seed(1)
    for name, model, how in kinds():
        with torch.no_grad():
            for key, p in model.named_parameters():
                centre = 1.0 if p.dim() == 1 and key.endswith("weight") else 0.0
                p.copy_(centre + torch.randn_like(p.float()) * 0.2)
        model.save_pretrained(folder / "theirs" / name, **how)
        print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters")


def load(folder):
    config = t.AutoConfig.from_pretrained(folder)
    name = config.architectures[0]
    # The bare decoder is run with its tied head, as Polder does.
    name = {"GPT2Model": "GPT2LMHeadModel"}.get(name, name)
    return getattr(t, name).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)


def theirs(model):
    tokens = torch.tensor([(i * 7 + 3) % V for i in range(2 * TIME)]).view(2, TIME)
    inputs = {"input_ids": tokens}
    if model.config.model_type == "bert":
        inputs["token_type_ids"] = torch.tensor([int(i % TIME > TIME // 2) for i in range(2 * TIME)]).view(2, TIME)
    # Ids of padding are ordinary tokens here; a mask of ones says so.
    inputs["attention_mask"] = torch.ones_like(tokens)
    with torch.no_grad():
        out = model.eval()(**inputs)
    for key in ("logits", "prediction_logits", "last_hidden_state"):
        if key in out:
            return out[key].reshape(-1).numpy()


def check(folder):
    failed = False
    for path in sorted((folder / "theirs").iterdir()) + sorted((folder / "ours").iterdir()):
        model, info = load(path)
        strange = {key: sorted(map(str, value)) for key, value in info.items() if value and "pretraining" not in path.name}
        if path.name == "gpt2-bare":
            strange = {}
        expected = theirs(model)
        ours = np.fromfile(path / "ours.f32", dtype="<f4")
        worst = np.abs(ours - expected).max() if ours.shape == expected.shape else float("inf")
        bad = not worst <= TOLERANCE or bool(strange)
        failed |= bad
        what = f"{path.parent.name}/{path.name}"
        print(f"{what:32} largest {np.abs(expected).max():8.4f}  largest difference {worst:.2e}  {'DIFFERS' if bad else 'same'} {strange or ''}")
    print(f"transformers {t.__version__}, torch {torch.__version__}: {'something differs' if failed else 'all the same'}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("make", "check"):
        sys.exit(__doc__)
    sys.exit({"make": make, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2])))
