#include "config/lengths.h"
#include "plan/document_plan.h"

namespace templora {

Window training_segment(const TrainConfig& train, const Chunk& chunk) {
  Window window = window_of(chunk, train.prefix_tokens);
  if (train.label_prefix) window.labelled = window.length - 1;
  return window;
}

ReadBefore read_before(const Config& config, const std::vector<std::int64_t>& tokens, std::size_t index) {
  if (!one_for_all(config)) return {};
  ReadBefore before;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    before.all_tokens += tokens[i];
    if (i >= index) continue;
    before.tokens += tokens[i];
    before.chunks += DocumentPlan(config, tokens[i]).size();
  }
  return before;
}

DocumentPlan::DocumentPlan(const Config& config, std::int64_t tokens, std::int64_t start, const ReadBefore& before)
    : config_(&config), start_(start), before_(before) {
  if (before_.all_tokens == 0) before_.all_tokens = tokens;
  for (const Chunk& chunk : cut_chunks(tokens, config.window.chunk_tokens, first_chunk_tokens(config)))
    append(chunk.count);
}

void DocumentPlan::append(std::int64_t count) {
  const PlannedChunk* last = chunks_.empty() ? nullptr : &chunks_.back();
  PlannedChunk next;
  next.chunk = {end(), count};
  next.seen = window_of(next.chunk, context_tokens(*config_));
  next.segment = training_segment(config_->train, next.chunk);
  const std::int64_t every = config_->lora.reset_every_tokens;
  next.adapter = every <= 0 ? 0 : next.chunk.first / every;
  next.place = !last ? before_.chunks : last->adapter == next.adapter ? last->place + 1 : 0;
  chunks_.push_back(next);
}

std::vector<Chunk> DocumentPlan::chunks() const {
  std::vector<Chunk> all;
  for (const PlannedChunk& planned : chunks_) all.push_back(planned.chunk);
  return all;
}

Place DocumentPlan::place_of(std::int64_t index) const {
  const PlannedChunk& planned = (*this)[index];
  const double all = double(before_.all_tokens);
  return {planned.place, all > 0 ? (all - double(before_.tokens + planned.chunk.first)) / all : 1};
}

bool DocumentPlan::starts_adapter(std::int64_t index) const {
  return index > 0 && (*this)[index].adapter != (*this)[index - 1].adapter;
}

bool DocumentPlan::may_learn(std::int64_t index, std::int64_t now) const {
  const TrainConfig& train = config_->train;
  if (!config_->score.adapter || !train.enabled || index < 0) return false;
  const PlannedChunk& planned = (*this)[index];
  return (train.stop_after_tokens == 0 || planned.chunk.end() <= train.stop_after_tokens) &&
         planned.adapter == (*this)[now].adapter && planned.place % train.update_every_chunks == 0 &&
         planned.segment.labelled > 0;
}

std::optional<std::int64_t> DocumentPlan::learns_after(std::int64_t index) const {
  const std::int64_t learnt = index - training_lag(*config_);
  if (!may_learn(learnt, index)) return {};
  return learnt;
}

bool DocumentPlan::shares_forward(std::int64_t index) const {
  const PlannedChunk& planned = (*this)[index];
  const bool same_pass = config_->lora.rows == AdapterRows::chunk ||
                         (config_->cache.policy == CachePolicy::rebuild && planned.seen == planned.segment);
  return same_pass && training_dropout(config_->lora) == 0 && config_->train.replay_share == 0 &&
         learns_after(index) == index;
}

bool DocumentPlan::measures_staleness(std::int64_t index) const {
  return config_->cache.measure_staleness && index % config_->cache.staleness_every_chunks == 0;
}

std::int64_t DocumentPlan::scored_before(std::int64_t index) const {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < index; ++i) count += (*this)[i].seen.labelled;
  return count;
}

}  // namespace templora
