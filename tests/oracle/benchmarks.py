#!/usr/bin/python3
"""A second implementation of the benchmarks' arithmetic, in numpy, from their published definitions.

benchmarks.py make FOLDER          verdicts, answers and questions that are made up, in the
                                   benchmarks' own formats (seeded)
benchmarks.py mtbench TABLE QUESTIONS JUDGMENTS...
benchmarks.py arenahard TABLE VERSION STYLE ROUNDS SEED JUDGMENTS ANSWERS... (the last: baseline)
                                   compare with the table (.csv) that eval printed, to 1e-9

Exit 77 where numpy is absent.
"""
import csv
import json
import sys

try:
    import numpy as np
except ImportError:
    print("SKIP: python3-numpy is not installed")
    sys.exit(77)

CATEGORIES = ["writing", "math", "coding"]
LABELS = ["A>>B", "A>B", "A=B", "B>A", "B>>A", None]


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def write(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row) + "\n")


# ---- made-up files


def make(folder):
    rng = np.random.default_rng(5)
    ids = list(range(1, 61))
    write(f"{folder}/questions.jsonl",
          [{"question_id": i, "category": CATEGORIES[i % 3], "turns": ["a", "b"]} for i in ids])
    write(f"{folder}/ratings.jsonl",
          [{"question_id": i, "model": m, "turn": t, "judgment": "",
            "score": -1 if rng.random() < 0.05 else float(rng.integers(1, 11))}
           for m in ("one", "two") for i in ids for t in (1, 2)])
    for name, key in (("v01", "question_id"), ("v2", "uid")):
        games = []
        for m, shift in (("one", 0.0), ("two", 0.25)):
            for i in ids:
                picks = rng.choice(6, size=2, p=[.14, .24, .2, .24, .14, .04])
                if rng.random() < shift:
                    picks = [3, 1]
                games.append({key: str(i), "category": CATEGORIES[i % 2], "model": m, "judge": "j",
                              "games": [{"score": LABELS[p]} for p in picks]})
        write(f"{folder}/games-{name}.jsonl", games)
    for m in ("one", "two", "baseline"):
        write(f"{folder}/answers-{m}.jsonl",
              [{"question_id": str(i), "model_id": m,
                "choices": [{"index": 0, "turns": [{"content": "text"}]}],
                "conv_metadata": {"token_len": int(rng.integers(20, 400)),
                                  "header_count": {"h1": int(rng.integers(0, 3)), "h2": 1},
                                  "list_count": {"ordered": int(rng.integers(0, 9)), "unordered": 2},
                                  "bold_count": {"**": int(rng.integers(0, 5)), "__": 0}}}
               for i in ids])


# ---- comparing


def compare(table, wanted):
    with open(table, newline="") as f:
        rows = {(r["model"], r["category"]): r for r in csv.DictReader(f)}
    assert set(rows) == set(wanted), (sorted(rows), sorted(wanted))
    worst = 0.0
    for key, cells in wanted.items():
        for name, value in cells.items():
            there = float(rows[key][name]) if rows[key][name] not in ("", "nan") else np.nan
            if np.isnan(value) and np.isnan(there):
                continue
            difference = abs(there - value) / max(1.0, abs(value))
            assert difference <= 1e-9, (key, name, there, value)
            worst = max(worst, difference)
    print(f"{len(wanted)} rows, largest difference {worst:.1e}")


def mtbench(table, questions, judgments):
    category = {q["question_id"]: q["category"] for q in lines(questions)}
    rows = [r for path in judgments for r in lines(path)]
    wanted = {}
    for model in {r["model"] for r in rows}:
        for c in ["all"] + CATEGORIES:
            of = [r for r in rows if r["model"] == model and c in ("all", category[r["question_id"]])]
            good = [r for r in of if r["score"] != -1]
            by_id = {}
            for r in good:
                by_id.setdefault(r["question_id"], []).append(r["score"])
            means = np.array([np.mean(v) for v in by_id.values()])
            wanted[model, c] = {
                "turn_1": np.mean([r["score"] for r in good if r["turn"] == 1]),
                "turn_2": np.mean([r["score"] for r in good if r["turn"] == 2]),
                "score": np.mean([r["score"] for r in good]),
                "standard_error": means.std(ddof=1) / np.sqrt(len(means)),
                "questions": len(by_id), "missing": len(of) - len(good)}
    compare(table, wanted)


# ---- Arena-Hard


def philox(seed, stream, row, position):  # Philox4x32-10: the project's counter-based numbers
    mask = 0xFFFFFFFF
    c = [row & mask, row >> 32, position & mask, (position >> 32) ^ (stream << 24)]
    k = [seed & mask, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & mask, (p0 >> 32) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return ((c[0] << 32 | c[1]) >> 11) * 2.0**-53


def logistic(x, y, ridge):
    w = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (y - p) - ridge * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(w))
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        w = w + step
        if np.abs(step).max() < 1e-13:
            break
    return w


def counts(meta):
    return [v if isinstance(v, (int, float)) else sum(v.values())
            for v in (meta[k] for k in ("token_len", "header_count", "list_count", "bold_count"))]


