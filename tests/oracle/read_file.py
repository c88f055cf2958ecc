#!/usr/bin/python3
"""A second reader, written from formats/FORMATS.md alone, with h5py and numpy.

read_file.py rows FILE N    the first N rows as JSON, one object a line, like `shard head --json`
read_file.py check FILE...  whether FILE.json has the file's first rows (numbers to 1e-7), and
                            whether the content hash it states is that of its content

HDF5_PLUGIN_PATH must name the folder of libh5zstd.so (or hdf5plugin be installed).
Exit 77 where h5py is absent.
"""
import ctypes
import json
import math
import sys

try:
    import h5py
    import numpy as np
except ImportError:
    print("SKIP: python3-h5py is not installed")
    sys.exit(77)

CHUNK, BLOB_CHUNK = 1 << 16, 1 << 20


def text(f, name):
    value = f.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


# ---- rows: f is a dictionary of whole columns


def tokens_rows(f, n):
    at = 0
    for row in range(n):
        length = int(f["length"][row])
        span = slice(at, at + length)
        at += length
        yield {
            "length": length,
            "prompt_length": int(f["prompt_length"][row]),
            "ids": f["ids"][span].tolist(),
            "mask": f["mask"][span].tolist(),
        }


def pairs_rows(f, n):
    names = ("prompt", "chosen", "rejected")
    at = dict.fromkeys(names, 0)
    for row in range(n):
        out = {}
        for name in names:
            out[name + "_length"] = int(f[name + "_length"][row])
        for name in names:
            length = out[name + "_length"]
            out[name] = f[name][at[name] : at[name] + length].tolist()
            at[name] += length
        yield out


def reference_rows(f, n):
    for row in range(n):
        yield {"chosen": float(f["chosen"][row]), "rejected": float(f["rejected"][row])}


def field(f, name):
    """A coded field: one column a byte, low byte first."""
    planes = [f[name + "_" + p] for p in ("low", "high", "top") if name + "_" + p in f]
    return sum(p.astype(np.int64) << 8 * k for k, p in enumerate(planes))


def alpha_of(rule, tvd):
    kind, strength = rule["alpha"].split(":")
    strength = float(strength)
    if kind == "fixed":
        return strength
    return strength * (1 - tvd if kind == "damped" else tvd) + 1e-3


def mix_sum(low, high, w):
    return np.logaddexp.reduce((1 - w) * low + w * high)


def compose(grid, low, high, tails, alpha):
    """log p* and log Q of a position of the components layout, at alpha."""
    where = lambda a: (a - grid[0]) / (grid[-1] - grid[0])
    t = [q - np.log1p(-np.exp(q)) + mix_sum(low, high, where(a)) for a, q in zip(grid, tails)]
    cell = max([0] + [i for i in range(len(grid) - 1) if grid[i] <= alpha])

    def chord(i):
        w = (alpha - grid[i]) / (grid[i + 1] - grid[i])
        return (1 - w) * t[i] + w * t[i + 1]

    end = min(4 if cell < 2 else cell + 3, len(grid))
    near = range(max(0, end - 4), end)
    x = 0.0
    for i in near:
        x += t[i] * np.prod([(alpha - grid[k]) / (grid[i] - grid[k]) for k in near if k != i])
    if alpha <= grid[-1]:
        beside = [chord(i) for i in (cell - 1, cell + 1) if near[0] <= i and i + 1 <= near[-1]]
        x = min(max([x] + beside), chord(cell))
    lse = mix_sum(low, high, where(alpha))
    odds = x - lse
    u = (1 - where(alpha)) * low + where(alpha) * high - lse
    return u - np.logaddexp(0, odds), max(-np.logaddexp(0, -odds), math.log(1e-30))


def decode_components(attrs, entries, level, log_tails, tvd):
    """What p* follows from, and p* by the file's own rule."""
    grid = [float(x) for x in attrs["alpha_grid"].split(",")]
    log_tails = log_tails.astype(np.float64).reshape(-1, len(grid))
    low, high, logp, log_tail, at = [], [], [], [], 0
    rule = json.loads(attrs["rule"])
    alpha = [alpha_of(rule, x) for x in tvd]
    for i, n in enumerate(entries):
        low.append(level[2 * at : 2 * at + n])
        high.append(level[2 * at + n : 2 * at + 2 * n])
        p, q = compose(grid, low[i], high[i], log_tails[i], alpha[i])
        logp.append(p)
        log_tail.append(q)
        at += n
    out = dict(low=np.concatenate(low), high=np.concatenate(high), logp=np.concatenate(logp))
    return dict(**out, log_tail=log_tail, log_tails=log_tails, alpha=alpha)


