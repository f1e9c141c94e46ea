// What a chunk of a novel leaves behind: its records, and the state between two chunks.

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "experiment/chunk_values.h"
#include "experiment/module_state.h"
#include "experiment/not_finite.h"
#include "experiment/translation.h"
#include "model/tensors.h"

namespace templora {
namespace {

Json pairs_json(const std::vector<SentencePair>& pairs) {
  Json json = Json::array();
  for (const SentencePair& pair : pairs) json.push_back({pair.zh, pair.en});
  return json;
}

std::vector<SentencePair> pairs_from(const Json& json) {
  std::vector<SentencePair> pairs;
  for (const Json& pair : json) pairs.push_back({pair.at(0).get<std::string>(), pair.at(1).get<std::string>()});
  return pairs;
}

}  // namespace

void NovelTranslation::fill_records(const NovelChunk& chunk, const std::optional<Work>& base, const std::optional<Work>& lora,
                                    const std::vector<std::vector<float>>& host, TranslatedChunk& result) const {
  const std::size_t count = chunk.pairs.size();
  ChunkRecord& record = result.record;
  for (std::size_t i = 0; i < count; ++i) {
    PairRecord& pair = result.pairs.emplace_back();
    pair.novel = novel_.name;
    pair.novel_index = novel_index_;
    pair.chunk = next_chunk_;
    pair.pair = std::int64_t(i);
    pair.zh = chunk.pairs[i].zh;
    pair.en = chunk.pairs[i].en;
    pair.skipped = has_empty_side(chunk.pairs[i]);
    pair.reference_history = sees_reference(std::size_t(first_pair_) + i);
    if (pair.skipped) continue;
    if (base) {
      pair.base_nll = mean_of(host[i]);
      pair.base_text = base->texts[i];
      pair.base_ids = base->answers[i].ids;
      pair.base_stopped = base->answers[i].stopped;
      pair.base_prompt_tokens = std::int64_t(base->tasks[i].prompt.size());
      pair.base_read_tokens = base->answers[i].read_tokens;
      pair.cut_pairs = base->cut_pairs[i];
      result.base_nll.insert(result.base_nll.end(), host[i].begin(), host[i].end());
    }
    if (lora) {
      pair.lora_nll = mean_of(host[count + i]);
      pair.lora_text = lora->texts[i];
      pair.lora_ids = lora->answers[i].ids;
      pair.lora_stopped = lora->answers[i].stopped;
      pair.lora_prompt_tokens = std::int64_t(lora->tasks[i].prompt.size());
      pair.lora_read_tokens = lora->answers[i].read_tokens;
      pair.cut_pairs = std::max(pair.cut_pairs, lora->cut_pairs[i]);
      result.lora_nll.insert(result.lora_nll.end(), host[count + i].begin(), host[count + i].end());
    }
    pair.reference_tokens = std::int64_t(host[base ? i : count + i].size());
    record.tokens += pair.reference_tokens;
    if (record.context_tokens == 0) record.context_tokens = lora ? pair.lora_prompt_tokens : pair.base_prompt_tokens;
  }
  record.scored_tokens = record.tokens;
  record.base_nll = mean_of(result.base_nll);
  record.lora_nll = mean_of(result.lora_nll);
  record.train_loss.assign(host[2 * count].begin(), host[2 * count].end());
  record.grad_norm.assign(host[2 * count + 1].begin(), host[2 * count + 1].end());
  const std::int64_t before = (trainer_ ? trainer_->steps() : 0) - std::int64_t(host[2 * count].size());
  const auto why = [&](std::int64_t steps) { return why_not_finite(model_, config_, false, before + steps); };
  check_finite(
      result.base_nll, "the base model's NLL",
      [&](std::int64_t) { return why_not_finite(model_, config_, true, 0); }, record);
  check_finite(result.lora_nll, "the adapter's NLL", [&](std::int64_t) { return why(0); }, record);
  check_finite(host[2 * count], "the training loss", why, record);
  check_finite(host[2 * count + 1], "the gradient's norm", why, record);
}

Json NovelTranslation::state() const {
  return Json{{"book_index", novel_index_},
              {"next_chunk", next_chunk_},
              {"first_pair", first_pair_},
              {"first_token", first_token_},
              {"adapter_version", version_},
              {"optimizer_steps", trainer_ ? trainer_->steps() : 0},
              {"base_memory", pairs_json(base_memory_)},
              {"lora_memory", pairs_json(lora_memory_)}};
}

void NovelTranslation::save_tensors_to(const fs::path& file) const {
  NamedTensors tensors;
  if (adapter_) add_module_state(tensors, "lora", *adapter_, *trainer_);
  save_tensors(file, tensors);
}

void NovelTranslation::restore(const Json& state, const fs::path& file) {
  next_chunk_ = state.at("next_chunk").get<std::int64_t>();
  if (next_chunk_ < 0 || next_chunk_ > chunk_count())
    throw Error(Exit::bad_input, fmt::format("{}: next_chunk: got {}, wanted 0 to {}", file.string(), next_chunk_, chunk_count()));
  first_pair_ = state.at("first_pair").get<std::int64_t>();
  first_token_ = state.at("first_token").get<std::int64_t>();
  base_memory_ = pairs_from(state.at("base_memory"));
  lora_memory_ = pairs_from(state.at("lora_memory"));
  if (!adapter_) return;
  version_ = state.at("adapter_version").get<std::int64_t>();
  restore_module_state(SafetensorsFiles::open_file(file), "lora", state.at("optimizer_steps").get<std::int64_t>(), *adapter_, *trainer_);
}

void NovelTranslation::save_adapter(const fs::path& folder) const {
  if (adapter_) save_peft_folder(*adapter_, folder, config_.model.path);
}

}  // namespace templora
