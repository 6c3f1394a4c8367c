"""Makes the golden files of the model families with PyTorch and transformers.

usage: python make_models.py            (writes models/*.safetensors beside this file)

Each file holds, for two sequences of 32 tokens over a vocabulary of 257: the loss, the logits of each sequence's last
rows, the gradient of every tensor, then the losses of ten AdamW and ten Muon steps and sketches of all tensors after
them: a matrix times a vector of signs, from both sides, so that every number counts. Weights and tokens are not stored:
both sides compute them by `noise`. Everything runs in float64, in transformers' own code; the optimizers stand here, as
the formulas of the papers say, gradients clipped by their whole norm. Made with PyTorch 2.15 and transformers 5.23.
"""

import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

V, C, F, L, H, D, T, B = 257, 56, 44, 2, 4, 14, 32, 2
STORED_ROWS = 8
STEPS = 10
LR, BETA1, BETA2, EPS, DECAY, CLIP = 1e-3, 0.9, 0.95, 1e-8, 0.1, 1.0
MUON_LR, MUON_MOMENTUM = 2e-3, 0.95
Z_LOSS = {"llama": 1e-3}
SPECIAL = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
SIZES = {"vocab_size": V, "hidden_size": C, "intermediate_size": F, "num_hidden_layers": L, "num_attention_heads": H, "max_position_embeddings": 64}