def battles_of(rows, version, meta, baseline):
    """(model, y from the model's side, style a, style b), a strong verdict three times."""
    value = {"A>>B": (0, 3), "A>B": (0, 1), "A=B": (.5, 1), "B>A": (1, 1), "B>>A": (1, 3)}
    out = []
    for r in rows:
        scores = [g["score"] for g in r["games"]]
        if version == "v2" and None in scores:
            continue
        key = r.get("question_id", r.get("uid"))
        for game, s in enumerate(scores):
            if s is None:
                continue
            y, times = value[s]
            one = (r["model"], 1 - y if game else y, meta[r["model"]][key], meta[baseline][key])
            out += [one] * times
    return out


def design(battles, models, version, style):
    n = len(battles)
    ours, theirs = (np.array([b[i] for b in battles], float) for i in (2, 3))
    if version == "v2":
        d = np.empty((n, 4))
        d[:, 0] = (ours[:, 0] - theirs[:, 0]) / (ours[:, 0] + theirs[:, 0])
        a, b = ours[:, 1:] / ours[:, :1], theirs[:, 1:] / theirs[:, :1]
        d[:, 1:] = (a - b) / (a + b + 1)
        d = (d - d.mean(0)) / d.std(0, ddof=1)
    else:
        d = (ours - theirs) / (ours + theirs + 1)
        d = (d - d.mean(0)) / d.std(0)
    d = d[:, {"none": [], "length": [0], "markdown": [1, 2, 3], "both": [0, 1, 2, 3]}[style]]
    one_hot = np.zeros((n, len(models) + 1))
    for i, b in enumerate(battles):
        one_hot[i, models.index(b[0])] = 1
        one_hot[i, -1] = -1
    return one_hot, d


def rates(one_hot, d, y, index, version, style):
    """Win rates over the baseline and the style's coefficients, of the battles `index`."""
    x, y = one_hot[index], y[index]
    k = x.shape[1] - 1
    if version == "v2" and style == "none":
        return np.array([y[x[:, m] == 1].mean() for m in range(k)]), []
    if version == "v2":
        w = logistic(np.hstack([x[:, :k], d[index]]), y, 0.0)
        return 1 / (1 + np.exp(-w[:k])), w[k:]
    # every battle twice; a tie is one win and one loss
    x = np.hstack([x * np.log(10), d[index]])
    up = np.where(y == 0.5, 1.0, y)
    down = np.where(y == 0.5, 0.0, y)
    if style == "none":
        x = x[:, :k]
    w = logistic(np.vstack([x, x]), np.concatenate([up, down]), 0.0 if style == "none" else 1.0)
    base = 0.0 if style == "none" else w[k]
    return 1 / (1 + 10 ** (base - w[:k])), [] if style == "none" else w[k + 1:]


def drawn(battles, models, version, style, seed, round_):
    groups = [list(range(len(battles)))]
    if version == "v2" and style == "none":
        groups = [[i for i, b in enumerate(battles) if b[0] == m] for m in models]
    return np.array([g[int(philox(seed, 8, round_, i) * len(g))] for g in groups for i in g])


def arenahard(table, version, style, rounds, seed, judgments, answers):
    rows = lines(judgments)
    meta = {}
    for path in answers:
        of = lines(path)
        meta[of[0]["model_id"]] = {r["question_id"]: counts(r["conv_metadata"]) for r in of}
    baseline = lines(answers[-1])[0]["model_id"]
    models = list(dict.fromkeys(r["model"] for r in rows))
    wanted = {}
    for category in ["all"] + sorted({r["category"] for r in rows}):
        of = [r for r in rows if category in ("all", r["category"])]
        battles = battles_of(of, version, meta, baseline)
        one_hot, d = design(battles, models, version, style)
        y = np.array([b[1] for b in battles])
        score, style_w = rates(one_hot, d, y, np.arange(len(y)), version, style)
        boot = np.array([rates(one_hot, d, y, drawn(battles, models, version, style, seed, i),
                               version, style)[0] for i in range(rounds)])
        tail = 2.5 if version == "v0.1" else 5
        names = {"none": [], "length": ["b_tokens"], "markdown": ["b_headers", "b_lists", "b_bold"],
                 "both": ["b_tokens", "b_headers", "b_lists", "b_bold"]}[style]
        for m, model in enumerate(models):
            mine = [r["games"] for r in of if r["model"] == model
                    and None not in [g["score"] for g in r["games"]]]
            order = {"A": 0, "=": .5, "B": 1}
            first = [[order[g["score"][1] if "=" in g["score"] else g["score"][0]] for g in games]
                     for games in mine]
            decided = [v for pair in first for v in pair if v != .5]
            wanted[model, category] = {
                "score": 100 * score[m], "lower": 100 * np.percentile(boot[:, m], tail),
                "upper": 100 * np.percentile(boot[:, m], 100 - tail), "questions": len(mine),
                "order_flips": 100 * np.mean([a != 1 - b for a, b in first]),
                "shown_first": 100 * np.mean([v == 0 for v in decided]),
                **dict(zip(names, style_w))}
    compare(table, wanted)


command, arguments = sys.argv[1], sys.argv[2:]
if command == "make":
    make(*arguments)
elif command == "mtbench":
    mtbench(arguments[0], arguments[1], arguments[2:])
else:
    table, version, style, rounds, seed, judgments, *answers = arguments
    arenahard(table, version, style, int(rounds), int(seed), judgments, answers)
