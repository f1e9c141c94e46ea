"""Runs the translation experiment and the released GuoFeng loop on the same fresh inputs and compares every sentence.

Called by scripts/parity translation. With --tokenizer and --novels (such as Yi's and two GuoFeng files) on these, else
on a small tokenizer and made-up novels. BLEU and chrF2 are compared with sacrebleu where that can be imported.
Exit codes: 0 all within tolerance, 1 not, 2 usage.
"""

import argparse
import io
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sentencepiece
import torch
import transformers
from transformers import LlamaTokenizer

from .adapters import new_adapter, open_adapter, save_adapter
from .guofeng import SETTINGS, run_novel
from .guofeng_text import GuoFengText
from .live import nested
from .made_up_novel import novel
from .models import load_model, random_model, save_model

ROOT = Path(__file__).resolve().parents[2]
NLL_TOLERANCE, TIE, SCORE_TOLERANCE = 1e-4, 1e-4, 1e-6
RANK, ALPHA = 4, 16
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=4096, initializer_range=0.12, tie_word_embeddings=True)
CASES = {  # changed settings, official tokenisation
    "official": ({}, True),
    "corrected": ({"context": "k3"}, False),
    "warmup_chunks": ({"train.warmup_chunks": 2, "train.warmup_steps": None}, True),
    "own": ({"history": "own"}, True),
}


def made_up_inputs(folder: Path, seed: int) -> tuple[Path, list[Path]]:
    """A tokenizer with ChatML's marks and without BOS, as Yi's is, and two novels."""
    novels = []
    for number in range(2):
        path = folder / f"novel-{number}.train"
        path.write_text(json.dumps(novel(seed + number, 3, 5), ensure_ascii=False), encoding="utf-8")
        novels.append(path)
    lines = [pair[side] for record in novel(seed + 9, 40, 8) for pair in record["inference"] for side in ("zh", "en")]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=400, byte_fallback=True,
        character_coverage=0.99, add_dummy_prefix=False, remove_extra_whitespaces=False,
        user_defined_symbols=["<|im_start|>", "<|im_end|>"], normalization_rule_name="identity", minloglevel=2)
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.model").write_bytes(model.getvalue())
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": False,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}) + "\n")
    return folder / "tokenizer", novels


def make_model(folder: Path, text: GuoFengText, records: list[dict], vocab: int, steps: int, seed: int) -> None:
    """folder/model learned the format from single sentences of the novels; folder/adapter has B = 0."""
    model = random_model(seed, vocab_size=vocab, **SMALL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, foreach=False, fused=False)
    pairs = [pair for record in records for pair in record["inference"]]
    for step in range(steps):
        at = (step * 7) % max(1, len(pairs) - 2)
        ids = torch.tensor([text.lesson([], pairs[at:at + 2])[0]])
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_model(model.eval(), folder / "model")
    save_adapter(new_adapter(model, seed + 1, RANK, ALPHA), folder / "adapter", "../model")


