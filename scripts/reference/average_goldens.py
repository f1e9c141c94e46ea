"""Goldens of averaged adapters: means of products as whole matrices in numpy, and their singular values."""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

SHAPES = {"model.layers.1.self_attn.q_proj": (32, 24), "model.layers.1.self_attn.k_proj": (3, 24),
          "model.layers.1.mlp.down_proj": (24, 40)}  # [out, in]; k_proj has fewer rows than the ranks add up to
ADAPTERS = {"first": dict(rank=4, alpha=8.0), "second": dict(rank=2, alpha=2.0), "third": dict(rank=4, alpha=6.0)}
RANKS = [1, 4, 7, 10]


def write_adapter(folder: Path, rank: int, alpha: float, generator) -> dict:
    """A PEFT folder of random factors. → float64 product of each module."""
    tensors, products = {}, {}
    for module, (rows, columns) in SHAPES.items():
        a = generator.uniform(-1, 1, (rank, columns)).astype(np.float32) / np.float32(np.sqrt(columns))
        b = generator.normal(0, 0.3, (rows, rank)).astype(np.float32)
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b
        products[module] = alpha / rank * b.astype(np.float64) @ a.astype(np.float64)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "org/base", "r": rank,
        "lora_alpha": alpha, "bias": "none", "target_modules": ["down_proj", "k_proj", "q_proj"],
        "layers_to_transform": [1], "layers_pattern": "layers"}, indent=1) + "\n")
    return products


def cut(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, float]:
    """The nearest matrix of that rank, and which share of the squared norm it has."""
    u, s, vh = np.linalg.svd(matrix, full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ vh[:rank], float((s[:rank] ** 2).sum() / (s ** 2).sum())


def make(root: Path, seed: int) -> dict:
    """root/<adapter>/ (PEFT folders), expected.safetensors (<rank>.<module>, float64), kept.json."""
    generator = np.random.default_rng(seed)
    products = []
    for name, settings in ADAPTERS.items():
        shutil.rmtree(root / name, ignore_errors=True)
        products.append(write_adapter(root / name, settings["rank"], settings["alpha"], generator))
    expected, kept = {}, {}
    for rank in RANKS:
        for module in SHAPES:
            matrix, share = cut(sum(p[module] for p in products) / len(products), rank)
            expected[f"{rank}.{module}"] = np.ascontiguousarray(matrix)
            kept[f"{rank}.{module}"] = share
    if not 0.05 < min(kept.values()) < 0.9 or max(kept.values()) < 1 - 1e-9:
        raise ValueError(f"average: kept {kept}: a useless golden")
    save_file(expected, root / "expected.safetensors")
    (root / "kept.json").write_text(json.dumps(kept, indent=1) + "\n")
    return {"adapters": ADAPTERS, "ranks": RANKS, "shapes": SHAPES, "numpy": np.__version__}
