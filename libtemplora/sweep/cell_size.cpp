#include "sweep/cell_size.h"

#include <algorithm>
#include <vector>

#include "core/file.h"

namespace templora {
namespace {

constexpr double kBytesPerToken = 4;    // of English; only an order of cells hangs on it
constexpr double kPassesPerStep = 3;    // forward, and twice that backward

double text_tokens(const std::vector<std::string>& patterns, std::int64_t most) {
  double tokens = 0;
  for (const fs::path& text : expand_globs(patterns, ".")) {
    std::error_code ignored;
    const double all = double(fs::file_size(text, ignored)) / kBytesPerToken;
    tokens += most > 0 ? std::min(all, double(most)) : all;
  }
  return tokens;
}

}  // namespace

CellSize estimate_size(const Config& config) {
  CellSize size;
  if (config.experiment == ExperimentKind::pretrain) {
    size.tokens = config.pretrain.tokens ? double(*config.pretrain.tokens) : config.pretrain.passes * text_tokens(config.data.books, 0);
    size.passes = size.tokens * kPassesPerStep;
    return size;
  }
  switch (config.experiment) {
    case ExperimentKind::generation: size.tokens = double(config.generate.tokens); break;
    case ExperimentKind::translation: size.tokens = text_tokens(config.data.novels, 0); break;
    default: size.tokens = text_tokens(config.data.books, config.data.max_tokens);
  }
  const double chunk = double(config.window.chunk_tokens), context = double(config.window.context_tokens.value_or(0));
  const bool kept = config.cache.policy != CachePolicy::rebuild || config.experiment == ExperimentKind::generation;
  const double scored = kept ? chunk : context + chunk;  // tokens of one pass that scores a chunk
  const double modules = config.score.adapter ? 1.0 + double(config.control.size()) : 0.0;
  const double learnt = config.train.enabled ? double(config.train.epochs) * (double(config.train.prefix_tokens) + chunk) : 0.0;
  size.passes = size.tokens / chunk * ((config.score.base ? scored : 0) + modules * (scored + kPassesPerStep * learnt));
  return size;
}

}  // namespace templora
