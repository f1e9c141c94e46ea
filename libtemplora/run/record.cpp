#include "run/record.h"

#include <fmt/format.h>

namespace templora {
namespace {

/// Reads one field of a record. Absent fields and wrong types are errors of the file that was read.
template <class T>
void get(const Json& json, const std::string& where, const char* name, T& out) {
  const auto found = json.find(name);
  if (found == json.end()) throw Error(Exit::bad_input, fmt::format("{}: {}: missing", where, name));
  bool fits = true;
  if constexpr (std::is_same_v<T, std::int64_t>) fits = found->is_number_integer();
  if constexpr (std::is_same_v<T, bool>) fits = found->is_boolean();
  try {
    if (fits) found->get_to(out);
  } catch (const nlohmann::json::exception&) {
    fits = false;
  }
  if (!fits)
    throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, which is of the wrong type", where, name,
                                             found->dump(-1, ' ', false, Json::error_handler_t::replace)));
}

template <class T>
void get(const Json& json, const std::string& where, const char* name, std::optional<T>& out) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null())
    out.reset();
  else
    get(json, where, name, out.emplace());
}

void require_object(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(Exit::bad_input, fmt::format("{}: got no object, wanted one", where));
}

constexpr std::int64_t kMostCounted = std::int64_t{1} << 53;  // sums of them fit

void require_counts(const std::string& where, std::initializer_list<std::pair<const char*, std::int64_t>> fields) {
  for (const auto& [name, value] : fields)
    if (value < 0 || value > kMostCounted)
      throw Error(Exit::bad_input,
                  fmt::format("{}: {}: got {}, wanted at least 0 and no more than 2^53", where, name, value));
}

}  // namespace

const char* scorer_name(Scorer scorer) {
  switch (scorer) {
    case Scorer::base: return "base";
    case Scorer::lora: return "lora";
    case Scorer::other_book: return "other_book";
    case Scorer::mixed_books: return "mixed_books";
  }
  return "";
}

std::optional<double> mean_nll(const ChunkRecord& record, Scorer scorer) {
  if (scorer == Scorer::base) return record.base_nll;
  if (scorer == Scorer::lora) return record.lora_nll;
  const auto control = record.controls.find(scorer);
  return control == record.controls.end() ? std::nullopt : control->second.nll;
}

Json to_json(const ChunkRecord& r) {
  Json json{{"book", r.book},
            {"book_index", r.book_index},
            {"chunk", r.chunk},
            {"first_token", r.first_token},
            {"tokens", r.tokens},
            {"scored_tokens", r.scored_tokens},
            {"context_tokens", r.context_tokens},
            {"base_nll", optional_json(r.base_nll)},
            {"lora_nll", optional_json(r.lora_nll)},
            {"train_loss", r.train_loss},
            {"grad_norm", r.grad_norm},
            {"trained_chunk", optional_json(r.trained_chunk)},
            {"adapter_version", r.adapter_version},
            {"shared_forward", r.shared_forward},
            {"learning_rate", r.learning_rate},
            {"seconds", r.seconds}};
  if (r.staleness)
    json["staleness"] = {{"nll_difference", r.staleness->nll_difference},
                         {"kl", r.staleness->kl},
                         {"oldest_versions", r.staleness->oldest_versions},
                         {"mean_versions", r.staleness->mean_versions}};
  for (const auto& [scorer, control] : r.controls) {
    const std::string name = scorer_name(scorer);
    json[name + "_nll"] = optional_json(control.nll);
    json[name + "_trained"] =
        control.trained_book.empty() ? Json(nullptr) : Json{{"book", control.trained_book}, {"first_token", control.trained_token}};
  }
  return json;
}

