#pragma once

#include "config/config.h"
#include "config/field_info.h"

// The part of config_keys.h that says how parameters are learnt.

namespace templora {

inline bool is_low_rank(const Config& c) { return c.lora.low_rank(); }
inline bool with_adamw(const Config& c) { return c.train.optimizer == OptimizerKind::adamw; }

template <class Visitor>
void visit_fields(LoraConfig& c, Visitor&& v) {
  v("rank", c.rank, FieldInfo{"inner size of the low-rank update", "", 1, 1 << 20}.where(is_low_rank));
  v("alpha", c.alpha, FieldInfo{"the update is scaled by alpha / rank", "", 0, 1e9}.where(is_low_rank));
  v("dropout", c.dropout,
    FieldInfo{"share of the update's inputs dropped in training", "", 0, 0.999}.where(is_low_rank));
  v("targets", c.targets, FieldInfo{"projections that get an update: any of q_proj k_proj v_proj o_proj gate_proj "
                                    "up_proj down_proj; of a phi3 model qkv_proj o_proj gate_up_proj down_proj"});
  v("layers", c.layers, FieldInfo{"indices of the layers that get an update; null: all", "", 0});
  v("init_from", c.init_from,
    FieldInfo{"PEFT adapter folder, or org/name[@revision] as in model.path, to start every document from; null: B = 0"}
        .input("init_from_hash").or_repository());
  v("init_parts", c.init_parts,
    FieldInfo{"what of init_from is taken: \"both\" A and B, or \"a\": A alone, with B = 0, so that the adapter starts "
              "as the base and learns in the directions that A names"}
        .where([](const Config& c) { return c.lora.init_from.has_value(); })
        .late());
  v("reset_every_tokens", c.reset_every_tokens,
    FieldInfo{"start a fresh adapter at the first chunk past each multiple of this position; 0: one adapter a "
              "document; -1: one for all documents, which goes on from each to the next (docs/adapt.md)",
              "tokens", double(kOneForAll)}
        .of(kPerplexity)
        .refused_by(kGeneration | kTranslation)
        .hashed_for(kGeneration | kTranslation));
  v("rows", c.rows,
    FieldInfo{"rows of a window that the adapter computes: \"all\"; or \"chunk\", the chunk's own, behind keys and "
              "values that the base made (docs/chunk-rows.md)"}
        .of(kPerplexity | kGeneration)
        .refused_by(kTranslation, "a translation has no chunk's rows apart from their context")
        .late());
  v("update", c.update,
    FieldInfo{"what is learnt of each projection: \"low_rank\", B A; or \"full\", all its weights, as dynamic "
              "evaluation does (docs/ablations.md); rank, alpha and dropout have no part then"}
        .late());
  v("save_final", c.save_final,
    FieldInfo{"write each document's last adapter as a PEFT folder, adapters/<book index>"});
}

template <class Visitor>
void visit_fields(TrainConfig& c, Visitor&& v) {
  v("enabled", c.enabled, FieldInfo{"train after each chunk; false scores with the adapter as it starts"});
  v("prefix_tokens", c.prefix_tokens,
    FieldInfo{"L_T: last tokens before a chunk that training puts in front of it, unlabelled", "tokens", 0,
              kMostTokens});
  v("label_prefix", c.label_prefix,
    FieldInfo{"label the prefix too: the loss is the mean over prefix and chunk (perplexity)"}
        .of(kPerplexity).refused_by(kGeneration | kTranslation).late());
  v("epochs", c.epochs, FieldInfo{"optimizer steps on each chunk", "steps", 1});
  v("learning_rate", c.learning_rate, FieldInfo{"the optimizer's step size after warm-up", "", 0});
  v("warmup_chunks", c.warmup_chunks,
    FieldInfo{"after chunk k = 0, 1, ... training runs at learning_rate * min(1, k / warmup_chunks), so chunk 0 "
              "trains at 0 (official: 2); excludes warmup_steps", "chunks", 0});
  v("warmup_steps", c.warmup_steps,
    FieldInfo{"step s = 1, 2, ... runs at learning_rate * min(1, s / warmup_steps) (corrected: 2); excludes "
              "warmup_chunks", "steps", 0});
  v("rate_decay", c.rate_decay,
    FieldInfo{"how the rate falls beside its warm-up: \"sqrt\" divides it by √(1 + k) at the adapter's chunk k = 0, 1, "
              "..., \"linear\" lets it fall from the first token to 0 at the end of what the adapter reads "
              "(perplexity)"}
        .late());
  v("clip_norm", c.clip_norm, FieldInfo{"largest global gradient norm; 0 does not clip", "", 0, 1e9});
  v("optimizer", c.optimizer,
    FieldInfo{
        "\"adamw\", \"sgd\", or \"rms\": steps divided by the root of the document's mean squared gradient, as in "
        "dynamic evaluation (docs/ablations.md)"}
        .late());
  v("adam_beta1", c.adam_beta1, FieldInfo{"decay of AdamW's first moment", "", 0, 0.999999}.where(with_adamw));
  v("adam_beta2", c.adam_beta2, FieldInfo{"decay of AdamW's second moment", "", 0, 0.99999999}.where(with_adamw));
  v("adam_eps", c.adam_eps, FieldInfo{"added to the root of the second moment", "", 0, 1, true}.where(with_adamw));
  v("weight_decay", c.weight_decay, FieldInfo{"AdamW's decoupled decay", "", 0, 1}.where(with_adamw));
  v("rms_eps", c.rms_eps, FieldInfo{"rms: added to the root of the mean squared gradient", "", 0, 1, true}
        .where([](const Config& c) { return c.train.optimizer == OptimizerKind::rms; }));
  v("decay_to_start", c.decay_to_start,
    FieldInfo{
        "λ, the share of the way back to its first weights that the adapter goes at each step, whatever the rate; rms "
        "gives weights with larger gradients a larger share",
        "", 0, 1}
        .where([](const Config& c) { return !with_adamw(c) || c.train.decay_to_start > 0; }));
  v("moments", c.moments, FieldInfo{"\"keep\" the optimizer's moments over the document or \"reset\" them per chunk"});
  v("stop_after_tokens", c.stop_after_tokens,
    FieldInfo{"train on chunks that end within the first tokens of each document only; 0: on all", "tokens", 0}
        .of(kPerplexity | kGeneration)
        .refused_by(kTranslation)
        .hashed_for(kTranslation));
  v("update_every_chunks", c.update_every_chunks,
    FieldInfo{"k: learn an adapter's chunks 0, k, 2k, ... only; the others are scored, never learnt (perplexity)",
              "chunks", 1, kMostTokens}
        .of(kPerplexity)
        .refused_by(kGeneration | kTranslation)
        .late());
  v("hard_quantile", c.hard_quantile,
    FieldInfo{
        "q: learn a chunk only if the adapter's mean NLL on it is at least the q-quantile of the document's earlier "
        "chunks' (perplexity); 0: learn all",
        "", 0, 0.999999}
        .of(kPerplexity)
        .refused_by(kGeneration | kTranslation)
        .late());
  v("hard_after_chunks", c.hard_after_chunks,
    FieldInfo{"hard_quantile: first scored chunks of a document, which are learnt whatever their NLL", "chunks", 1,
              kMostTokens}
        .of(kPerplexity)
        .where([](const Config& c) { return c.train.hard_quantile != TrainConfig().hard_quantile; }));
  v("steps_by_gap", c.steps_by_gap,
    FieldInfo{
        "more optimizer steps, up to 4 * epochs, on chunks that their context helps more than others, fewer on others "
        "(perplexity): epochs * gap / (its mean so far); gap: NLL behind gap_context_tokens minus that behind L_X"}
        .of(kPerplexity)
        .refused_by(kGeneration | kTranslation)
        .late());
  v("gap_context_tokens", c.gap_context_tokens,
    FieldInfo{"steps_by_gap: the short context, less than L_X", "tokens", 1, kMostTokens}
        .of(kPerplexity)
        .where([](const Config& c) { return c.train.steps_by_gap; }));
  v("prefix_gradient", c.prefix_gradient,
    FieldInfo{"whether training goes back through the prefix's rows; false: the adapter makes their keys and values "
              "anew for each step, and they stand as constants (perplexity)"}
        .of(kPerplexity)
        .refused_by(kGeneration | kTranslation)
        .late());
  v("replay_share", c.replay_share,
    FieldInfo{"share of a step's labels that come from an earlier chunk, drawn from seed anew for each step "
              "(perplexity); 0: none",
              "", 0, 0.9}
        .of(kPerplexity)
        .refused_by(kGeneration | kTranslation)
        .late());
  v("lag_chunks", c.lag_chunks,
    FieldInfo{"0: train on a chunk before the next is scored; 1: one chunk later (the paper's parallelized "
              "deployment)", "chunks", 0, 1}
        .of(kPerplexity | kGeneration)
        .refused_by(kTranslation)
        .hashed_for(kTranslation));
}

template <class Visitor>
void visit_fields(PretrainConfig& c, Visitor&& v) {
  v("layers", c.layers, FieldInfo{"decoder layers", "", 1, 4096});
  v("hidden", c.hidden, FieldInfo{"size of the residual stream; a multiple of 2 * heads", "", 2, 1 << 20});
  v("ffn", c.ffn, FieldInfo{"inner size of the gated feed-forward part", "", 1, 1 << 20});
  v("heads", c.heads, FieldInfo{"query heads; hidden / heads is the size of each", "", 1, 1 << 16});
  v("kv_heads", c.kv_heads, FieldInfo{"key and value heads, a divisor of heads; null: heads", "", 1, 1 << 16});
  v("tied_embeddings", c.tied_embeddings, FieldInfo{"the output projection is the embedding's weight"});
  v("rms_norm_eps", c.rms_norm_eps, FieldInfo{"added to the mean square in each norm", "", 0, 1, true});
  v("rope_theta", c.rope_theta, FieldInfo{"base of the rotary angles", "", 1});
  v("init_std", c.init_std, FieldInfo{"standard deviation of the initial weights", "", 0, 1, true});
  v("sequence_tokens", c.sequence_tokens,
    FieldInfo{"length of a training sequence, and the model's positions", "tokens", 1, kMostTokens});
  v("batch_sequences", c.batch_sequences, FieldInfo{"sequences of one optimizer step", "sequences", 1, 1 << 20});
  v("micro_sequences", c.micro_sequences,
    FieldInfo{"sequences that a thread computes at once: bounds memory, and small ones stay in the cache", "sequences",
              1, 1 << 20});
  v("passes", c.passes,
    FieldInfo{"times that the corpus is seen; unused where tokens is given", "", 0, 1e6, true}.free());
  v("tokens", c.tokens,
    FieldInfo{"tokens to train on; null: passes over the corpus. A resumed run may give another number", "tokens", 1,
              1e15}
        .free());
  v("learning_rate", c.learning_rate, FieldInfo{"AdamW's step size after warm-up", "", 0});
  v("warmup_steps", c.warmup_steps, FieldInfo{"the rate rises linearly over these", "steps", 0});
  v("min_learning_rate_share", c.min_learning_rate_share,
    FieldInfo{"the cosine ends at this share of learning_rate", "", 0, 1});
  v("adam_beta1", c.adam_beta1, FieldInfo{"decay of AdamW's first moment", "", 0, 0.999999});
  v("adam_beta2", c.adam_beta2, FieldInfo{"decay of AdamW's second moment", "", 0, 0.99999999});
  v("adam_eps", c.adam_eps, FieldInfo{"added to the root of the second moment", "", 0, 1, true});
  v("weight_decay", c.weight_decay, FieldInfo{"AdamW's decoupled decay of the matrices; norms have none", "", 0, 1});
  v("clip_norm", c.clip_norm, FieldInfo{"largest global gradient norm; 0 does not clip", "", 0, 1e9});
  v("save_every_steps", c.save_every_steps, FieldInfo{"steps between saved states", "steps", 1}.is(Role::bookkeeping));
  v("validate_every_steps", c.validate_every_steps,
    FieldInfo{"steps between looks at the held-out texts", "steps", 1});
  v("validation_tokens", c.validation_tokens,
    FieldInfo{"of the held-out tokens, how many these looks read, spread evenly; the last reads all", "tokens", 1});
  v("token_cache", c.token_cache, FieldInfo{"folder that keeps the texts' token ids between runs; null: none"}
        .kept_in_folder());
}

}  // namespace templora
