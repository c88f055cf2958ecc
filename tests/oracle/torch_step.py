#!/usr/bin/env python3
"""One training step of a Llama as PyTorch takes it, for tests/bench: eager mode, AdamW, every token with a
loss. Not needed to build, test or run anything. Prints "VERSION SECONDS ..." with the seconds of each of
--rounds steps after one to warm up; exits 77 where there is no torch.

--clock cpu takes the process's CPU time over its threads, as the benchmark's BENCH_CLOCK=cpu."""
import argparse
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(77)


def options():
    parser = argparse.ArgumentParser()
    for name in ("layers", "width", "heads", "kv-heads", "hidden", "vocab", "length", "tokens", "threads", "rounds"):
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--clock", default="wall")
    return parser.parse_args()


def norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def turn(x, cosine, sine):  # (B,H,T,D)
    a, b = x.chunk(2, -1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)


class Layer(torch.nn.Module):
    def __init__(self, o):
        super().__init__()
        self.heads, self.kv_heads, self.dim = o.heads, o.kv_heads, o.width // o.heads
        kv = o.kv_heads * self.dim
        self.norm1 = torch.nn.Parameter(torch.ones(o.width))
        self.norm2 = torch.nn.Parameter(torch.ones(o.width))
        self.qkv = torch.nn.Linear(o.width, o.width + 2 * kv, bias=False)
        self.out = torch.nn.Linear(o.width, o.width, bias=False)
        self.gate_up = torch.nn.Linear(o.width, 2 * o.hidden, bias=False)
        self.down = torch.nn.Linear(o.hidden, o.width, bias=False)

    def forward(self, x, cosine, sine, mask):
        B, T, C = x.shape
        kv = self.kv_heads * self.dim
        q, k, v = self.qkv(norm(x, self.norm1)).split((C, kv, kv), -1)
        q, k, v = (t.view(B, T, -1, self.dim).transpose(1, 2) for t in (q, k, v))
        q, k = turn(q, cosine, sine), turn(k, cosine, sine)
        if self.kv_heads != self.heads:
            k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            y = torch.softmax(q @ k.transpose(-1, -2) * self.dim ** -0.5 + mask, -1).to(v.dtype) @ v
        x = x + self.out(y.transpose(1, 2).reshape(B, T, C))
        gate, up = self.gate_up(norm(x, self.norm2)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Llama(torch.nn.Module):
    def __init__(self, o):
        super().__init__()
        self.embed = torch.nn.Embedding(o.vocab, o.width)
        self.layers = torch.nn.ModuleList(Layer(o) for _ in range(o.layers))
        self.norm = torch.nn.Parameter(torch.ones(o.width))
        angle = torch.outer(torch.arange(o.length), 10000.0 ** -torch.linspace(0, 1, o.width // o.heads // 2 + 1)[:-1])
        self.cosine, self.sine = angle.cos(), angle.sin()
        self.mask = torch.full((o.length, o.length), float("-inf")).triu(1)

    def forward(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine, self.mask)
        return F.linear(norm(x, self.norm), self.embed.weight)  # tied


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    model = Llama(o)
    adam = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1)
    ids = torch.randint(o.vocab, (o.tokens // o.length, o.length))
    target = torch.randint(o.vocab, (ids.numel(),))
    clock = time.perf_counter if o.clock == "wall" else lambda: time.process_time() / o.threads
    seconds = []
    for _ in range(o.rounds + 1):
        start = clock()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.bf16):
            logits = model(ids)
        loss = F.cross_entropy(logits.view(-1, o.vocab).float(), target)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        seconds.append(clock() - start)
    print(torch.__version__, *("%.6f" % s for s in seconds[1:]))


main()
