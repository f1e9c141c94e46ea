// What a chunk of a novel leaves behind: its records, and the state between two chunks.

#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "experiment/chunk_values.h"
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

void NovelTranslation::fill_records(const NovelChunk& chunk, const std::optional<Work>& base,
                                    const std::optional<Work>& lora, const std::optional<Learnt>& learnt,
                                    TranslatedChunk& result) const {
  const std::size_t count = chunk.pairs.size();
  std::vector<std::vector<float>> base_nll(count), lora_nll(count);
  std::vector<float> loss, norm;
  ReadBack values;
  for (std::size_t i = 0; i < count; ++i) {
    if (base) values.add(base->answers[i].nll, base_nll[i]);
    if (lora) values.add(lora->answers[i].nll, lora_nll[i]);
  }
  if (learnt) {
    values.add(at::stack(learnt->update.loss), loss);
    values.add(at::stack(learnt->update.grad_norm), norm);
  }
  values.read();
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
      pair.base_nll = mean_of(base_nll[i]);
      pair.base_text = base->texts[i];
      pair.base_ids = base->answers[i].ids;
      pair.base_stopped = base->answers[i].stopped;
      pair.base_prompt_tokens = std::int64_t(base->tasks[i].prompt.size());
      pair.base_read_tokens = base->answers[i].read_tokens;
      pair.cut_pairs = base->cut_pairs[i];
      result.base_nll.insert(result.base_nll.end(), base_nll[i].begin(), base_nll[i].end());
    }
    if (lora) {
      pair.lora_nll = mean_of(lora_nll[i]);
      pair.lora_text = lora->texts[i];
      pair.lora_ids = lora->answers[i].ids;
      pair.lora_stopped = lora->answers[i].stopped;
      pair.lora_prompt_tokens = std::int64_t(lora->tasks[i].prompt.size());
      pair.lora_read_tokens = lora->answers[i].read_tokens;
      pair.cut_pairs = std::max(pair.cut_pairs, lora->cut_pairs[i]);
      result.lora_nll.insert(result.lora_nll.end(), lora_nll[i].begin(), lora_nll[i].end());
    }
    pair.reference_tokens = std::int64_t((base ? base_nll : lora_nll)[i].size());
    record.tokens += pair.reference_tokens;
    if (record.context_tokens == 0) record.context_tokens = lora ? pair.lora_prompt_tokens : pair.base_prompt_tokens;
  }
  record.scored_tokens = record.tokens;
  record.base_nll = mean_of(result.base_nll);
  record.lora_nll = mean_of(result.lora_nll);
  record.train_loss.assign(loss.begin(), loss.end());
  record.grad_norm.assign(norm.begin(), norm.end());
  const std::int64_t before = (adapter_ ? adapter_->steps() : 0) - std::int64_t(loss.size());
  const auto why = [&](std::int64_t steps) { return why_not_finite(model_, config_, false, before + steps); };
  check_finite(
      result.base_nll, "the base model's NLL",
      [&](std::int64_t) { return why_not_finite(model_, config_, true, 0); }, record);
  check_finite(result.lora_nll, "the adapter's NLL", [&](std::int64_t) { return why(0); }, record);
  check_finite(loss, "the training loss", why, record);
  check_finite(norm, "the gradient's norm", why, record);
}

Json NovelTranslation::state() const {
  return Json{{"book_index", novel_index_},
              {"next_chunk", next_chunk_},
              {"first_pair", first_pair_},
              {"first_token", first_token_},
              {"adapter_version", adapter_ ? adapter_->version() : 0},
              {"optimizer_steps", adapter_ ? adapter_->steps() : 0},
              {"base_memory", pairs_json(base_memory_)},
              {"lora_memory", pairs_json(lora_memory_)}};
}

void NovelTranslation::save_tensors_to(const fs::path& file) const {
  NamedTensors tensors;
  if (adapter_) adapter_->add_state(tensors, "lora");
  save_tensors(file, tensors);
}

void NovelTranslation::restore(const Json& state, const fs::path& file) {
  next_chunk_ = state.at("next_chunk").get<std::int64_t>();
  if (next_chunk_ < 0 || next_chunk_ > chunk_count())
    throw Error(Exit::bad_input,
                fmt::format("{}: next_chunk: got {}, wanted 0 to {}", file.string(), next_chunk_, chunk_count()));
  first_pair_ = state.at("first_pair").get<std::int64_t>();
  first_token_ = state.at("first_token").get<std::int64_t>();
  base_memory_ = pairs_from(state.at("base_memory"));
  lora_memory_ = pairs_from(state.at("lora_memory"));
  if (!adapter_) return;
  adapter_->restore(SafetensorsFiles::open_file(file), "lora", state.at("adapter_version").get<std::int64_t>(),
                    state.at("optimizer_steps").get<std::int64_t>());
}

void NovelTranslation::save_adapter(const fs::path& folder) const {
  if (adapter_) adapter_->save_peft(folder);
}

}  // namespace templora
