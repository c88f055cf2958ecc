"""A LoRA adapter as PEFT defines it, read with numpy alone.

peft.py merge BASE ADAPTER MERGED: W + s B A of the folders BASE (Hugging Face) and ADAPTER (PEFT) are
the weights of the folder MERGED.
peft.py edit ADAPTER KEY JSON: sets a key of adapter_config.json, as a foreign program might have.
"""

import json
import math
import struct
import sys

import numpy as np


def tensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    out = {}
    for name, t in header.items():
        if name != "__metadata__":
            assert t["dtype"] == "F32", (name, t["dtype"])
            begin, end = t["data_offsets"]
            out[name] = np.frombuffer(data[begin:end], "<f4").reshape(t["shape"])
    return out


def merge(base, adapter, merged):
    config = json.load(open(f"{adapter}/adapter_config.json"))
    weights, want = tensors(f"{base}/model.safetensors"), tensors(f"{merged}/model.safetensors")
    lora = tensors(f"{adapter}/adapter_model.safetensors")
    root = math.sqrt(config["r"]) if config.get("use_rslora") else config["r"]
    scale = config["lora_alpha"] / root
    changed = 0
    for name, w in weights.items():
        stem = "base_model.model." + name.removesuffix(".weight")
        a, b = lora.pop(stem + ".lora_A.weight", None), lora.pop(stem + ".lora_B.weight", None)
        assert (a is None) == (b is None), name
        if a is not None:
            assert name.split(".")[-2] in config["target_modules"], name
            assert a.shape[0] == b.shape[1] == config["r"], name
            w = w + scale * b.astype(np.float64) @ a.astype(np.float64)
            changed += 1
        off = np.abs(w - want[name]).max()
        if not off <= 1e-6:
            sys.exit(f"{name}: off by {off}")
    if lora or not changed:
        sys.exit(f"left over: {list(lora)}")


def edit(adapter, key, value):
    path = f"{adapter}/adapter_config.json"
    config = json.load(open(path))
    config[key] = json.loads(value)
    json.dump(config, open(path, "w"))


if __name__ == "__main__":
    {"merge": merge, "edit": edit}[sys.argv[1]](*sys.argv[2:])
