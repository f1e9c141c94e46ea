"""Goldens of the plain model: one small folder for every supported feature of config.json."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from .models import SMALL, finite, logits_of, random_model, save_model, spread

# Each variant: what it covers, settings of the config, lengths of the sequences, and hand edits of config.json.
OLD_KEYS = ("head_dim", "rope_theta", "rope_scaling", "attention_bias", "mlp_bias", "attention_dropout",
            "pretraining_tp")
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
WIDE = dict(head_dim=32)  # more frequencies, so that the ramps of yarn and llama3 have an inside

VARIANTS = {
    "llama2": dict(covers="multi-head attention, untied; config.json with the keys of Llama 2 only",
                   settings=dict(num_attention_heads=4, num_key_value_heads=4), drop=OLD_KEYS),
    "gqa": dict(covers="grouped-query attention: 4 heads share 2 K/V heads",
                settings=dict(num_attention_heads=4, num_key_value_heads=2)),
    "head_dim": dict(covers="head_dim * heads differs from hidden_size",
                     settings=dict(num_attention_heads=3, num_key_value_heads=1, head_dim=24)),
    "tied": dict(covers="tie_word_embeddings: no lm_head.weight in the file", settings=dict(tie_word_embeddings=True)),
    "attention_bias": dict(covers="biases on q, k, v, o", settings=dict(attention_bias=True)),
    "mlp_bias": dict(covers="biases on gate, up, down", settings=dict(mlp_bias=True)),
    "rms_norm_eps": dict(covers="an rms_norm_eps large enough to matter", settings=dict(rms_norm_eps=1e-2)),
    "rope_theta": dict(covers="rope_theta 500000", settings=dict(rope_theta=500000.0)),
    "linear": dict(covers="rope_scaling linear", lengths=[96],
                   settings=dict(rope_scaling={"rope_type": "linear", "factor": 2.5})),
    "linear_type": dict(covers="rope_scaling with the old key `type`", lengths=[96],
                        settings=dict(), add=dict(rope_scaling={"type": "linear", "factor": 4.0})),
    "dynamic": dict(covers="rope_scaling dynamic: beyond, at and below max_position_embeddings",
                    lengths=[96, 64, 48, 32], settings=dict(max_position_embeddings=48,
                    rope_scaling={"rope_type": "dynamic", "factor": 2.0})),
    "yarn": dict(covers="rope_scaling yarn, defaults", lengths=[96, 24], settings=dict(rope_scaling=YARN, **WIDE)),
    "yarn_betas": dict(covers="yarn with beta_fast, beta_slow, no truncation", lengths=[96], settings=dict(
        rope_scaling={**YARN, "beta_fast": 6.0, "beta_slow": 0.7, "truncate": False}, **WIDE)),
    "yarn_attention_factor": dict(covers="yarn with attention_factor given", lengths=[96], settings=dict(
        rope_scaling={**YARN, "beta_fast": 8.0, "attention_factor": 0.8}, **WIDE)),
    "yarn_mscale": dict(covers="yarn with mscale and mscale_all_dim", lengths=[96], settings=dict(
        rope_scaling={**YARN, "mscale": 1.2, "mscale_all_dim": 0.6}, **WIDE)),
    "yarn_no_original": dict(covers="yarn that falls back to max_position_embeddings", lengths=[96], settings=dict(
        max_position_embeddings=48, rope_scaling={"rope_type": "yarn", "factor": 3.0}, **WIDE)),
    "llama3": dict(covers="rope_scaling llama3", lengths=[96, 24],
                   settings=dict(rope_theta=500000.0, rope_scaling=LLAMA3, **WIDE)),
    "rope_parameters": dict(covers="the newer rope_parameters, type default", lengths=[48],
                            settings=dict(rope_theta=50000.0), drop=("rope_theta", "rope_scaling"),
                            add=dict(rope_parameters={"rope_type": "default", "rope_theta": 50000.0})),
    "rope_parameters_llama3": dict(covers="the newer rope_parameters, type llama3", lengths=[96],
                                   settings=dict(rope_theta=70000.0, rope_scaling=LLAMA3, **WIDE),
                                   drop=("rope_theta", "rope_scaling"),
                                   add=dict(rope_parameters={**LLAMA3, "rope_theta": 70000.0})),
    "mistral": dict(covers="MistralForCausalLM without a sliding window", mistral=True, settings=dict()),
    "yi": dict(covers="Yi: LlamaForCausalLM, rope_theta 5000000", settings=dict(rope_theta=5e6)),
    "sharded": dict(covers="two shards and an index", settings=dict(), save=dict(max_shard_size="48KB")),
    "bfloat16": dict(covers="bfloat16 weights, expected in float32 after upcasting", settings=dict(),
                     dtype=torch.bfloat16),
    "ntk": dict(covers="rope_scaling ntk, which transformers writes as a larger rope_theta", lengths=[96],
                settings=dict(rope_theta=10000.0 * 4.0 ** (32 / 30), **WIDE), drop=("rope_theta", "rope_scaling"),
                add=dict(rope_theta=10000.0, rope_scaling={"rope_type": "ntk", "factor": 4.0})),
}


def make(root: Path, seed: int) -> dict:
    """Writes every variant below `root`; returns the entries of index.json."""
    entries = []
    for number, (name, variant) in enumerate(VARIANTS.items()):
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model = random_model(seed + number, variant.get("mistral", False), **variant["settings"])
        model.to(variant.get("dtype", torch.float32))
        save_model(model, folder, **variant.get("save", {}))
        # Expected values of a spelling that 4.57 does not read come from the same maths in one that it does.
        newer = "rope_parameters" in variant.get("add", {}) or name == "ntk"
        if not newer:
            save_model(model, folder, variant.get("drop", ()), variant.get("add"), **variant.get("save", {}))
        cases = []
        for length in variant.get("lengths", [48]):
            generator = torch.Generator().manual_seed(seed + 1000 * number + length)
            ids = torch.randint(0, SMALL["vocab_size"], (length,), generator=generator)
            logits, rounding = logits_of(folder, ids)
            if spread(logits) < 0.3 or rounding > 5e-6:
                raise ValueError(f"{name}: spread {spread(logits):.3f}, rounding {rounding:.1e}: a useless golden")
            file = f"expected-{length}.safetensors"
            save_file({"input_ids": ids, "logits": logits}, folder / file)
            cases.append({"file": file, "tokens": length, "float32_rounding": finite(rounding)})
        if newer:
            save_model(model, folder, variant["drop"], variant["add"], **variant.get("save", {}))
        entries.append({"name": name, "covers": variant["covers"], "cases": cases, "tolerance": 1e-5})
    return {"variants": entries}
