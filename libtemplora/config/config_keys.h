#pragma once

#include <cstdint>

#include "core/cpus.h"
#include "config/config.h"
#include "config/field_info.h"
#include "config/lengths.h"

namespace templora {

/// No sequence is longer: keeps sums of token counts far from overflow.
inline constexpr double kMostTokens = 1 << 30;

inline bool with_adamw(const Config& c) { return c.train.optimizer == OptimizerKind::adamw; }

/// Names every field of a section: `v(name, member, FieldInfo)`. This is the single place that names a field, its unit,
/// its range, its help, who uses it and what it decides; parsing, `--set`, the effective config in each run, hashes,
/// what an experiment refuses, which runs are alike, the JSON schema and the reference page all come from it.
template <class Visitor>
void visit_fields(ModelConfig& c, Visitor&& v) {
  v("path", c.path,
    FieldInfo{"Hugging Face model folder, or org/name[@revision] of one in the local Hugging Face cache"}
        .of(kStreaming).input("weights_hash").or_repository().hashed_for(kPretrain));
  v("tokenizer", c.tokenizer,
    FieldInfo{"tokenizer.model, tokenizer.json or a folder holding one; null: the model folder"}
        .input("tokenizer_hash").or_repository());
  v("dtype", c.dtype, FieldInfo{"dtype of the base weights and activations; LoRA weights are float32 always"});
  v("device", c.device, FieldInfo{"\"cpu\", \"cuda\", \"cuda:N\" or \"auto\" (cuda if there is one)"});
  v("rope_scaling", c.rope_scaling,
    FieldInfo{"replaces rope_scaling of config.json (an object as Hugging Face writes it); null keeps it"}
        .of(kStreaming)
        .refused_by(kPretrain, "a new model has no positions to stretch")
        .hashed_for(kPretrain));
  v("allow_beyond_positions", c.allow_beyond_positions,
    FieldInfo{"allow windows longer than the model's max_position_embeddings"});
}

template <class Visitor>
void visit_fields(DataConfig& c, Visitor&& v) {
  v("books", c.books, FieldInfo{"text files or globs, UTF-8, one book a file, relative to this config"}
        .of(kPerplexity | kPretrain)
        .input("text_", "training_hash")
        .hashed_for(kGeneration));
  v("max_tokens", c.max_tokens,
    FieldInfo{"keep the first tokens of each book only; 0 keeps all", "tokens", 0}
        .of(kPerplexity)
        .refused_by(kPretrain,
                    "the pretrain experiment reads whole texts; pretrain.tokens says how many tokens are learnt")
        .hashed_for(kPretrain | kGeneration));
  v("strip", c.strip,
    FieldInfo{"remove outer white space of each book before it is tokenised"}
        .of(kPerplexity | kPretrain).hashed_for(kGeneration));
  v("exclude", c.exclude,
    FieldInfo{"pretrain: file names or globs of file names among the books that are left out"}.of(kPretrain));
  v("validation", c.validation,
    FieldInfo{"pretrain: held-out text files or globs, relative to this config"}
        .of(kPretrain).input("validation_hash"));
  v("control_books", c.control_books,
    FieldInfo{"texts or globs that mixed_books learns from, and other_book in a run of a single book"}
        .of(kPerplexity)
        .input("control_text_")
        .where([](const Config& c) { return !c.control.empty(); }));
  v("novels", c.novels,
    FieldInfo{"translation: GuoFeng files (.train, .eval) or globs, relative to this config"}
        .of(kTranslation).input("text_"));
  v("max_chunks", c.max_chunks,
    FieldInfo{"translation: keep the first chunks of each novel only; 0 keeps all", "chunks", 0}.of(kTranslation));
}

template <class Visitor>
void visit_fields(WindowConfig& c, Visitor&& v) {
  v("chunk_tokens", c.chunk_tokens,
    FieldInfo{"Δ: the adapter is updated once after each chunk", "tokens", 1, kMostTokens});
  v("context_tokens", c.context_tokens,
    FieldInfo{"L_X: last tokens before a chunk that the model sees when scoring it; null: train.prefix_tokens",
              "tokens", 0, kMostTokens});
  v("first_chunk_tokens", c.first_chunk_tokens,
    FieldInfo{"length of the first chunk; null: chunk_tokens (official: 1024)", "tokens", 1, kMostTokens});
}

template <class Visitor>
void visit_fields(ScoreConfig& c, Visitor&& v) {
  v("base", c.base, FieldInfo{"score every chunk with the base model too"});
  v("adapter", c.adapter, FieldInfo{"score every chunk with the temporary adapter"});
  v("segment_edges", c.segment_edges, FieldInfo{"token positions where the table's segments begin", "tokens", 0}
        .of(kPerplexity)
        .is(Role::presentation)
        .hashed_for(kPerplexity | kGeneration));
  v("base_scores", c.base_scores,
    FieldInfo{
        "perplexity: folder that keeps the base model's NLLs of whole books between runs, which then need not compute "
        "them; null: none. Changes no number"}
        .of(kPerplexity)
        .kept_in_folder());
  v("keep_tokens", c.keep_tokens,
    FieldInfo{"perplexity: keep the id of each scored token beside its NLLs, nll/<book index>-tokens.i32"}
        .of(kPerplexity)
        .is(Role::bookkeeping));
}

template <class Visitor>
void visit_fields(TranslationConfig& c, Visitor&& v) {
  v("context", c.context,
    FieldInfo{"which of a chunk's ready contexts is used: \"k1\" is up to 1000 tokens, \"k3\" up to 3000"});
  v("history", c.history,
    FieldInfo{"English of the earlier sentences, in prompts and training text: \"reference\" (the released setting), "
              "\"own\" (what the model wrote), or a probability of the reference, drawn from seed for each pair",
              "", 0, 1});
  v("tokenization", c.tokenization,
    FieldInfo{
        "\"official\" tokenises training text sentence by sentence, but a prompt as one string; \"corrected\" gives "
        "a sentence the same ids everywhere; null: as fidelity says"});
  v("prompt", c.prompt, FieldInfo{"chat template: \"chatml\" is Yi's, \"plain\" is for base models"});
  v("instruction", c.instruction,
    FieldInfo{"first line of the prompt; null: translate the text below into English, in Chinese"});
  v("window_tokens", c.window_tokens,
    FieldInfo{"longest sequence; where the history does not fit, its oldest pairs are cut; null: the model's positions",
              "tokens", 2, kMostTokens});
  v("batch_sentences", c.batch_sentences,
    FieldInfo{"most sentences that are translated at once; bounds memory, and more are faster", "sentences", 1, 4096});
  v("comet_model", c.comet_model,
    FieldInfo{"folder of COMET weights that scripts/convert_comet.py made (docs/comet.md); null: no COMET"}
        .input("").free());
}

template <class Visitor>
void visit_fields(LoraConfig& c, Visitor&& v) {
  v("rank", c.rank, FieldInfo{"inner size of the low-rank update", "", 1, 1 << 20});
  v("alpha", c.alpha, FieldInfo{"the update is scaled by alpha / rank", "", 0, 1e9});
  v("dropout", c.dropout, FieldInfo{"share of the update's inputs dropped in training", "", 0, 0.999});
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

template <class Visitor>
void visit_fields(GenerateConfig& c, Visitor&& v) {
  v("max_new_tokens", c.max_new_tokens, FieldInfo{"most tokens of one answer (translation)", "tokens", 1, kMostTokens}
        .of(kTranslation)
        .refused_by(kGeneration, "the length of a generation is generate.tokens")
        .hashed_for(kGeneration));
  v("min_new_tokens", c.min_new_tokens,
    FieldInfo{"no stop token and no stop string ends an answer before it has so many", "tokens", 0, kMostTokens}
        .of(kTranslation)
        .refused_by(kGeneration, "a generation writes generate.tokens tokens, or up to a stop string")
        .hashed_for(kGeneration));
  v("temperature", c.temperature, FieldInfo{"logits are divided by it before sampling; 0 is greedy", "", 0, 1e6});
  v("top_k", c.top_k, FieldInfo{"sample among the k likeliest tokens; 0: all", "", 0, kMostTokens});
  v("top_p", c.top_p, FieldInfo{"sample among the likeliest tokens that make up this probability; 1: all", "", 0, 1});
  v("min_p", c.min_p, FieldInfo{"leave out tokens less likely than this times the likeliest; 0: none", "", 0, 1});
  v("repetition_penalty", c.repetition_penalty,
    FieldInfo{"divides positive and multiplies negative logits of tokens in the prompt and the answer, in a generation "
              "of those in "
              "sight; 1: off",
              "", 0, 1e6, true});
  v("stop", c.stop, FieldInfo{"an answer ends where one of these strings appears in it"});
  v("prompt", c.prompt, FieldInfo{"generation: the text that is continued; excludes prompt_file"}.of(kGeneration));
  v("prompt_file", c.prompt_file,
    FieldInfo{"generation: a UTF-8 file with the prompt, relative to this config"}
        .of(kGeneration).input("prompt_hash"));
  v("tokens", c.tokens,
    FieldInfo{"generation: length of the text to write, without the prompt", "tokens", 1, kMostTokens}.of(kGeneration));
  v("schedule", c.schedule,
    FieldInfo{"generation: \"cascaded\" trains between chunks, \"parallelized\" on the chunk before while the next is "
              "written"}.of(kGeneration));
  v("learn_prompt", c.learn_prompt, FieldInfo{"generation: train on the prompt's chunks before anything is written"}
        .of(kGeneration)
        .hashed_for(kTranslation));
  v("snapshot_every_chunks", c.snapshot_every_chunks,
    FieldInfo{
        "generation: keep what is needed to branch off there, snapshots/<chunk>, the adapter as a PEFT folder; "
        "0: never",
        "chunks", 0}
        .of(kGeneration)
        .is(Role::bookkeeping));
  v("from_snapshot", c.from_snapshot,
    FieldInfo{"generation: a snapshot folder to go on from, text, adapter and all; replaces the prompt"}
        .of(kGeneration)
        .input(""));
}

template <class Visitor>
void visit_fields(CacheConfig& c, Visitor&& v) {
  v("policy", c.policy,
    FieldInfo{
        "keys and values after an update: \"rebuild\" computes all anew; \"refill\" grows from R tokens until the "
        "next chunk would pass W, then rebuilds from the last R (the paper's cache reuse); \"every_k\" rebuilds "
        "from the last context_tokens every rebuild_every_chunks chunks; \"last_n\" keeps the sinks and the "
        "last positions for ever, each rotated by its slot"});
  v("refill_tokens", c.refill_tokens,
    FieldInfo{"refill: R, last tokens that a rebuild computes", "tokens", 1, kMostTokens});
  v("window_tokens", c.window_tokens,
    FieldInfo{"W: most tokens that the model sees at once; null: window.context_tokens + window.chunk_tokens", "tokens",
              1, kMostTokens});
  v("rebuild_every_chunks", c.rebuild_every_chunks,
    FieldInfo{"every_k: chunks from one rebuild to the next", "chunks", 1, kMostTokens});
  v("sink_tokens", c.sink_tokens,
    FieldInfo{"last_n: first positions of the text that are always kept", "tokens", 0, kMostTokens});
  v("measure_staleness", c.measure_staleness,
    FieldInfo{"also score chunks with fresh keys and values under the same mask, and record the difference"}
        .of(kPerplexity)
        .refused_by(kGeneration, "only experiment \"perplexity\" measures it")
        .hashed_for(kGeneration));
  v("staleness_every_chunks", c.staleness_every_chunks,
    FieldInfo{"chunks between these measurements", "chunks", 1, kMostTokens}
        .of(kPerplexity)
        .hashed_for(kGeneration));
  v("prefill_block_tokens", c.prefill_block_tokens,
    FieldInfo{"rows of one forward pass that fills the cache", "tokens", 1, kMostTokens});
}

inline bool plants_facts(const Config& c) { return c.recall.facts > 0; }

template <class Visitor>
void visit_fields(RecallConfig& c, Visitor&& v) {
  v("facts", c.facts,
    FieldInfo{
        "facts that no model can know, planted in each book and asked for later (docs/recall.md); a multiple of 24; "
        "0: none",
        "", 0, 24000}
        .late());
  v("plant_from_tokens", c.plant_from_tokens,
    FieldInfo{"no fact is planted before this token of a book", "tokens", 0, kMostTokens}.where(plants_facts));
  v("plant_to_tokens", c.plant_to_tokens,
    FieldInfo{"no fact is planted behind this token", "tokens", 1, kMostTokens}.where(plants_facts));
  v("repeats", c.repeats,
    FieldInfo{"half of the facts are said once, the other half so many times", "sentences", 1, 100}
        .where(plants_facts));
  v("ask_after_tokens", c.ask_after_tokens,
    FieldInfo{"a fact is asked for so many tokens after its last sentence left the last L_X tokens", "tokens", 0,
              kMostTokens}
        .where(plants_facts));
  v("answer_tokens", c.answer_tokens,
    FieldInfo{"most tokens of an invented answer, and of the answers that the model writes; 0: any number, and the "
              "model writes none",
              "tokens", 0, 1000}
        .where(plants_facts));
}

template <class Visitor>
void visit_fields(NeuralCacheConfig& c, Visitor&& v) {
  v("entries", c.entries,
    FieldInfo{"last hidden states of the base that are kept, each with the token that followed it; 0: none, and "
              "no such columns",
              "states", 0, kMostTokens}
        .late());
  v("theta", c.theta,
    FieldInfo{"sharpness: weights go with exp(100 * theta * cosine of two states)", "", 0, 1e3}
        .where([](const Config& c) { return c.neural_cache.entries > 0; })
        .late());
  v("learning_rate", c.learning_rate,
    FieldInfo{"of the cache's share, which starts at a tenth and follows the NLL token by token", "", 0, 1e3}
        .where([](const Config& c) { return c.neural_cache.entries > 0; })
        .late());
}

template <class Visitor>
void visit_fields(CostConfig& c, Visitor&& v) {
  v("reference_window", c.reference_window,
    FieldInfo{"window of the plain model that the cost is compared with; 24576 and 32768 are printed too", "tokens", 2,
              kMostTokens});
  v("device", c.device,
    FieldInfo{"device whose peaks give a floor for each phase's time: a name or a list of peaks, as templora cost "
              "--device takes "
              "it; null: none"});
  v("shape", c.shape,
    FieldInfo{"a published model, as templora cost --shape names it, whose sizes count where model.path has no "
              "config.json; null: none"});
}

template <class Visitor>
void visit_fields(RunConfig& c, Visitor&& v) {
  v("save_every_chunks", c.save_every_chunks,
    FieldInfo{"chunks between saved states", "chunks", 1}.is(Role::bookkeeping));
  v("threads", c.threads,
    FieldInfo{"CPU threads; 0: as many as the process may use. Part of a run's identity", "", 0, kMostThreads});
}

template <class Visitor>
void visit_fields(Config& c, Visitor&& v) {
  v("experiment", c.experiment, FieldInfo{"what to run"}.for_base());
  v("seed", c.seed, FieldInfo{"seeds the adapter's initial weights and dropout", "", 0});
  v("fidelity", c.fidelity,
    FieldInfo{"\"official\" sets the defaults that reproduce the released code's numbers; given keys win"}
        .of(kStreaming));
  v("control", c.control,
    FieldInfo{
        "further adapters that learn from other texts, each a column: \"other_book\" learns the chunks of one other "
        "book in order, \"mixed_books\" chunks drawn from all data.control_books; a name or an array of names"}
        .of(kPerplexity)
        .refused_by(kGeneration | kTranslation)
        .late());
  v("model", c.model, FieldInfo{"the base model"}.for_base());
  v("data", c.data, FieldInfo{"the texts"});
  v("window", c.window, FieldInfo{"how texts are cut"}.of(kPerplexity | kGeneration).for_base());
  v("score", c.score, FieldInfo{"what is scored"}.of(kStreaming));
  v("translation", c.translation, FieldInfo{"how novels are translated"}.of(kTranslation));
  v("lora", c.lora, FieldInfo{"the temporary adapter"}.of(kStreaming));
  v("train", c.train, FieldInfo{"how the adapter learns"}.of(kStreaming));
  v("pretrain", c.pretrain, FieldInfo{"a model trained from nothing"}.of(kPretrain));
  v("generate", c.generate, FieldInfo{"how text is decoded"}.of(kGeneration | kTranslation));
  v("cache", c.cache,
    FieldInfo{"keys and values that are kept between chunks"}
        .of(kPerplexity | kGeneration)
        .refused_by(kTranslation, "a translation keeps no keys and values between chunks")
        .where([](const Config& c) {
          return c.experiment == ExperimentKind::generation || reads_through_cache(c);
        }));
  v("neural_cache", c.neural_cache,
    FieldInfo{"a cache of hidden states beside the model, a reference that trains nothing"}
        .of(kPerplexity)
        .refused_by(kPretrain | kGeneration | kTranslation));
  v("recall", c.recall,
    FieldInfo{"facts that are planted in the books and asked for"}
        .of(kPerplexity)
        .refused_by(kPretrain | kGeneration | kTranslation));
  v("cost", c.cost, FieldInfo{"what the run's cost is compared with"}.is(Role::presentation));
  v("run", c.run, FieldInfo{"the run itself"});
  v("notes", c.notes, FieldInfo{"anything, kept in the record and never interpreted"}.is(Role::presentation));
}

}  // namespace templora
