// What happens to each chunk of a document: TempLora::step (experiment/temp_lora.cpp) in numbers alone.

#include <algorithm>
#include <cmath>

#include "metrics/cost.h"

namespace templora {
namespace {

struct Span {
  std::int64_t first, count;
};

std::vector<Span> cut(std::int64_t tokens, std::int64_t chunk, std::int64_t first_chunk) {
  std::vector<Span> spans;
  for (std::int64_t first = 0; first < tokens;) {
    const std::int64_t count = std::min(spans.empty() ? first_chunk : chunk, tokens - first);
    spans.push_back({first, count});
    first += count;
  }
  return spans;
}

struct Sight {
  std::int64_t context, labelled;
};

Sight sight_of(const Span& span, std::int64_t context_tokens) {
  const std::int64_t context = std::min(context_tokens, span.first);
  return {context, context > 0 ? span.count : span.count - 1};
}

// Whether the rules of train.* learn a module's chunk number `index`. Which chunks are hard only the data tell: of those
// after the first hard_after_chunks, a share of 1 - hard_quantile is taken, spread evenly.
bool learns(const TrainConfig& train, std::int64_t index) {
  if (index % train.update_every_chunks != 0) return false;
  if (train.hard_quantile == 0 || index < train.hard_after_chunks) return true;
  const double share = 1 - train.hard_quantile, nth = double(index - train.hard_after_chunks);
  return std::floor((nth + 1) * share) > std::floor(nth * share);
}

// The passes of ContextCache::measure_staleness.
std::vector<Fed> fresh_passes(const Config& config, const std::vector<Span>& spans, std::size_t index, std::int64_t held) {
  const Span& span = spans[index];
  if (held == 0) return {};
  if (config.cache.policy != CachePolicy::last_n) return {{held, 0}, {span.count, held}};
  std::vector<Fed> passes;
  CachePlan fresh(config);
  const auto open = [&](std::int64_t end, std::int64_t next) {
    const std::vector<Fed> fed = fresh.open(end, next);
    passes.insert(passes.end(), fed.begin(), fed.end());
  };
  for (std::size_t i = 0, end = 0; i < index; end = std::size_t(spans[i].first + spans[i].count), ++i)
    open(std::int64_t(end), spans[i].count);
  open(span.first, span.count);
  passes.push_back(fresh.score(span.first, span.count));
  return passes;
}

}  // namespace

std::vector<PlannedChunk> plan_document(const Config& config, const CostInput& input, std::size_t document) {
  const std::int64_t chunk_tokens = config.window.chunk_tokens, context = CachePlan::context_tokens(config);
  const std::int64_t stop = config.train.stop_after_tokens, reset = config.lora.reset_every_tokens;
  auto spans = cut(input.document_tokens.at(document), chunk_tokens, config.window.first_chunk_tokens.value_or(chunk_tokens));
  for (Span& span : spans) span.first += input.first_token;
  const auto module_of = [&](std::size_t i) { return reset == 0 ? 0 : spans[i].first / reset; };
  CachePlan cache(config);
  if (input.first_token > 0) cache.assume_read(input.first_token);
  std::vector<PlannedChunk> chunks;
  std::size_t module_start = 0;  // first chunk of the module that learns
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const Span& span = spans[i];
    PlannedChunk chunk;
    chunk.first = span.first;
    chunk.tokens = span.count;
    if (config.cache.policy == CachePolicy::rebuild) {
      const Sight seen = sight_of(span, context);
      chunk.context = seen.context;
      chunk.scored = seen.labelled;
    } else {
      chunk.kept = true;
      chunk.recompute = cache.open(span.first, span.count);
      chunk.context = cache.visible();
      chunk.pass = cache.score(span.first, span.count);
      chunk.scored = chunk.pass.tokens;
      if (config.cache.measure_staleness && std::int64_t(i) % config.cache.staleness_every_chunks == 0)
        chunk.fresh = fresh_passes(config, spans, i, chunk.pass.held);
    }
    const std::int64_t lag = config.train.lag_chunks;
    if (config.score.adapter && config.train.enabled && std::int64_t(i) >= lag) {
      const std::size_t learnt = i - std::size_t(lag);
      const Sight train = sight_of(spans[learnt], config.train.prefix_tokens);
      const bool in_time = stop == 0 || spans[learnt].first + spans[learnt].count <= stop;
      if (in_time && module_of(learnt) == module_of(i) && train.labelled > 0) {
        chunk.train_length = train.context + spans[learnt].count;
        chunk.train_labelled = config.train.label_prefix ? chunk.train_length - 1 : train.labelled;
        if (learnt > 0 && module_of(learnt) != module_of(learnt - 1)) module_start = learnt;
        const std::int64_t planned = learns(config.train, std::int64_t(learnt - module_start)) ? config.train.epochs : 0;
        chunk.steps = input.steps_after ? input.steps_after(document, std::int64_t(i)) : planned;
        chunk.shared_forward = input.execution.shares_forward && !chunk.kept && lag == 0 && config.lora.dropout == 0 &&
                               chunk.steps > 0 && sight_of(span, context).context == train.context && chunk.scored == chunk.train_labelled;
      }
    }
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

}  // namespace templora