ChunkRecord chunk_record_from_json(const Json& json, const std::string& where) {
  require_object(json, where);
  ChunkRecord r;
  get(json, where, "book", r.book);
  get(json, where, "book_index", r.book_index);
  get(json, where, "chunk", r.chunk);
  get(json, where, "first_token", r.first_token);
  get(json, where, "tokens", r.tokens);
  get(json, where, "scored_tokens", r.scored_tokens);
  get(json, where, "context_tokens", r.context_tokens);
  get(json, where, "base_nll", r.base_nll);
  get(json, where, "lora_nll", r.lora_nll);
  get(json, where, "train_loss", r.train_loss);
  get(json, where, "grad_norm", r.grad_norm);
  get(json, where, "trained_chunk", r.trained_chunk);
  get(json, where, "adapter_version", r.adapter_version);
  get(json, where, "shared_forward", r.shared_forward);
  get(json, where, "learning_rate", r.learning_rate);
  get(json, where, "seconds", r.seconds);
  if (const auto staleness = json.find("staleness"); staleness != json.end() && !staleness->is_null()) {
    const std::string inner = where + ": staleness";
    require_object(*staleness, inner);
    r.staleness.emplace();
    get(*staleness, inner, "nll_difference", r.staleness->nll_difference);
    get(*staleness, inner, "kl", r.staleness->kl);
    get(*staleness, inner, "oldest_versions", r.staleness->oldest_versions);
    get(*staleness, inner, "mean_versions", r.staleness->mean_versions);
  }
  for (const Scorer scorer : kControlScorers) {
    const std::string name = scorer_name(scorer);
    if (!json.contains(name + "_nll")) continue;
    ControlRecord& control = r.controls[scorer];
    get(json, where, (name + "_nll").c_str(), control.nll);
    const auto trained = json.find(name + "_trained");
    if (trained == json.end() || trained->is_null()) continue;
    require_object(*trained, fmt::format("{}: {}_trained", where, name));
    get(*trained, where, "book", control.trained_book);
    get(*trained, where, "first_token", control.trained_token);
  }
  require_counts(where, {{"book_index", r.book_index}, {"chunk", r.chunk}, {"first_token", r.first_token},
                               {"tokens", r.tokens}, {"scored_tokens", r.scored_tokens}});
  if (r.scored_tokens > r.tokens)
    throw Error(Exit::bad_input, fmt::format("{}: scored_tokens: got {}, wanted at most tokens, {}", where,
                                             r.scored_tokens, r.tokens));
  return r;
}

Json to_json(const GenerationRecord& r) {
  return {{"chunk", r.chunk},
          {"first_token", r.first_token},
          {"tokens", r.tokens},
          {"context_tokens", r.context_tokens},
          {"adapter_version", r.adapter_version},
          {"base_nll", optional_json(r.base_nll)},
          {"lora_nll", optional_json(r.lora_nll)},
          {"repeated_4grams", r.repeated_4grams},
          {"distinct", r.distinct},
          {"trained_chunk", optional_json(r.trained_chunk)},
          {"train_loss", r.train_loss},
          {"grad_norm", r.grad_norm},
          {"learning_rate", r.learning_rate},
          {"seconds", r.seconds},
          {"text", r.text},
          {"token_ids", r.token_ids}};
}

GenerationRecord generation_record_from_json(const Json& json, const std::string& where) {
  require_object(json, where);
  GenerationRecord r;
  get(json, where, "chunk", r.chunk);
  get(json, where, "first_token", r.first_token);
  get(json, where, "tokens", r.tokens);
  get(json, where, "context_tokens", r.context_tokens);
  get(json, where, "adapter_version", r.adapter_version);
  get(json, where, "base_nll", r.base_nll);
  get(json, where, "lora_nll", r.lora_nll);
  get(json, where, "repeated_4grams", r.repeated_4grams);
  get(json, where, "distinct", r.distinct);
  get(json, where, "trained_chunk", r.trained_chunk);
  get(json, where, "train_loss", r.train_loss);
  get(json, where, "grad_norm", r.grad_norm);
  get(json, where, "learning_rate", r.learning_rate);
  get(json, where, "seconds", r.seconds);
  get(json, where, "text", r.text);
  get(json, where, "token_ids", r.token_ids);
  return r;
}

