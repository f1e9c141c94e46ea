"""A plain transformers training loop as the peer of bench_pretrain: autocast to bfloat16, fused AdamW, clipping.

    -> (start)    <- {"ready": true, ...}
    -> step COUNT <- {"seconds": s, "tokens": t, "loss": l}: of the last step
    -> quit

`--dtype float32` leaves autocast out.
"""

import time

import torch

import random_peer

SHAPE = {"layers": 6, "hidden": 256, "ffn": 688, "heads": 4, "vocab": 4096, "batch": 16, "sequence": 512}


def steps(args, model, optimizer, ids, count):
    began = time.perf_counter()
    for _ in range(count):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.dtype == "bfloat16"):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return {"seconds": time.perf_counter() - began, "tokens": count * args.batch * args.sequence, "loss": loss.item()}


def main():
    args = random_peer.parse_arguments(__doc__, SHAPE)
    model = random_peer.random_llama(args, torch.float32, positions=args.sequence, tied=True).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    ids = torch.randint(args.vocab, (args.batch, args.sequence), generator=torch.Generator().manual_seed(1))
    random_peer.serve(args, "step", lambda count: steps(args, model, optimizer, ids, int(count)))


if __name__ == "__main__":
    main()
