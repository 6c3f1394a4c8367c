"""The same training step in PyTorch, on the same card: what `polder-gpu train --bench` is compared with.

    python3 benches/gpu/pytorch.py --layers 12 --width 768 --heads 12 --batch 32 --context 1024

GPT-2's shape (learned positions, LayerNorm with bias, GELU by tanh, tied head) with bf16 autocast over f32 weights, fused attention,
torch.compile and fused AdamW: what a careful user of PyTorch writes. Prints tokens a second, the median of the timed steps.
"""

import argparse
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.o = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, self.heads, c // self.heads).transpose(1, 2) for part in self.qkv(self.norm_1(x)).split(c, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, layers, width, heads, context, vocab):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab, bias=False)
        self.head.weight = self.tokens.weight
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("layers", 12), ("width", 768), ("heads", 12), ("batch", 32), ("context", 1024), ("vocab", 50304), ("steps", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    a = parser.parse_args()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    model = Gpt2(a.layers, a.width, a.heads, a.context, a.vocab).cuda()
    n_params = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    step_model = model if a.eager else torch.compile(model)
    ids = torch.randint(0, a.vocab, (a.batch, a.context + 1), device="cuda")

    def step():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = step_model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    started = time.time()
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    warm = time.time() - started
    seconds = []
    for _ in range(a.steps):
        started = time.time()
        step()
        torch.cuda.synchronize()
        seconds.append(time.time() - started)
    middle = statistics.median(seconds)
    tokens = a.batch * a.context
    print(
        f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}, {n_params / 1e6:.1f} M parameters, batch {a.batch}, context {a.context}, "
        f"{'eager' if a.eager else 'compiled'}: {middle * 1e3:.1f} ms a step, {tokens / middle:,.0f} tokens/s "
        f"(warm-up {warm:.0f} s, {torch.cuda.max_memory_allocated() / 1e9:.1f} GB)"
    )


if __name__ == "__main__":
    main()