def places_of(f):
    """Tokens that have a position, and the row of each token."""
    first = np.concatenate([[0], np.cumsum(f["length"])])[:-1]
    target = f["mask"].astype(bool).copy()
    target[first] = False
    return np.flatnonzero(target), np.repeat(np.arange(first.size), f["length"])


def targets_of(f):
    """The tokens that stand at the positions."""
    return f["ids"][places_of(f)[0]]


def stored_order(f):
    """Version 4 has the positions of a row by the token before them."""
    at, row = places_of(f)
    return at, np.lexsort((at, f["ids"][at - 1], row[at]))


def in_order(f, columns):
    """Columns of positions and entries, from the stored order to the rows' own."""
    back = np.argsort(stored_order(f)[1])
    ends = np.cumsum(columns["entries"])
    pieces = [np.arange(ends[i] - columns["entries"][i], ends[i]) for i in back]
    entry = np.concatenate(pieces)
    return {k: np.asarray(v)[entry if k in ("support", "logp") else back] for k, v in columns.items()}


def join_apart(f, attrs, others, support, level, levels):
    """Supports and levels with the two tokens that version 4 has apart, behind the others."""
    eos = attrs.get("eos", -1)
    place, stored = stored_order(f)
    apart = [f["ids"][place[stored]]] + ([np.full(others.size, eos)] if eos >= 0 else [])
    apart_level = [levels[field(f, name)] for name in ("realised", "end")[: len(apart)]]
    at, ids, logp, entries = 0, [], [], []
    for i, n in enumerate(others):
        more = 2 if eos >= 0 and apart[0][i] != eos else 1
        ids += [support[at : at + n]] + [[x[i]] for x in apart[:more]]
        logp += [level[at : at + n]] + [[x[i]] for x in apart_level[:more]]
        entries.append(n + more)
        at += n
    return np.array(entries), np.concatenate(ids), np.concatenate(logp)


def decode_teacher(f, attrs):
    """The columns of a coded file as those of a plain one."""
    common = f["common"].tobytes()
    common = np.frombuffer(common, "<i4")
    levels = np.frombuffer(f["levels"].tobytes(), "<f4").astype(np.float64)
    others = np.setdiff1d(np.arange(attrs["vocab"]), common)
    token = np.concatenate([common, others])
    entries = field(f, "entries")
    delta, level = field(f, "support"), levels[field(f, "level")]
    log_tail = -field(f, "tail") / (512 if attrs["bits"] == 16 else 64)
    apart = attrs["version"] > 3 and attrs["layout"] == "composed"
    if apart:
        middle = np.append((levels[1:] + levels[:-1]) / 2, levels[-1])
        log_tail = middle[field(f, "tail")]
    log_most = np.zeros(entries.size)  # 0: not known
    if apart and attrs["version"] > 4:
        log_most = np.where(field(f, "most") > 0, middle[field(f, "most")], 0)
    brief = attrs["version"] > 2 and attrs["bits"] <= 12 and attrs["layout"] == "composed"
    tvd = field(f, "tvd") / 65535
    if brief:
        tvd = np.where(field(f, "tvd") < 255, np.exp(-field(f, "tvd") / 16), 0)
    support, at = np.empty(delta.size, np.int32), 0
    for n in entries:
        span = slice(at, at + n)
        support[span] = token[np.cumsum(delta[span] + 1) - 1]
        at += n
    if apart:
        entries, support, level = join_apart(f, attrs, entries, support, level, levels)
    logp, kept, at = np.empty(level.size), [], 0  # kept: entropy of the support and the tail
    for n, q in zip(entries, log_tail if attrs["layout"] == "composed" else []):
        x = level[at : at + n]
        logp[at : at + n] = x = x + np.log1p(-np.exp(q)) - np.log(np.exp(x).sum())
        kept.append(-(np.exp(x) * x).sum() - np.exp(q) * q)
        at += n
    rule = json.loads(attrs["rule"])
    out = dict(entries=entries, support=support, logp=logp, log_tail=log_tail, log_most=log_most, tvd=tvd)
    if attrs["layout"] == "components":
        out.update(decode_components(attrs, entries, level, log_tail, tvd))
    else:
        out["alpha"] = f["alpha"] if "alpha" in f else [alpha_of(rule, x) for x in tvd]
    out["entropy"] = field(f, "entropy") / (16 if brief or apart else 256)
    if apart:
        out["entropy"] = np.maximum(np.array(kept) + out["entropy"] - 1, 0)
        out = in_order(f, out)
        entries, support = out["entries"], out["support"]
    out["realised"] = realised_of(f, entries, support, out["logp"])
    return {**{k: f[k] for k in ("ids", "mask", "length", "prompt_length")}, **out}