Json to_json(const PairRecord& r) {
  return {{"novel", r.novel},
          {"novel_index", r.novel_index},
          {"chunk", r.chunk},
          {"pair", r.pair},
          {"zh", r.zh},
          {"en", r.en},
          {"skipped", r.skipped},
          {"reference_history", r.reference_history},
          {"reference_tokens", r.reference_tokens},
          {"base_nll", optional_json(r.base_nll)},
          {"lora_nll", optional_json(r.lora_nll)},
          {"base_text", optional_json(r.base_text)},
          {"lora_text", optional_json(r.lora_text)},
          {"base_ids", r.base_ids},
          {"lora_ids", r.lora_ids},
          {"base_stopped", r.base_stopped},
          {"lora_stopped", r.lora_stopped},
          {"base_prompt_tokens", r.base_prompt_tokens},
          {"lora_prompt_tokens", r.lora_prompt_tokens},
          {"base_read_tokens", r.base_read_tokens},
          {"lora_read_tokens", r.lora_read_tokens},
          {"cut_pairs", r.cut_pairs}};
}

PairRecord pair_record_from_json(const Json& json, const std::string& where) {
  require_object(json, where);
  PairRecord r;
  get(json, where, "novel", r.novel);
  get(json, where, "novel_index", r.novel_index);
  get(json, where, "chunk", r.chunk);
  get(json, where, "pair", r.pair);
  get(json, where, "zh", r.zh);
  get(json, where, "en", r.en);
  get(json, where, "skipped", r.skipped);
  get(json, where, "reference_history", r.reference_history);
  get(json, where, "reference_tokens", r.reference_tokens);
  get(json, where, "base_nll", r.base_nll);
  get(json, where, "lora_nll", r.lora_nll);
  get(json, where, "base_text", r.base_text);
  get(json, where, "lora_text", r.lora_text);
  get(json, where, "base_ids", r.base_ids);
  get(json, where, "lora_ids", r.lora_ids);
  get(json, where, "base_stopped", r.base_stopped);
  get(json, where, "lora_stopped", r.lora_stopped);
  get(json, where, "base_prompt_tokens", r.base_prompt_tokens);
  get(json, where, "lora_prompt_tokens", r.lora_prompt_tokens);
  if (json.contains("base_read_tokens")) get(json, where, "base_read_tokens", r.base_read_tokens);  // older runs have none
  if (json.contains("lora_read_tokens")) get(json, where, "lora_read_tokens", r.lora_read_tokens);
  get(json, where, "cut_pairs", r.cut_pairs);
  require_counts(where, {{"novel_index", r.novel_index}, {"chunk", r.chunk}, {"pair", r.pair},
                               {"reference_tokens", r.reference_tokens}, {"cut_pairs", r.cut_pairs}});
  return r;
}

Json to_json(const CometRecord& r) {
  return {{"novel_index", r.novel_index},
          {"chunk", r.chunk},
          {"pair", r.pair},
          {"base_comet", optional_json(r.base_comet)},
          {"lora_comet", optional_json(r.lora_comet)}};
}

CometRecord comet_record_from_json(const Json& json, const std::string& where) {
  require_object(json, where);
  CometRecord r;
  get(json, where, "novel_index", r.novel_index);
  get(json, where, "chunk", r.chunk);
  get(json, where, "pair", r.pair);
  get(json, where, "base_comet", r.base_comet);
  get(json, where, "lora_comet", r.lora_comet);
  return r;
}

Json to_json(const BookRecord& r) {
  return {{"book", r.book},           {"book_index", r.book_index}, {"tokens", r.tokens},
          {"text_bytes", r.text_bytes}, {"words", r.words},         {"text_hash", r.text_hash},
          {"fits_one_window", r.fits_one_window}};
}

BookRecord book_record_from_json(const Json& json, const std::string& where) {
  require_object(json, where);
  BookRecord r;
  get(json, where, "book", r.book);
  get(json, where, "book_index", r.book_index);
  get(json, where, "tokens", r.tokens);
  get(json, where, "text_bytes", r.text_bytes);
  get(json, where, "words", r.words);
  get(json, where, "text_hash", r.text_hash);
  get(json, where, "fits_one_window", r.fits_one_window);
  require_counts(where, {{"book_index", r.book_index}, {"tokens", r.tokens}, {"text_bytes", r.text_bytes},
                               {"words", r.words}});
  return r;
}

}  // namespace templora
