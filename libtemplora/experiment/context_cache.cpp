#include "experiment/context_cache.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <numeric>

#include "core/check.h"
#include "experiment/chunk_values.h"
#include "generate/score.h"

namespace templora {
namespace {

// Mean over rows of KL(fresh ‖ stale) between next-token distributions, nats.
double mean_kl(LlamaImpl& model, const at::Tensor& fresh, const at::Tensor& stale) {
  const auto log_probabilities = [&](const at::Tensor& hidden) {
    const at::Tensor logits = model.logits(hidden);
    return at::log_softmax(logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat), -1);
  };
  double sum = 0;
  const std::int64_t block = logit_block_rows(model.config().vocab_size);
  for (std::int64_t first = 0; first < fresh.size(0); first += block) {
    const std::int64_t rows = std::min(block, fresh.size(0) - first);
    const at::Tensor p = log_probabilities(fresh.narrow(0, first, rows)),
                     q = log_probabilities(stale.narrow(0, first, rows));
    sum += (p.exp() * (p - q)).sum(at::kDouble).item<double>();
  }
  return sum / double(fresh.size(0));
}

std::vector<std::int64_t> slice(const std::vector<std::int64_t>& text, std::int64_t first, std::int64_t end) {
  return {text.begin() + first, text.begin() + end};
}

}  // namespace

ContextCache::ContextCache(LlamaImpl& model, const Config& config)
    : model_(model),
      config_(config),
      plan_(config),
      cache_(model, {1, CachePlan::capacity(config), config.cache.policy == CachePolicy::last_n,
                     config.cache.prefill_block_tokens}) {}

std::int64_t ContextCache::open(const std::vector<std::int64_t>& text, std::int64_t end, std::int64_t next,
                                std::int64_t version) {
  TEMPLORA_CHECK(end >= 0 && end <= std::int64_t(text.size()), "the context lies in the text");
  const at::NoGradGuard no_grad;
  hidden_ = at::Tensor();
  for (const CacheStep& step : plan_.open(end, next)) carry_out(step, text, Rows::none, version);
  ages_.clear();
  for (const std::int64_t made : cache_.versions(0)) ages_.push_back(version - made);
  return opened_tokens_ = context_tokens();
}

at::Tensor ContextCache::carry_out(const CacheStep& step, const std::vector<std::int64_t>& text, Rows rows,
                                   std::int64_t version) {
  at::Tensor hidden;
  switch (step.kind) {
    case CacheStep::Kind::forget:
      cache_.truncate(0, 0);
      positions_.clear();
      visible_.clear();
      break;
    case CacheStep::Kind::start: see(text, step.first, step.first + 1); break;
    case CacheStep::Kind::drop:
      cache_.keep_last(0, step.first, step.held - step.tokens - step.first);
      for (std::vector<std::int64_t>* list : {&positions_, &visible_})
        list->erase(list->begin() + step.first, list->begin() + step.first + step.tokens);
      break;
    case CacheStep::Kind::feed:
      hidden = cache_.append(model_, {{0, slice(text, step.first, step.first + step.tokens)}}, rows, version);
      see(text, step.first + 1, step.first + step.tokens + 1);
      break;
  }
  return hidden;
}

void ContextCache::written(const std::vector<std::int64_t>& text, std::int64_t end) {
  plan_.written(end);
  see(text, positions_.empty() ? 0 : positions_.back() + 1, end);
}

void ContextCache::see(const std::vector<std::int64_t>& text, std::int64_t first, std::int64_t end) {
  for (std::int64_t t = first; t < end; ++t) {
    positions_.push_back(t);
    visible_.push_back(text[std::size_t(t)]);
  }
}

at::Tensor ContextCache::score(const std::vector<std::int64_t>& text, const Chunk& chunk, std::int64_t version) {
  return score(plan_.score(chunk), text, version);
}

NllPass ContextCache::pass_behind(const std::vector<std::int64_t>& text, const Chunk& chunk) const {
  const std::int64_t again = std::min<std::int64_t>(1, opened_tokens_);
  const at::Tensor tokens = ids_of(text, chunk.first - again, chunk.count + again);
  return [this, tokens, held = opened_slots()] { return token_nll_behind(model_, tokens, cache_.slots(), held); };
}

void ContextCache::rewind() { cache_.truncate(0, opened_slots()); }

at::Tensor ContextCache::ids_of(const std::vector<std::int64_t>& text, std::int64_t first, std::int64_t count) const {
  return ids_on(model_.options().device(), std::span(text).subspan(std::size_t(first), std::size_t(count)));
}

at::Tensor ContextCache::score(const std::vector<CacheStep>& steps, const std::vector<std::int64_t>& text,
                               std::int64_t version) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) carry_out(steps[i], text, Rows::none, version);
  const CacheStep& last = steps.back();
  hidden_ = carry_out(last, text, Rows::all, version);  // [fed, hidden]
  return hidden_.defined() ? row_nll(model_, hidden_, ids_of(text, last.first + 1, last.tokens)) : at::Tensor();
}

std::optional<StalenessRecord> ContextCache::measure_staleness(const std::vector<std::int64_t>& text,
                                                               const std::vector<Chunk>& chunks, std::size_t index,
                                                               std::int64_t version) {
  if (!hidden_.defined() || ages_.empty()) return {};
  const at::NoGradGuard no_grad;
  ContextCache fresh(model_, config_);
  const at::Tensor fresh_nll =
      fresh.score(fresh_steps(config_, chunks, index, std::int64_t(ages_.size()) + 1), text, version);
  const at::Tensor targets = ids_of(text, chunks[index].first, chunks[index].count);
  StalenessRecord record;
  record.nll_difference = (row_nll(model_, hidden_, targets) - fresh_nll).to(at::kDouble).mean().item<double>();
  record.kl = mean_kl(model_, fresh.hidden_, hidden_);
  record.oldest_versions = *std::max_element(ages_.begin(), ages_.end());
  record.mean_versions = double(std::accumulate(ages_.begin(), ages_.end(), std::int64_t{0})) / double(ages_.size());
  return record;
}

// Before the first chunk there is nothing to keep.
std::vector<std::pair<std::string, at::Tensor>> ContextCache::tensors() const {
  if (positions_.empty()) return {};
  return cache_.tensors();
}

Json ContextCache::state() const {
  return Json{{"positions", positions_}, {"chunks_since_rebuild", plan_.chunks_since_rebuild()}};
}

void ContextCache::restore(const Json& state, const std::vector<std::int64_t>& text,
                           const std::function<at::Tensor(const std::string&)>& stored) {
  positions_ = state.at("positions").get<std::vector<std::int64_t>>();
  plan_.restore(std::int64_t(positions_.size()), positions_.empty() ? 0 : positions_.back() + 1,
                state.at("chunks_since_rebuild").get<std::int64_t>());
  visible_.clear();
  for (const std::int64_t position : positions_) {
    if (position < 0 || position >= std::int64_t(text.size()))
      throw Error(Exit::bad_input, "saved state: cache: a position lies outside the text; start the run anew");
    visible_.push_back(text[std::size_t(position)]);
  }
  if (positions_.empty()) return;
  cache_.restore(stored);
  if (cache_.length(0) + 1 != std::int64_t(positions_.size()))
    throw Error(Exit::bad_input, "saved state: cache: positions and stored keys differ in number; start the run anew");
}

}  // namespace templora