def run_templora(program: Path, folder: Path, name: str, config: dict) -> tuple[list[dict], dict, float]:
    (folder / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")
    began = time.monotonic()
    done = subprocess.run([program, "run", folder / f"{name}.json", "--out", folder / f"run-{name}"],
                          capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise SystemExit(f"parity: {program.name} ended with {done.returncode}: "
                         f"{done.stderr.strip().splitlines()[-1:]}")
    pairs = [json.loads(line) for line in (folder / f"run-{name}" / "pairs.jsonl").read_text().splitlines()]
    return pairs, json.loads((folder / f"run-{name}" / "summary.json").read_text()), time.monotonic() - began


def scores_apart(summary: dict, answers: dict[str, list[tuple[str, str]]]) -> float:
    """Largest difference of BLEU, chrF2 (0–100) and the released script's BLEU to sacrebleu's of the reference's
    texts."""
    try:
        import sacrebleu
    except ImportError:
        return float("nan")
    worst = 0.0
    for who, texts in answers.items():
        hypotheses, references = [text for text, _ in texts], [[en for _, en in texts]]
        ours = summary["all"][who]
        bleu, chrf = sacrebleu.metrics.BLEU(), sacrebleu.metrics.CHRF()
        plain = sacrebleu.metrics.BLEU(smooth_method="none").corpus_score(hypotheses,
                                                                          [[en.strip() for en in references[0]]])
        worst = max(worst, abs(ours["bleu"] - bleu.corpus_score(hypotheses, references).score),
                    abs(ours["chrf2"] - chrf.corpus_score(hypotheses, references).score),
                    abs(100 * ours["released_bleu"] - plain.score))
        if ours["bleu_signature"] != str(bleu.get_signature()):
            raise SystemExit(f"parity: signature {ours['bleu_signature']}, wanted {bleu.get_signature()}")
    return worst


def run_case(name: str, args, folder: Path, tokenizer, novels: list[tuple[str, list[dict]]]) -> bool:
    changes, official = CASES[name]
    settings = {**SETTINGS, "max_new_tokens": args.max_new_tokens, "train.learning_rate": args.learning_rate, **changes}
    text = GuoFengText(tokenizer, "chatml", official)
    config = nested({
        "experiment": "translation", "seed": args.seed, "model.path": str(folder / "model"),
        "model.tokenizer": str(args.tokenizer), "model.dtype": "float32", "model.device": "cpu",
        "data.novels": [str(path) for path in args.novels], "data.max_chunks": args.chunks,
        "translation.context": settings["context"], "translation.history": settings["history"],
        "translation.tokenization": "official" if official else "corrected",
        "generate.max_new_tokens": settings["max_new_tokens"],
        "generate.repetition_penalty": settings["repetition_penalty"],
        "lora.rank": RANK, "lora.alpha": ALPHA, "lora.dropout": 0.0, "lora.init_from": str(folder / "adapter"),
        "run.threads": 1, **{key: value for key, value in settings.items() if key.startswith("train.")}})
    ours, summary, seconds = run_templora(args.templora, folder, name, config)

    began = time.monotonic()
    pairs, answers = iter(ours), {"base": [], "lora": []}
    worst, moved, same, ties, wrong, stopped = 0.0, 0.0, 0, 0, 0, 0
    for _, records in novels:
        model = open_adapter(load_model(folder / "model"), folder / "adapter")
        for record, chunk in zip(records, run_novel(model, text, records, settings)):
            for i, pair in enumerate(record["inference"]):
                our = next(pairs)
                for who in ("base", "lora"):
                    wanted = chunk[who][i]
                    if wanted is None:
                        continue
                    worst = max(worst, abs(our[f"{who}_nll"] - wanted["nll"]))
                    answers[who].append((wanted["text"], pair["en"]))
                    stopped += our[f"{who}_stopped"]
                    if our[f"{who}_ids"] == wanted["ids"] and our[f"{who}_text"] == wanted["text"]:
                        same += 1
                        continue
                    apart = next((t for t, (a, b) in enumerate(zip(our[f"{who}_ids"], wanted["ids"])) if a != b), None)
                    tie = apart is not None and wanted["gaps"][apart] < TIE
                    ties, wrong = ties + tie, wrong + (not tie)
                    if not tie:
                        where = "same ids" if apart is None else f"token {apart}, gap {wanted['gaps'][apart]:.1e}"
                        print(f"{name}: {our['novel']} chunk {our['chunk']} pair {our['pair']} {who}: {where}: got "
                              f"{our[f'{who}_text']!r}, wanted {wanted['text']!r}", flush=True)
                if chunk["base"][i]:
                    moved = max(moved, abs(chunk["base"][i]["nll"] - chunk["lora"][i]["nll"]))
    reference_seconds = time.monotonic() - began
    apart = scores_apart(summary, answers) if ties == 0 else float("nan")  # of other texts the scores differ
    scores = "not compared" if math.isnan(apart) else f"apart {apart:.1e}"
    good = worst <= NLL_TOLERANCE and wrong == 0 and not apart > SCORE_TOLERANCE
    verdict = "TOO FAR" if not good else "ok" if moved >= 0.03 else "PROVES NOTHING: the adapter moved too little"
    print(f"{name:14} {same} of {same + ties + wrong} texts equal ({stopped} stopped), {ties} ties, {wrong} wrong  "
          f"NLL {worst:.1e} (moved by {moved:.2f})  BLEU {summary['all']['base']['bleu']:.3f} / "
          f"{summary['all']['lora']['bleu']:.3f}, scores "
          f"{scores}  {seconds:.0f} s, reference {reference_seconds:.0f} s  {verdict}", flush=True)
    return verdict == "ok"


def main() -> int:
    parser = argparse.ArgumentParser(prog="parity translation", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {' '.join(CASES)}; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--templora", type=Path, default=ROOT / "build" / "templora", help="the program")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="folder with tokenizer.model")
    parser.add_argument("--novels", type=Path, nargs="+", metavar="FILE", help="GuoFeng files")
    parser.add_argument("--chunks", type=int, default=3, help="first chunks of each novel (default: %(default)s)")
    parser.add_argument("--max-new-tokens", type=int, default=24)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--teach", type=int, default=120, help="steps that the model learns the format for")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    unknown = [case for case in args.cases if case not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]}; there are {' '.join(CASES)}")
    if bool(args.tokenizer) != bool(args.novels):
        parser.error("--tokenizer and --novels belong together")
    if not args.templora.exists():
        parser.error(f"{args.templora}: not built; run scripts/test or name it with --templora")
    folder = Path(tempfile.mkdtemp())
    try:
        if not args.tokenizer:
            args.tokenizer, args.novels = made_up_inputs(folder, args.seed)
        args.templora, args.tokenizer = args.templora.absolute(), args.tokenizer.absolute()
        args.novels = [path.absolute() for path in args.novels]
        tokenizer = LlamaTokenizer.from_pretrained(args.tokenizer)
        novels = [(path.name, json.loads(path.read_text(encoding="utf-8"))[:args.chunks]) for path in args.novels]
        make_model(folder, GuoFengText(tokenizer, "chatml", True), [r for _, records in novels for r in records],
                   max(len(tokenizer), tokenizer.vocab_size), args.teach, args.seed)
        print(f"seed {args.seed}, torch {torch.__version__}, transformers {transformers.__version__}, "
              f"{len(tokenizer)} ids, {len(novels)} novels of at most {args.chunks} chunks")
        return 0 if all([run_case(name, args, folder, tokenizer, novels) for name in args.cases or CASES]) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
