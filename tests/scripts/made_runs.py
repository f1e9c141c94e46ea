"""Run folders as perplexity runs leave them, with made-up numbers, for tests of reports."""

import array
import json
import math
import pathlib


def base_nll(book, position):
    return 3 + 0.2 * book + 0.3 * math.sin(position / 17)


def gain(position, most):
    """Nats by which the adapter is better after so many tokens."""
    return most * (1 - math.exp(-position / 400))


def make_run(folder, settings=None, seed=42, books=8, tokens=2400, most=0.1, edges=(0, 800, 1600), notes=None):
    """A finished run; `settings` are dotted keys of its config beside the usual ones."""
    folder = pathlib.Path(folder)
    (folder / "nll").mkdir(parents=True)
    config = {"experiment": "perplexity", "seed": seed, "fidelity": "corrected",
              "model": {"path": "/models/small-6m"}, "data": {"books": ["/b/*.txt"]},
              "window": {"chunk_tokens": 100, "context_tokens": 100}, "score": {"segment_edges": list(edges)},
              "train": {"prefix_tokens": 100, "learning_rate": 0.0005}, "lora": {"rank": 64},
              "cache": {"policy": "rebuild", "window_tokens": None}, "run": {"threads": 1}, "notes": notes}
    for key, value in (settings or {}).items():
        section, name = key.split(".")
        config[section][name] = value
    identity = {"config_hash": f"{abs(hash((folder.name, 'made'))):012x}"[:12], "weights_hash": "feedfacefeedface",
                "text_0_hash": "a", "device": "cpu", "threads": 1}
    (folder / "run.json").write_text(json.dumps({"templora_version": "0.1.0", "config": config, "identity": identity,
                                                 "processor": "a processor"}))
    delta = config["window"]["chunk_tokens"]
    records, chunks = [], []
    for book in range(books):
        name = f"book_{book}.txt"
        records.append({"book": name, "book_index": book, "tokens": tokens, "text_bytes": 4 * tokens,
                        "words": tokens // 2, "text_hash": f"hash{book}", "fits_one_window": False})
        files = {"base": array.array("f"), "lora": array.array("f")}
        for chunk, first in enumerate(range(0, tokens, delta)):
            size = min(delta, tokens - first)
            scored = size - (first == 0)
            base = array.array("f", [base_nll(book, t) for t in range(first + size - scored, first + size)])
            lora = array.array("f", [value - gain(first + i, most) - 0.01 * math.sin(2.1 * book + seed)
                                     for i, value in enumerate(base)])
            files["base"].extend(base)
            files["lora"].extend(lora)
            chunks.append({"book": name, "book_index": book, "chunk": chunk, "first_token": first, "tokens": size,
                           "scored_tokens": scored, "context_tokens": min(first, 100), "base_nll": sum(base) / scored,
                           "lora_nll": sum(lora) / scored, "train_loss": [3.5], "grad_norm": [0.5],
                           "learning_rate": 0.001, "adapter_version": chunk, "trained_chunk": chunk,
                           "shared_forward": False, "seconds": {"score": 0.2, "score_base": 0.1, "train_forward": 0.3,
                                                                       "train_backward": 0.6}})
        for arm, values in files.items():
            (folder / "nll" / f"{book}-{arm}.f32").write_bytes(values.tobytes())
    for name, lines in (("books.jsonl", records), ("chunks.jsonl", chunks)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "summary.json").write_text(json.dumps({"peak_rss_bytes": 5e8, "cost": {"flops": 1e12 * delta}}))


def make_grid(folder, chunks=(50, 100), contexts=(50, 100), seeds=(1, 2), **more):
    """Runs over three axes; their folders."""
    folders = []
    for chunk in chunks:
        for context in contexts:
            for seed in seeds:
                folders.append(pathlib.Path(folder) / f"d{chunk}-x{context}-s{seed}")
                make_run(folders[-1], {"window.chunk_tokens": chunk, "window.context_tokens": context}, seed,
                         most=0.1 + 0.0005 * context - 0.0004 * chunk + 0.005 * seed, **more)
    return folders


def make_translation(folder, case, novels=8, notes=None):
    """A finished translation run over the corpus `case` of tests/goldens/paired, cut into novels."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    config = {"experiment": "translation", "seed": 42, "model": {"path": "/models/small-6m"},
              "data": {"novels": ["/n/*.train"]}, "translation": {"context": "k1", "history": "reference"},
              "lora": {"rank": 64}, "run": {"threads": 1}, "notes": notes}
    (folder / "run.json").write_text(json.dumps({"templora_version": "0.1.0", "config": config, "processor": "p",
                                                 "identity": {"config_hash": "0123456789ab", "text_0_hash": "a"}}))
    pairs, comet, texts = [], [], list(zip(case["references"], case["first"], case["second"]))
    for i, (reference, base, lora) in enumerate(texts):
        place = {"novel_index": i * novels // len(texts), "chunk": 0, "pair": i}
        pairs.append({**place, "novel": f"novel_{place['novel_index']}.train", "zh": "z", "en": reference,
                      "skipped": False, "reference_history": True, "reference_tokens": 9, "base_nll": 3.0,
                      "lora_nll": 2.9, "base_text": base, "lora_text": lora, "base_ids": [1], "lora_ids": [1],
                      "base_stopped": True, "lora_stopped": True, "base_prompt_tokens": 5, "lora_prompt_tokens": 5,
                      "cut_pairs": 0})
        comet.append({**place, "base_comet": case["first_comet"][i], "lora_comet": case["second_comet"][i]})
    for name, lines in (("pairs.jsonl", pairs), ("comet.jsonl", comet)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    scores = {side: {"perplexity": ppl, "sentence_perplexity": ppl + 1, "released_bleu": 0.4,
                     **{score: case[name][place] for score, name in (("bleu", "bleu"), ("chrf2", "chrf2"),
                                                                     ("comet", "comet"))}}
              for side, place, ppl in (("base", "first", 20.1), ("lora", "second", 18.2))}
    (folder / "summary.json").write_text(json.dumps({"all": {"label": "all", "tokens": 9 * len(texts), **scores},
                                                     "novels": [{}] * novels, "peak_rss_bytes": 5e8}))