def plain_components(f, attrs):
    """The columns of a plain file of components with p* beside them."""
    logp, tvd = f["logp"].astype(np.float64), f["tvd"].astype(np.float64)
    out = {**f, **decode_components(attrs, f["entries"], logp, f["log_tail"], tvd)}
    out["realised"] = realised_of(f, f["entries"], f["support"], out["logp"])
    return out


def realised_of(f, entries, support, logp):
    ends = np.cumsum(entries)
    out = []
    for token, end, n in zip(targets_of(f), ends, entries):
        span = slice(end - n, end)
        out.append(logp[span][support[span] == token][0])
    return out


def teacher_rows(f, n):
    position = entry = 0
    for out in tokens_rows(f, n):
        out["positions"] = []
        for _ in range(sum(out["mask"][1:])):
            count = int(f["entries"][position])
            span = slice(entry, entry + count)
            item = {
                "entries": count,
                "support": f["support"][span].tolist(),
                "logp": f["logp"][span].tolist(),
            }
            if "low" in f:
                for name in ("low", "high"):
                    item[name] = f[name][span].tolist()
                item["log_tails"] = f["log_tails"][position].tolist()
            for name in ("log_tail", "log_most", "alpha", "tvd", "realised", "entropy"):
                if name != "log_most" or (name in f and f[name][position] < 0):
                    item[name] = float(f[name][position])
            out["positions"].append(item)
            position += 1
            entry += count
        yield out


ROWS = {
    "tokens": tokens_rows,
    "pairs": pairs_rows,
    "reference": reference_rows,
    "teacher": teacher_rows,
}


def rows(path, n):
    with h5py.File(path, "r") as f:
        n = min(n, int(f.attrs["rows"]))
        columns = {name: f[name][()] for name in text(f, "columns").split()}
        plain = int(f.attrs.get("bits", 32)) == 32
        if text(f, "kind") == "teacher" and not (plain and text(f, "layout") == "composed"):
            if not plain:
                columns.update({name: f[name][()] for name in ("common", "levels")})
            names = [name for name in ("bits", "vocab", "version", "eos") if name in f.attrs]
            attrs = {name: int(f.attrs[name]) for name in names}
            names = [name for name in ("rule", "layout", "alpha_grid") if name in f.attrs]
            attrs.update({name: text(f, name) for name in names})
            columns = (plain_components if plain else decode_teacher)(columns, attrs)
        for i, row in enumerate(ROWS[text(f, "kind")](columns, n)):
            yield {"row": int(f.attrs["first_row"]) + i, **row}


# ---- content_hash


class Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3(data):
    try:
        library = ctypes.CDLL("libxxhash.so.0")
    except OSError:
        return None
    library.XXH3_128bits.restype = Hash
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    h = library.XXH3_128bits(data, len(data))
    return f"{h.high:016x}{h.low:016x}"


def dataset_lines(f, name, chunk):
    data = f[name][()]
    lines = [f"{name} {data.dtype.name} {data.size}"]
    for at in range(0, data.size, chunk):
        lines.append(xxh3(data[at : at + chunk].tobytes()))
    return lines


def table_hash(f):
    lines = [f"{text(f, 'kind')} {int(f.attrs['version'])}", f"@rows {int(f.attrs['rows'])}"]
    for name in text(f, "attributes").split():
        value = f.attrs[name]
        is_text = isinstance(value, (bytes, str))
        lines.append(f"@{name} {text(f, name) if is_text else int(value)}")
    for name in text(f, "blobs").split():
        lines += dataset_lines(f, name, BLOB_CHUNK)
    for name in text(f, "columns").split():
        lines += dataset_lines(f, name, CHUNK)
    return lines


