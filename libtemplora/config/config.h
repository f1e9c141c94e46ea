#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace templora {

enum class ExperimentKind { perplexity, pretrain, generation, translation };
enum class Fidelity { corrected, official };
enum class Dtype { float32, bfloat16 };
enum class NovelContext { k1, k3 };
enum class Tokenization { official, corrected };
enum class PromptKind { chatml, llama2, llama3, plain };
enum class Moments { keep, reset };
enum class OptimizerKind { adamw, sgd, rms };
/// What a control's adapter learns instead of the text that it scores.
enum class Control { other_book, mixed_books, shuffled_words };
enum class Schedule { cascaded, parallelized };
enum class CachePolicy { rebuild, refill, every_k, last_n };
/// Which rows of a window the adapter computes: all, or the chunk's alone, behind keys and values that the base made.
enum class AdapterRows { all, chunk };
/// How the learning rate falls along a document.
enum class RateDecay { none, sqrt, linear };
/// What of the folder in lora.init_from an adapter starts from: its A and B, or A alone with B = 0.
enum class InitParts { both, a };
/// What is learnt of a projection: a product of two thin matrices beside it, or all its weights.
enum class UpdateKind { low_rank, full };

/// The base model: a Hugging Face folder, or the name of a repository in the local cache.
struct ModelConfig {
  std::string path;
  std::optional<std::string> tokenizer;
  Dtype dtype = Dtype::float32;
  std::string device = "auto";
  std::optional<Json> rope_scaling;
  bool allow_beyond_positions = false;
};

/// Which texts are read.
struct DataConfig {
  std::vector<std::string> books;
  std::int64_t max_tokens = 0;
  bool strip = true;
  bool swap_names = false;
  std::vector<std::string> exclude;     // pretrain
  std::vector<std::string> validation;  // pretrain
  std::vector<std::string> control_books;
  std::vector<std::string> novels;      // translation
  std::int64_t max_chunks = 0;          // translation
};

/// How a text is cut and what the model sees when a chunk is scored; W = context_tokens + chunk_tokens.
struct WindowConfig {
  std::int64_t chunk_tokens = 1024;                // Δ
  std::optional<std::int64_t> context_tokens;      // L_X; null: train.prefix_tokens
  std::optional<std::int64_t> first_chunk_tokens;  // null: chunk_tokens
};

struct ScoreConfig {
  bool base = true;
  bool adapter = true;
  std::vector<std::int64_t> segment_edges = {0, 100000, 200000, 300000, 400000, 500000};
  std::optional<std::string> base_scores;
  bool keep_tokens = false;
};

/// What a translator sees as the English of earlier sentences: the reference with this probability, else what it
/// wrote itself. In a file 1 may be written "reference" and 0 "own".
struct History {
  double reference_share = 1;
};

/// How novels are translated and compared.
struct TranslationConfig {
  NovelContext context = NovelContext::k1;
  History history;
  std::optional<Tokenization> tokenization;   // null: as `fidelity` says
  PromptKind prompt = PromptKind::chatml;
  std::optional<std::string> instruction;     // null: kTranslateIntoEnglish
  std::optional<std::int64_t> window_tokens;  // null: the model's positions
  std::int64_t batch_sentences = 32;
  std::optional<std::string> comet_model;
};

/// The temporary adapter.
struct LoraConfig {
  std::int64_t rank = 64;
  double alpha = 64;
  double dropout = 0.05;
  std::vector<std::string> targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  std::optional<std::vector<std::int64_t>> layers;
  std::optional<std::string> init_from;
  bool save_final = false;
  std::int64_t reset_every_tokens = 0;
  AdapterRows rows = AdapterRows::all;
  InitParts init_parts = InitParts::both;
  UpdateKind update = UpdateKind::low_rank;

  /// Whether a product of rank `rank` is learnt: rank, alpha and dropout have a part in it, and PEFT folders hold it.
  bool low_rank() const { return update == UpdateKind::low_rank; }
};

struct TrainConfig {
  bool enabled = true;
  std::int64_t prefix_tokens = 3072;  // L_T
  bool label_prefix = false;
  std::int64_t epochs = 2;
  double learning_rate = 5e-5;
  std::optional<std::int64_t> warmup_chunks;
  std::optional<std::int64_t> warmup_steps;
  double clip_norm = 1.0;
  OptimizerKind optimizer = OptimizerKind::adamw;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_eps = 1e-7;
  double weight_decay = 0.0;
  double rms_eps = 1e-7;       // rms
  double decay_to_start = 0;   // sgd, rms: λ
  Moments moments = Moments::keep;
  std::int64_t lag_chunks = 0;
  std::int64_t stop_after_tokens = 0;
  std::int64_t update_every_chunks = 1;
  double hard_quantile = 0;
  std::int64_t hard_after_chunks = 8;
  bool steps_by_gap = false;
  std::int64_t gap_context_tokens = 64;
  RateDecay rate_decay = RateDecay::none;
  double replay_share = 0;
  bool prefix_gradient = true;
};

/// A small Llama trained from nothing: its shape, its batches, its optimizer.
struct PretrainConfig {
  std::int64_t layers = 6;
  std::int64_t hidden = 256;
  std::int64_t ffn = 688;
  std::int64_t heads = 4;
  std::optional<std::int64_t> kv_heads;  // null: heads
  bool tied_embeddings = true;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000;
  double init_std = 0.02;
  std::int64_t sequence_tokens = 512;
  std::int64_t batch_sequences = 16;
  std::int64_t micro_sequences = 4;
  double passes = 2;
  std::optional<std::int64_t> tokens;  // null: passes over the corpus
  double learning_rate = 2e-3;
  std::int64_t warmup_steps = 100;
  double min_learning_rate_share = 0.1;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.95;
  double adam_eps = 1e-8;
  double weight_decay = 0.1;
  double clip_norm = 1.0;
  std::int64_t save_every_steps = 500;
  std::int64_t validate_every_steps = 500;
  std::int64_t validation_tokens = 131072;
  std::optional<std::string> token_cache;
};

