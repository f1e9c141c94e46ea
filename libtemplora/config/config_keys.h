#pragma once

#include <cstdint>

#include "config/config.h"
#include "config/field_info.h"
#include "config/lengths.h"
#include "config/training_keys.h"
#include "core/cpus.h"

namespace templora {

/// Names every field of a section: `v(name, member, FieldInfo)`. This, with training_keys.h, is the single place that
/// names a field, its unit, its range, its help, who uses it and what it decides; parsing, `--set`, the effective
/// config in each run, hashes, what an experiment refuses, which runs are alike, the JSON schema and the reference
/// page all come from it.
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
  v("swap_names", c.swap_names,
    FieldInfo{"put invented words in the place of a book's names, the same one each time, so that no base has read "
              "them (docs/controls.md)"}
        .of(kPerplexity)
        .refused_by(kPretrain | kGeneration | kTranslation)
        .late());
  v("exclude", c.exclude,
    FieldInfo{"pretrain: file names or globs of file names among the books that are left out"}.of(kPretrain));
  v("validation", c.validation,
    FieldInfo{"pretrain: held-out text files or globs, relative to this config"}
        .of(kPretrain).input("validation_hash"));
  v("control_books", c.control_books,
    FieldInfo{"texts or globs that mixed_books learns from, and other_book in a run of a single book"}
        .of(kPerplexity)
        .input("control_text_")
        .where([](const Config& c) { return learns_other_texts(c); }));
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
void visit_fields(Bm25Config& c, Visitor&& v) {
  v("passage_tokens", c.passage_tokens,
    FieldInfo{"length of the passage out of sight that takes the place of the window's oldest tokens; 0: none, and no "
              "such column",
              "tokens", 0, kMostTokens}
        .late());
  v("query_tokens", c.query_tokens,
    FieldInfo{"last tokens before the chunk whose words it is looked up by", "tokens", 1, kMostTokens}
        .where([](const Config& c) { return c.bm25.passage_tokens > 0; })
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
        "further adapters that learn something else, each a column: \"other_book\" learns the chunks of one other "
        "book in order, \"mixed_books\" chunks drawn from all data.control_books, \"shuffled_words\" the scored chunks "
        "with their words in random order; a name or an array of names"}
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
  v("bm25", c.bm25,
    FieldInfo{"an earlier passage in the base's window, found by its words, a reference that trains nothing"}
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