NUMBERS = """layers width heads kv_heads head_dim hidden vocab vocab_used max_positions norm_eps
rope_theta rope_factor rope_low rope_high rope_original tied qkv_bias qk_norm bos eos reward_beta
reversed""".split()
# absent: as before there were such attributes
LATER = """reward_head window window_first window_period norms qk_norm_whole fused norm_plus_one
gelu embed_scale score_size rope_local rope_dim rope_gain""".split()
TEXTS = """config.json tokenizer.json tokenizer_config.json special_tokens_map.json
generation_config.json chat_template""".split()


def model_hash(f):
    lines = ["model 1"]
    for name in NUMBERS + [name for name in LATER if name in f.attrs]:
        value = f.attrs[name]
        real = isinstance(value, np.floating)
        lines.append(f"@{name} {value:.17g}" if real else f"@{name} {int(value)}")
    for name in TEXTS:
        if name in f:
            data = f[name][()]
            lines.append(f"{name} uint8 {data.size} {xxh3(data.tobytes())}")
    if "rope_divisors" in f:
        data = f["rope_divisors"][()]
        lines.append(f"rope_divisors float64 {data.size} {xxh3(data.tobytes())}")
    for name in sorted(f["weights"], key=str.encode):
        data = f["weights"][name][()]
        shape = "x".join(str(d) for d in data.shape)
        lines.append(f"weights/{name} float32 {shape} {xxh3(data.tobytes())}")
    return lines


def adapter_hash(f):
    lines = ["adapter 1"]
    for name in "base rank alpha dropout rank_stabilised targets reward_beta reversed".split():
        value = f.attrs[name]
        if isinstance(value, (bytes, str)):
            lines.append(f"@{name} {text(f, name)}")
        else:
            real = isinstance(value, np.floating)
            lines.append(f"@{name} {value:.17g}" if real else f"@{name} {int(value)}")
    for name in sorted(f["weights"], key=str.encode):
        data = f["weights"][name][()]
        shape = "x".join(str(d) for d in data.shape)
        lines.append(f"weights/{name} float32 {shape} {xxh3(data.tobytes())}")
    return lines


def check_hash(path):
    if xxh3(b"") is None:
        print("note: libxxhash.so.0 is not installed, content hashes are not compared")
        return
    with h5py.File(path, "r") as f:
        hashes = {"model": model_hash, "adapter": adapter_hash}
        lines = hashes.get(text(f, "kind"), table_hash)(f)
        mine = xxh3(("\n".join(lines) + "\n").encode())
        if mine != text(f, "content_hash"):
            sys.exit(f"{path}: content hash {mine}, {text(f, 'content_hash')} is stated")


# ---- comparing


def equal(a, b, tol):
    """tol: 1e-7, relative, of stored numbers; of decoded ones 2e-6."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k], tol) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(equal(x, y, tol) for x, y in zip(a, b))
    if isinstance(a, float) or isinstance(b, float):
        return math.isclose(a, b, rel_tol=tol, abs_tol=0 if tol < 1e-6 else tol)
    return a == b


def check_rows(path):
    with open(path + ".json") as lines:
        theirs = [json.loads(line) for line in lines]
    mine = list(rows(path, len(theirs)))
    if not theirs or len(mine) != len(theirs):
        sys.exit(f"{path}: {len(mine)} and {len(theirs)} rows")
    with h5py.File(path, "r") as f:
        decoded = int(f.attrs.get("bits", 32)) != 32 or "alpha_grid" in f.attrs
        tol = 2e-6 if decoded else 1e-7
    for a, b in zip(mine, theirs):
        if not equal(a, b, tol):
            sys.exit(f"{path}: a row differs:\n{a}\n{b}")


if __name__ == "__main__":
    if sys.argv[1] == "rows":
        for item in rows(sys.argv[2], int(sys.argv[3])):
            print(json.dumps(item))
    else:
        for name in sys.argv[2:]:
            with h5py.File(name, "r") as file:
                table = "columns" in file.attrs
            if table:
                check_rows(name)
            check_hash(name)