/// How text is decoded, and how much of it.
struct GenerateConfig {
  std::int64_t max_new_tokens = 256;
  std::int64_t min_new_tokens = 0;
  double temperature = 0;  // 0: greedy
  std::int64_t top_k = 0;
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  std::vector<std::string> stop;
  std::optional<std::string> prompt;
  std::optional<std::string> prompt_file;
  std::int64_t tokens = 4096;
  Schedule schedule = Schedule::cascaded;
  bool learn_prompt = false;
  std::int64_t snapshot_every_chunks = 0;
  std::optional<std::string> from_snapshot;
};

/// Which keys and values are kept when the adapter changes; R = refill_tokens, W = window_tokens.
struct CacheConfig {
  CachePolicy policy = CachePolicy::rebuild;
  std::int64_t refill_tokens = 1024;           // R
  std::optional<std::int64_t> window_tokens;   // W; null: window.context_tokens + window.chunk_tokens
  std::int64_t rebuild_every_chunks = 2;       // every_k
  std::int64_t sink_tokens = 0;                // last_n
  bool measure_staleness = false;
  std::int64_t staleness_every_chunks = 10;
  std::int64_t prefill_block_tokens = 512;
};

/// Facts planted in each book, and asked for later (perplexity).
struct RecallConfig {
  std::int64_t facts = 0;  // a book; 0: none are planted and nothing is asked
  std::int64_t plant_from_tokens = 2048;
  std::int64_t plant_to_tokens = 12288;
  std::int64_t repeats = 4;
  std::vector<std::int64_t> ask_after_tokens = {1024, 4096, 16384};
  std::int64_t answer_tokens = 8;
};

/// A cache of hidden states that is mixed into the base's probabilities and learns nothing (perplexity).
struct NeuralCacheConfig {
  std::int64_t entries = 0;  // last hidden states kept; 0: no such column
  double theta = 0.3;
  double learning_rate = 0.05;
};

/// A passage of what was read, found by its words, in the base's window: a reference that trains nothing (perplexity).
struct Bm25Config {
  std::int64_t passage_tokens = 0;  // 0: no such column
  std::int64_t query_tokens = 64;
};

/// What a run's cost is compared with; it changes no number of the run.
struct CostConfig {
  std::int64_t reference_window = 24576;
  std::optional<std::string> device;
  std::optional<std::string> shape;
};

/// Where and how often a run keeps its state.
struct RunConfig {
  std::int64_t save_every_chunks = 50;
  std::int64_t threads =
      0;  // 0: all that the process may use (core/cpus.h); the effective number is in run.json's identity
};

/// Everything that one config file says. Defaults are the paper's settings.
struct Config {
  ExperimentKind experiment = ExperimentKind::perplexity;
  std::int64_t seed = 42;
  Fidelity fidelity = Fidelity::corrected;
  std::vector<Control> control;
  ModelConfig model;
  DataConfig data;
  WindowConfig window;
  ScoreConfig score;
  TranslationConfig translation;
  LoraConfig lora;
  TrainConfig train;
  PretrainConfig pretrain;
  GenerateConfig generate;
  CacheConfig cache;
  RecallConfig recall;
  NeuralCacheConfig neural_cache;
  Bm25Config bm25;
  CostConfig cost;
  RunConfig run;
  /// Free for the reader: where a config comes from, what the paper printed (`paper_value`, null where
  /// unknown). Kept in the record, never interpreted.
  std::optional<Json> notes;
};

/// What a config file became.
struct LoadedConfig {
  Config config;                          ///< effective: every null that a rule fills is filled
  Json effective;                         ///< the same as JSON, every key present, paths absolute
  std::vector<std::string> set_by_fidelity;  ///< keys ("train.warmup_chunks") that `fidelity` set
  /// 12 hex digits of `effective` with the paths as they were written, without notes and what changes no number
  /// (how often a run is saved, where its table's segments begin, the sections of other experiments): the same wherever
  /// the checkout lies. Names the run folder.
  std::string hash;
  /// The same as 0.1 made it, which took score.segment_edges in too: a run that has it is a run of this config as well.
  std::string hash_of_0_1;
  std::string model_as_written;  ///< model.path before it became absolute: a path, or the name of a repository
};

/// One `--set key=value`: value parsed as JSON, else taken as text.
struct Override {
  std::string key;
  std::string value;
};

/// Reads a config file with what it extends (config/config_file.h), applies overrides, then fidelity's defaults, checks
/// types, ranges and the rules between fields, and makes paths absolute (relative ones are relative to the file's
/// folder; those from overrides too). model.path, model.tokenizer and lora.init_from may also name a repository in the
/// local Hugging Face cache (config/model_folder.h). Throws Error(usage) with a line for each mistake, naming file and
/// key; an unknown key names the nearest known one.
LoadedConfig load_config(const std::string& path, const std::vector<Override>& overrides);

/// The same from text, for tests and embedded defaults; `base_folder` is what relative paths are relative to.
LoadedConfig parse_config(const std::string& text, const std::string& where, const std::string& base_folder,
                          const std::vector<Override>& overrides);

/// An effective config as a config file may have it: without the empty model.path that stands for none in the record of
/// a pretraining. What is no config is left to the reader to refuse.
Json readable_config(Json effective);

/// JSON Schema (2020-12) of a config file.
Json config_schema();

/// Reference page of all keys in Markdown: default, unit, range, help.
std::string config_reference();

}  // namespace templora
