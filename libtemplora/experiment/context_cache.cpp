#include "experiment/context_cache.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "core/check.h"
#include "generate/score.h"
#include "metrics/cache_plan.h"

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
    const at::Tensor p = log_probabilities(fresh.narrow(0, first, rows)), q = log_probabilities(stale.narrow(0, first, rows));
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
      window_tokens_(CachePlan::window_tokens(config)),
      cache_(model, {1, CachePlan::capacity(config), config.cache.policy == CachePolicy::last_n, config.cache.prefill_block_tokens}) {}

bool ContextCache::must_rebuild(std::int64_t end, std::int64_t next) const {
  const std::int64_t first = positions_.empty() ? 0 : positions_.front();
  switch (config_.cache.policy) {
    case CachePolicy::rebuild: return true;
    case CachePolicy::refill: return end - first + next > window_tokens_;
    case CachePolicy::every_k: return chunks_since_rebuild_ >= config_.cache.rebuild_every_chunks || end - first > CachePlan::capacity(config_) - next;
    case CachePolicy::last_n: return false;
  }
  return true;
}

std::int64_t ContextCache::open(const std::vector<std::int64_t>& text, std::int64_t end, std::int64_t next, std::int64_t version) {
  TEMPLORA_CHECK(end >= 0 && end <= std::int64_t(text.size()), "the context lies in the text");
  const at::NoGradGuard no_grad;
  hidden_ = at::Tensor();
  if (end > 0) {
    if (must_rebuild(end, next)) {
      const std::int64_t kept = config_.cache.policy == CachePolicy::refill ? config_.cache.refill_tokens : *config_.window.context_tokens;
      rebuild(text, std::max<std::int64_t>(0, end - kept), end, version);
      chunks_since_rebuild_ = 0;
    } else {
      feed(text, end, version);
    }
    if (config_.cache.policy == CachePolicy::last_n) trim(next);
  }
  ++chunks_since_rebuild_;
  ages_.clear();
  for (const std::int64_t made : cache_.versions(0)) ages_.push_back(version - made);
  return context_tokens();
}

void ContextCache::rebuild(const std::vector<std::int64_t>& text, std::int64_t begin, std::int64_t end, std::int64_t version) {
  cache_.truncate(0, 0);
  positions_.clear();
  visible_.clear();
  if (begin == end) return;
  positions_.push_back(begin);
  visible_.push_back(text[std::size_t(begin)]);
  feed(text, end, version);
}

// Takes what is not yet visible, up to `end`; the last visible token is always the one that is not held yet.
void ContextCache::feed(const std::vector<std::int64_t>& text, std::int64_t end, std::int64_t version) {
  if (positions_.empty()) {
    if (end == 0) return;
    positions_.push_back(0);
    visible_.push_back(text[0]);
  }
  const std::int64_t chunk = config_.window.chunk_tokens;
  while (positions_.back() + 1 < end) {
    const std::int64_t from = positions_.back();
    const std::int64_t piece = from == 0 ? CachePlan::first_piece(config_) : chunk;
    const std::int64_t to = config_.cache.policy == CachePolicy::last_n ? std::min(end, from + 1 + piece) : end;
    if (config_.cache.policy == CachePolicy::last_n) trim(to - from - 1);
    cache_.append(model_, {{0, slice(text, from, to - 1)}}, Rows::none, version);
    written(text, to);
  }
}

void ContextCache::written(const std::vector<std::int64_t>& text, std::int64_t end) {
  for (std::int64_t t = positions_.empty() ? 0 : positions_.back() + 1; t < end; ++t) {
    positions_.push_back(t);
    visible_.push_back(text[std::size_t(t)]);
  }
}

// Drops the middle so that `next` tokens more still fit into the window.
void ContextCache::trim(std::int64_t next) {
  const auto seen = std::int64_t(visible_.size());
  const std::int64_t allowed = std::max<std::int64_t>(window_tokens_ - next, 1);
  if (seen <= allowed) return;
  const std::int64_t sinks = std::min(config_.cache.sink_tokens, allowed - 1);
  const std::int64_t held = seen - 1, last = allowed - 1 - sinks;
  cache_.keep_last(0, sinks, last);
  for (std::vector<std::int64_t>* list : {&positions_, &visible_})
    list->erase(list->begin() + sinks, list->begin() + (held - last));
}

at::Tensor ContextCache::score(const std::vector<std::int64_t>& text, const Chunk& chunk, std::int64_t version) {
  const at::NoGradGuard no_grad;
  const std::int64_t first = visible_.empty() ? chunk.first : chunk.first - 1;  // the token that opens the pass
  const std::int64_t end = chunk.first + chunk.count;
  if (visible_.empty()) {  // nothing is in sight before the chunk: what is seen starts with it
    positions_ = {first};
    visible_ = {text[std::size_t(first)]};
  }
  if (end - first < 2) return {};
  hidden_ = cache_.append(model_, {{0, slice(text, first, end - 1)}}, Rows::all, version);  // [end - 1 - first, hidden]
  written(text, end);
  const at::Tensor targets = at::tensor(at::ArrayRef<std::int64_t>(text.data() + first + 1, std::size_t(end - first - 1)))
                                 .to(model_.options().device());
  return row_nll(model_, hidden_, targets);
}

std::optional<StalenessRecord> ContextCache::measure_staleness(const std::vector<std::int64_t>& text, const Chunk& chunk,
                                                               std::int64_t version) {
  if (!hidden_.defined() || ages_.empty()) return {};
  const at::NoGradGuard no_grad;
  const at::Tensor stale = hidden_;
  ContextCache fresh(model_, config_);
  if (config_.cache.policy == CachePolicy::last_n) {
    // The mask is the policy's own history: it is gone through again, with today's module.
    std::int64_t end = 0;
    for (const Chunk& c : cut_chunks(chunk.first, config_.window.chunk_tokens, *config_.window.first_chunk_tokens)) {
      fresh.open(text, end, c.count, version);
      end = c.first + c.count;
    }
    fresh.open(text, chunk.first, chunk.count, version);
  } else {
    fresh.rebuild(text, chunk.first - std::int64_t(ages_.size()) - 1, chunk.first, version);
  }
  const at::Tensor fresh_nll = fresh.score(text, chunk, version);
  const at::Tensor targets =
      at::tensor(at::ArrayRef<std::int64_t>(text.data() + chunk.first, std::size_t(chunk.count))).to(model_.options().device());
  StalenessRecord record;
  record.nll_difference = (row_nll(model_, stale, targets) - fresh_nll).to(at::kDouble).mean().item<double>();
  record.kl = mean_kl(model_, fresh.hidden_, stale);
  record.oldest_versions = *std::max_element(ages_.begin(), ages_.end());
  record.mean_versions = double(std::accumulate(ages_.begin(), ages_.end(), std::int64_t{0})) / double(ages_.size());
  return record;
}

// Before the first chunk there is nothing to keep.
std::vector<std::pair<std::string, at::Tensor>> ContextCache::tensors() const {
  if (positions_.empty()) return {};
  return cache_.tensors();
}

Json ContextCache::state() const { return Json{{"positions", positions_}, {"chunks_since_rebuild", chunks_since_rebuild_}}; }

void ContextCache::restore(const Json& state, const std::vector<std::int64_t>& text,
                           const std::function<at::Tensor(const std::string&)>& stored) {
  positions_ = state.at("positions").get<std::vector<std::int64_t>>();
  chunks_since_rebuild_ = state.at("chunks_since_rebuild").get<std::int64_t>();
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