def noise(name, n):
    """n numbers in -0.5 .. 0.5 that depend on a name alone."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 % 2**32
    x = (np.arange(n, dtype=np.uint64) * 2654435761 + seed) % 2**32
    for factor in (0x45D9F3B, 0x45D9F3B):
        x = (x ^ (x >> 16)) * factor % 2**32
    x ^= x >> 16
    return x.astype(np.float64) / 2**32 - 0.5


def weight(name, shape):
    x = noise(name, int(np.prod(shape)))
    if len(shape) == 2:
        x = 0.4 * x
    else:
        x = 0.2 * x + (1.0 if is_norm(name) else 0.0)
    return torch.from_numpy(x.astype(np.float32).astype(np.float64).reshape(shape))


def is_norm(name):
    return name.endswith("weight")


def models():
    t = transformers
    yield "llama", t.LlamaForCausalLM(
        t.LlamaConfig(
            **SIZES,
            **SPECIAL,
            num_key_value_heads=2,
            head_dim=D,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 100.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        )
    )
    yield "gpt2", t.GPT2LMHeadModel(
        t.GPT2Config(
            **SPECIAL, vocab_size=V, n_embd=C, n_inner=F, n_layer=L, n_head=H, n_positions=64, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0
        )
    )
    yield "bert", t.BertForMaskedLM(t.BertConfig(**SIZES, **SPECIAL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    yield "modernbert", t.ModernBertForMaskedLM(
        t.ModernBertConfig(
            **SIZES,
            **SPECIAL,
            cls_token_id=None,
            sep_token_id=None,
            local_attention=8,
            layer_types=["full_attention", "sliding_attention"],
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 1000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            },
            attn_implementation="eager",
        )
    )


def batch(kind):
    ids = lambda name, bound, n=B * T: torch.from_numpy(((noise(name, n) + 0.5) * bound).astype(np.int64))
    tokens, targets = ids("tokens", V), ids("targets", V)
    judged = torch.from_numpy(noise("judged", B * T)) > (0.3 if "bert" in kind else -0.4)
    targets[~judged] = -100
    types = ids("token types", 2)
    inputs = {"input_ids": tokens.view(B, T)}
    if kind == "bert":
        inputs["token_type_ids"] = types.view(B, T)
    return inputs, targets


def measure(kind, model, inputs, targets):
    """Returns the loss without its z-loss, the logits, and what gradients descend."""
    logits = model(**inputs).logits.double()
    flat = logits.view(B * T, V)
    loss = torch.nn.functional.cross_entropy(flat, targets, ignore_index=-100)
    z = torch.logsumexp(flat[targets >= 0], -1).square().mean()
    return loss, logits, loss + Z_LOSS.get(kind, 0.0) * z


def n_blocks(name):
    if name.endswith(("c_attn.weight", "Wqkv.weight")):
        return 3
    return 2 if name.endswith("mlp.Wi.weight") else 1


def is_transposed(kind, name):
    return kind == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))


def is_table(name):
    return "embed" in name or "wte" in name or "wpe" in name


def orthogonal(m):
    """Five quintic Newton-Schulz steps."""
    x = m / (m.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    a, b, c = 3.4445, -4.7750, 2.0315
    for _ in range(5):
        g = x @ x.T
        x = a * x + (b * g + c * g @ g) @ x
    return x.T if tall else x


def train(kind, model, inputs, targets, muon):
    """Ten steps; returns the loss before each."""
    state, losses = {}, []
    for step in range(1, STEPS + 1):
        model.zero_grad()
        loss, _, descended = measure(kind, model, inputs, targets)
        descended.backward()
        losses.append(loss.item())
        norm = torch.sqrt(sum(p.grad.square().sum() for p in model.parameters()))
        scale = min(1.0, CLIP / norm.item())
        with torch.no_grad():
            for name, p in model.named_parameters():
                g = p.grad * scale
                m, v = state.setdefault(name, (torch.zeros_like(p), torch.zeros_like(p)))
                if muon and p.dim() == 2 and not is_table(name):
                    m.mul_(MUON_MOMENTUM).add_(g)
                    nesterov = g + MUON_MOMENTUM * m
                    turned = is_transposed(kind, name)
                    blocks = (nesterov.T if turned else nesterov).chunk(n_blocks(name))
                    update = torch.cat([orthogonal(x) * 0.2 * max(x.shape) ** 0.5 for x in blocks])
                    p.mul_(1 - MUON_LR * DECAY).sub_(MUON_LR * (update.T if turned else update))
                    continue
                m.mul_(BETA1).add_((1 - BETA1) * g)
                v.mul_(BETA2).add_((1 - BETA2) * g * g)
                update = (m / (1 - BETA1**step)) / (torch.sqrt(v / (1 - BETA2**step)) + EPS)
                p.mul_(1 - LR * (DECAY if p.dim() == 2 else 0.0)).sub_(LR * update)
    return losses


def sketch(x):
    if x.ndim == 1:
        return x.copy()
    signs = lambda n: np.where(noise("signs", n) < 0, -1.0, 1.0)
    return np.concatenate([x @ signs(x.shape[1]), signs(x.shape[0]) @ x])


def start(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weight(name, tuple(p.shape)))


def main():
    folder = pathlib.Path(__file__).parent / "models"
    folder.mkdir(exist_ok=True)
    for kind, model in models():
        # Sums of float64; what transformers itself computes in float32 (norms, softmax, tables) stays so.
        model = model.double().eval()
        inputs, targets = batch(kind)
        start(model)
        model.zero_grad()
        loss, logits, descended = measure(kind, model, inputs, targets)
        descended.backward()
        out = {"loss": np.array([loss.item()]), "logits": logits[:, -STORED_ROWS:].detach().numpy().reshape(-1, V)}
        for name, p in model.named_parameters():
            out[f"grad/{name}"] = p.grad.numpy().copy()
        for optimizer in ("adamw", "muon"):
            start(model)
            out[f"{optimizer}/losses"] = np.array(train(kind, model, inputs, targets, optimizer == "muon"))
            for name, p in model.named_parameters():
                out[f"{optimizer}/{name}"] = sketch(p.detach().numpy())
        path = folder / f"{kind}.safetensors"
        save_file({k: np.ascontiguousarray(v, dtype=np.float32) for k, v in out.items()}, path)
        print(f"{path.name}: loss {loss.item():.6f}, {sum(p.numel() for p in model.parameters())} parameters, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
