"""Compares greedy decoding with transformers' generate, token for token, on fresh random models.

    PYTHONPATH=scripts python -m reference.decode_live [--prompts 200] [--seed N] [--bench build/bench_decode] \
        [--model DIR ...] [--no-random]

Half of the prompts of each model go in one batch of unequal lengths whose cache has to grow, half go alone; each
with and without a repetition penalty, in float64 and in float32. In float64 every token has to be equal. In
float32 a first difference is allowed where the two best logits are less than 1e-4 apart, as another order of
summation can swap them. Exit codes: 0 all equal by this rule, 1 not.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.sides import Side  # noqa: E402

from .models import load_model, random_model, save_model  # noqa: E402

SHAPES = {
    "llama": dict(num_attention_heads=4, num_key_value_heads=4),
    "gqa, tied": dict(num_attention_heads=8, num_key_value_heads=2, tie_word_embeddings=True),
    "biases": dict(num_attention_heads=4, num_key_value_heads=2, attention_bias=True, mlp_bias=True),
    "llama3 rope": dict(num_attention_heads=4, num_key_value_heads=1, rope_theta=5e5, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64}),
    "yarn": dict(num_attention_heads=4, num_key_value_heads=2, rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}),
}
COMMON = dict(vocab_size=300, hidden_size=64, intermediate_size=160, num_hidden_layers=3, max_position_embeddings=256,
              initializer_range=0.12)
NEW, PENALTY, TIE = 48, 1.12, 1e-4


@torch.no_grad()
def reference(model, prompt, penalty):
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False,
                         repetition_penalty=penalty, eos_token_id=None, pad_token_id=0)
    return out[0, len(prompt):].tolist()


@torch.no_grad()
def margin(model, tokens, penalty):
    """Distance of the two best penalised logits of the token after `tokens`."""
    ids = torch.tensor([tokens])
    logits = model(ids).logits[:, -1].float()
    if penalty != 1:
        logits = transformers.RepetitionPenaltyLogitsProcessor(penalty)(ids, logits)
    best = logits.topk(2).values[0]
    return (best[0] - best[1]).item()


def compare(name, folder, dtype, bench, count, seed):
    """→ (tokens compared, equal texts, near ties, real differences)."""
    chance = random.Random(f"{name} {seed}")
    model = load_model(folder, torch.float64)
    vocab = model.config.vocab_size
    prompts = [[chance.randrange(vocab) for _ in range(chance.randint(1, 90))] for _ in range(count)]
    tokens = equal = ties = wrong = 0
    with Side(name, [bench, "--model", folder, "--dtype", dtype, "--threads", 1]) as side:
        for penalty in (1.0, PENALTY):
            batched = prompts[:count // 2]
            groups = [batched] * bool(batched) + [[prompt] for prompt in prompts[count // 2:]]
            for group in groups:
                asked = {"prompts": group, "max_new_tokens": NEW, "repetition_penalty": penalty, "capacity": 3}
                for prompt, own in zip(group, side.ask(f"generate {json.dumps(asked)}")["tokens"]):
                    wanted = reference(model, prompt, penalty)
                    tokens += len(wanted)
                    if own == wanted:
                        equal += 1
                        continue
                    at = next((i for i, (a, b) in enumerate(zip(own, wanted)) if a != b), None)
                    if at is None:
                        wrong += 1
                        print(f"  {name}, {dtype}, penalty {penalty}: {len(own)} tokens, wanted {len(wanted)}")
                        continue
                    gap = margin(model, prompt + wanted[:at], penalty)
                    allowed = dtype != "float64" and gap < TIE
                    ties += allowed
                    wrong += not allowed
                    print(f"  {name}, {dtype}, penalty {penalty}: token {at} is {own[at]}, wanted {wanted[at]}; the "
                          "two "
                          f"best logits are {gap:.1e} apart{' (allowed)' if allowed else ''}")
    return tokens, equal, ties, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200, help="of all models together (default 200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bench", type=Path, default=ROOT / "build" / "bench_decode")
    parser.add_argument("--model", type=Path, action="append", default=[],
                        help="a model folder, before the random ones")
    parser.add_argument("--no-random", action="store_true", help="the models of --model alone")
    args = parser.parse_args()
    if args.no_random and not args.model:
        parser.error("--no-random: got no --model, wanted at least one; name a model folder")
    models = len(args.model) + (0 if args.no_random else len(SHAPES))
    if args.prompts < 2 * models:
        parser.error(f"--prompts: got {args.prompts} for {models} models, wanted at least two each")
    if len({path.name for path in args.model}) != len(args.model):
        parser.error("--model: got two folders of one name; results are shown by name")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folders = {path.name: path for path in args.model}
        for number, (name, settings) in enumerate(() if args.no_random else SHAPES.items()):
            folders[name] = Path(temporary) / str(number)
            save_model(random_model(args.seed + number, **{**COMMON, **settings}), folders[name])
        for name, folder in folders.items():
            for dtype in ("float64", "float32"):
                tokens, equal, ties, wrong = compare(name, folder, dtype, args.bench, args.prompts // len(folders),
                                                     args.seed)
                failed += wrong
                print(f"{name}, {dtype}: {tokens} tokens, {equal} texts equal, {ties} part at a near tie, {wrong} "
                      "differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
