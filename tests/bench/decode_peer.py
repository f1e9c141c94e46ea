"""transformers' generate as the peer of bench_decode: greedy, with its K/V cache, on a random model.

    -> (start)                  <- {"ready": true, ...}
    -> decode BATCH CONTEXT NEW <- {"seconds": s, "tokens": t}: from the first new token to the last
    -> quit

`--adapter 1` puts a PEFT adapter on all projections.
"""

import time

import torch
import transformers

import random_peer


class Stamps(transformers.StoppingCriteria):
    """Never stops; notes when each token was there."""

    def __init__(self):
        self.times = []

    def __call__(self, input_ids, scores, **kwargs):
        self.times.append(time.perf_counter())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


@torch.no_grad()
def decode(model, vocab, batch, context, count):
    ids = torch.randint(vocab, (batch, context), generator=torch.Generator().manual_seed(1))
    stamps = Stamps()
    model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count + 1, do_sample=False,
                   stopping_criteria=transformers.StoppingCriteriaList([stamps]))
    return {"seconds": stamps.times[-1] - stamps.times[0], "tokens": batch * count}


def main():
    args = random_peer.parse_arguments(__doc__, {"adapter": 0})
    model = random_peer.build_model(args, args.adapter)
    random_peer.serve(args, "decode", lambda *words: decode(model, args.vocab, *map(int, words)))


if __name__ == "__main__":
    main()
