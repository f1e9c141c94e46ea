#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "core/json.h"

namespace templora {

/// Whose NLL it is: the base model's, the temporary adapter's, that of a control's adapter, that of the base or the
/// adapter mixed with a cache of hidden states (neural_cache), or the base's with an earlier passage in sight (bm25).
enum class Arm { base, lora, other_book, mixed_books, shuffled_words, base_cache, lora_cache, base_bm25 };
inline constexpr std::array kArms{Arm::base,        Arm::lora,           Arm::other_book, Arm::mixed_books,
                                  Arm::shuffled_words, Arm::base_cache, Arm::lora_cache, Arm::base_bm25};
/// All but the base and the adapter; the controls among them learn.
inline constexpr std::array kFurtherArms{Arm::other_book, Arm::mixed_books, Arm::shuffled_words,
                                         Arm::base_cache, Arm::lora_cache,  Arm::base_bm25};
inline constexpr bool is_control(Arm arm) {
  return arm == Arm::other_book || arm == Arm::mixed_books || arm == Arm::shuffled_words;
}
const char* arm_name(Arm arm);  ///< "base", "lora", "other_book", … as in file names and keys

/// What a field of a record is on disk. Each record has one visit_fields(record, visitor), which names its fields in
/// the order of their keys; writing and reading come from it.
enum class Field {
  plain,    ///< there; an optional one is null where it has no value
  count,    ///< the same, from 0 to 2^53
  if_any,   ///< an optional one, left out where it has no value
  newer,    ///< not in records of older versions, which are read as its default
};

/// `Of` or const `Of`.
template <class Record, class Of>
concept Like = std::same_as<std::remove_const_t<Record>, Of>;

/// What a control's adapter did at one chunk; of an arm that learns nothing the NLL alone.
struct ControlRecord {
  std::optional<double> nll;    ///< mean over the chunk's scored tokens, nats
  std::string trained_book;     ///< text that it was trained on afterwards; empty where it was not
  std::int64_t trained_token = 0;  ///< first token there
};

/// What old keys and values cost at one chunk: the same tokens scored with kept ones and with fresh ones.
struct StalenessRecord {
  double nll_difference = 0;         ///< mean NLL with kept minus with fresh ones, nats: positive where age hurts
  double kl = 0;                     ///< mean over tokens of KL(fresh ‖ kept) of the next-token distributions, nats
  std::int64_t oldest_versions = 0;  ///< updates since the oldest slot in sight was made
  double mean_versions = 0;          ///< the same as a mean over slots
};

template <Like<StalenessRecord> Record, class Visitor>
void visit_fields(Record& r, Visitor&& v) {
  v("nll_difference", r.nll_difference);
  v("kl", r.kl);
  v("oldest_versions", r.oldest_versions);
  v("mean_versions", r.mean_versions);
}

/// One line of chunks.jsonl.
struct ChunkRecord {
  std::string book;                     ///< file name
  std::int64_t book_index = 0;          ///< position in the run's list of books
  std::int64_t chunk = 0;               ///< index in the book
  std::int64_t first_token = 0;         ///< position of the chunk's first token in the book
  std::int64_t tokens = 0;              ///< tokens in the chunk
  std::int64_t scored_tokens = 0;       ///< one less where the first token has nothing before it
  std::int64_t context_tokens = 0;      ///< tokens that the model saw before the chunk
  std::optional<double> base_nll;       ///< mean over scored tokens, nats
  std::optional<double> lora_nll;
  std::map<Arm, ControlRecord> controls;  ///< of the kFurtherArms that the run has
  std::optional<StalenessRecord> staleness;  ///< of the adapter, at the chunks where it was measured
  std::optional<double>
      short_context_nll;                ///< as lora_nll, behind train.gap_context_tokens; where train.steps_by_gap asks
  std::vector<double> train_loss;       ///< one a training step made after this chunk was scored, nats
  std::vector<double> grad_norm;        ///< before clipping, one a step
  std::optional<std::int64_t> trained_chunk;  ///< chunk that those steps trained on (lags by train.lag_chunks)
  std::int64_t adapter_version = 0;     ///< chunks that the scoring adapter had been trained on
  bool shared_forward = false;          ///< the scoring forward served as the first step's forward
  double learning_rate = 0;             ///< of the last step
  std::map<std::string, double> seconds;  ///< phase -> wall seconds; they add up to the chunk's time
};

/// But for `controls`, whose keys begin with the arm's name.
template <Like<ChunkRecord> Record, class Visitor>
void visit_fields(Record& r, Visitor&& v) {
  v("book", r.book);
  v("book_index", r.book_index, Field::count);
  v("chunk", r.chunk, Field::count);
  v("first_token", r.first_token, Field::count);
  v("tokens", r.tokens, Field::count);
  v("scored_tokens", r.scored_tokens, Field::count);
  v("context_tokens", r.context_tokens);
  v("base_nll", r.base_nll);
  v("lora_nll", r.lora_nll);
  v("train_loss", r.train_loss);
  v("grad_norm", r.grad_norm);
  v("trained_chunk", r.trained_chunk);
  v("adapter_version", r.adapter_version);
  v("shared_forward", r.shared_forward);
  v("learning_rate", r.learning_rate);
  v("seconds", r.seconds);
  v("short_context_nll", r.short_context_nll, Field::if_any);
  v("staleness", r.staleness, Field::if_any);
}

Json to_json(const ChunkRecord& record);
/// Mean NLL of a arm at a chunk, if it has one.
std::optional<double> mean_nll(const ChunkRecord& record, Arm arm);
/// Throws Error(bad_input) naming `where` and the field.
ChunkRecord chunk_record_from_json(const Json& json, const std::string& where);

/// One line of chunks.jsonl of a generation.
struct GenerationRecord {
  std::int64_t chunk = 0;           ///< index in the text, counted from the prompt's own chunks where those were learnt
  std::int64_t first_token = 0;     ///< position in the text, prompt included
  std::int64_t tokens = 0;
  std::int64_t context_tokens = 0;  ///< tokens in sight when the chunk was begun
  std::int64_t adapter_version = 0;  ///< chunks that the writing adapter had learnt
  std::optional<double>
      base_nll;  ///< mean over the chunk by the base model behind the last window.context_tokens, nats
  std::optional<double> lora_nll;   ///< the same by the adapter that wrote it
  double repeated_4grams = 0;       ///< share of 4-grams that were in the text before
  std::vector<double> distinct;     ///< distinct n-grams over n-grams of the chunk, n = 1, 2, 3, 4
  std::optional<std::int64_t> trained_chunk;
  std::vector<double> train_loss, grad_norm;
  double learning_rate = 0;
  std::map<std::string, double> seconds;
  std::string text;                 ///< what the chunk's tokens say; characters across its ends may be cut
  std::vector<std::int64_t> token_ids;
};

template <Like<GenerationRecord> Record, class Visitor>
void visit_fields(Record& r, Visitor&& v) {
  v("chunk", r.chunk);
  v("first_token", r.first_token);
  v("tokens", r.tokens);
  v("context_tokens", r.context_tokens);
  v("adapter_version", r.adapter_version);
  v("base_nll", r.base_nll);
  v("lora_nll", r.lora_nll);
  v("repeated_4grams", r.repeated_4grams);
  v("distinct", r.distinct);
  v("trained_chunk", r.trained_chunk);
  v("train_loss", r.train_loss);
  v("grad_norm", r.grad_norm);
  v("learning_rate", r.learning_rate);
  v("seconds", r.seconds);
  v("text", r.text);
  v("token_ids", r.token_ids);
}

Json to_json(const GenerationRecord& record);
GenerationRecord generation_record_from_json(const Json& json, const std::string& where);

/// One line of pairs.jsonl: a sentence pair of a translation run.
struct PairRecord {
  std::string novel;                    ///< file name
  std::int64_t novel_index = 0;         ///< position in the run's list of novels
  std::int64_t chunk = 0;               ///< index in the novel
  std::int64_t pair = 0;                ///< index in the chunk
  std::string zh, en;                   ///< as in the file
  bool skipped = false;                 ///< a side is empty: neither translated nor scored
  bool reference_history = true;        ///< later sentences see the reference, else what was written here
  std::int64_t reference_tokens = 0;    ///< scored
  std::optional<double> base_nll;       ///< mean over the reference's tokens, nats
  std::optional<double> lora_nll;
  std::optional<std::string> base_text; ///< end mark and outer white space removed
  std::optional<std::string> lora_text;
  std::vector<std::int64_t> base_ids;   ///< as generated, stop token included
  std::vector<std::int64_t> lora_ids;
  bool base_stopped = false;            ///< met a stop before generate.max_new_tokens
  bool lora_stopped = false;
  std::int64_t base_prompt_tokens = 0;
  std::int64_t lora_prompt_tokens = 0;
  std::int64_t base_read_tokens = 0;    ///< of the prompt, those read for this sentence; the rest was there already
  std::int64_t lora_read_tokens = 0;
  std::int64_t cut_pairs = 0;  ///< oldest pairs that the window had no room for (the larger of the two prompts')
};

template <Like<PairRecord> Record, class Visitor>
void visit_fields(Record& r, Visitor&& v) {
  v("novel", r.novel);
  v("novel_index", r.novel_index, Field::count);
  v("chunk", r.chunk, Field::count);
  v("pair", r.pair, Field::count);
  v("zh", r.zh);
  v("en", r.en);
  v("skipped", r.skipped);
  v("reference_history", r.reference_history);
  v("reference_tokens", r.reference_tokens, Field::count);
  v("base_nll", r.base_nll);
  v("lora_nll", r.lora_nll);
  v("base_text", r.base_text);
  v("lora_text", r.lora_text);
  v("base_ids", r.base_ids);
  v("lora_ids", r.lora_ids);
  v("base_stopped", r.base_stopped);
  v("lora_stopped", r.lora_stopped);
  v("base_prompt_tokens", r.base_prompt_tokens);
  v("lora_prompt_tokens", r.lora_prompt_tokens);
  v("base_read_tokens", r.base_read_tokens, Field::newer);
  v("lora_read_tokens", r.lora_read_tokens, Field::newer);
  v("cut_pairs", r.cut_pairs, Field::count);
}

/// One line of comet.jsonl: COMET scores of one pair's translations; none where there is no translation.
struct CometRecord {
  std::int64_t novel_index = 0, chunk = 0, pair = 0;  ///< of the line of pairs.jsonl
  std::optional<double> base_comet, lora_comet;
};

template <Like<CometRecord> Record, class Visitor>
void visit_fields(Record& r, Visitor&& v) {
  v("novel_index", r.novel_index);
  v("chunk", r.chunk);
  v("pair", r.pair);
  v("base_comet", r.base_comet);
  v("lora_comet", r.lora_comet);
}

Json to_json(const CometRecord& record);
/// Throws Error(bad_input) naming `where` and the field.
CometRecord comet_record_from_json(const Json& json, const std::string& where);

/// What a chunk of a novel taught the adapter: fields of its line in chunks.jsonl.
struct SegmentRecord {
  std::int64_t tokens = 0;    ///< length of the training text
  std::int64_t labelled = 0;  ///< of them, those with a loss
  std::int64_t steps = 0;     ///< optimizer steps
};

Json to_json(const PairRecord& record);
/// Throws Error(bad_input) naming `where` and the field.
PairRecord pair_record_from_json(const Json& json, const std::string& where);

/// One line of books.jsonl, written when a book is opened.
struct BookRecord {
  std::string book;
  std::int64_t book_index = 0;
  std::int64_t tokens = 0;
  std::int64_t text_bytes = 0;
  std::int64_t words = 0;
  std::string text_hash;
  bool fits_one_window = false;  ///< no longer than L_X + Δ
};

template <Like<BookRecord> Record, class Visitor>
void visit_fields(Record& r, Visitor&& v) {
  v("book", r.book);
  v("book_index", r.book_index, Field::count);
  v("tokens", r.tokens, Field::count);
  v("text_bytes", r.text_bytes, Field::count);
  v("words", r.words, Field::count);
  v("text_hash", r.text_hash);
  v("fits_one_window", r.fits_one_window);
}

Json to_json(const BookRecord& record);
BookRecord book_record_from_json(const Json& json, const std::string& where);

}  // namespace templora
