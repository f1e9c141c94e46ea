#include "sweep/cell_size.h"

#include <algorithm>
#include <vector>

#include "core/file.h"
#include "cost/cost.h"

namespace templora {
namespace {

constexpr double kBytesPerToken = 4;           // of English
constexpr std::int64_t kUnknownVocab = 32000;  // of a model that is yet to be trained: only its tokenizer tells

// `exclude`: names, or globs of names, of texts that are left out, as a pretraining leaves them out.
std::vector<std::int64_t> text_tokens(const std::vector<std::string>& patterns, std::int64_t most,
                                      const std::vector<std::string>& exclude = {}) {
  std::vector<std::int64_t> tokens;
  for (const fs::path& text : expand_globs(patterns, ".")) {
    if (std::any_of(exclude.begin(), exclude.end(),
                    [&](const std::string& pattern) { return name_matches(text, pattern); }))
      continue;
    std::error_code ignored;
    const auto all = std::max<std::int64_t>(1, std::int64_t(double(fs::file_size(text, ignored)) / kBytesPerToken));
    tokens.push_back(most > 0 ? std::min(all, most) : all);
  }
  return tokens;
}

double sum_of(const std::vector<std::int64_t>& counts) {
  double sum = 0;
  for (const std::int64_t count : counts) sum += double(count);
  return sum;
}

// Each token passes the base and the adapter, and each step three times: no more is known before the texts are cut.
CellSize translation_size(const Config& config, const ModelShape& shape) {
  CellSize size;
  size.tokens = sum_of(text_tokens(config.data.novels, 0));
  size.flops = 2 * shape.parameters() * size.tokens * (2 + 3 * double(config.train.epochs));
  size.memory_bytes = memory_need(config, shape).total();
  return size;
}

ModelShape cell_shape(const Config& config) {
  return config.experiment == ExperimentKind::pretrain ? pretrain_shape(config.pretrain, kUnknownVocab)
                                                       : model_shape(config);
}

}  // namespace

CostPrediction estimate_cost(const Config& config) {
  CostInput input;
  if (config.experiment == ExperimentKind::pretrain) {
    const double tokens = config.pretrain.tokens
                              ? double(*config.pretrain.tokens)
                              : config.pretrain.passes * sum_of(text_tokens(config.data.books, 0, config.data.exclude));
    input.document_tokens = {std::int64_t(tokens)};
  } else if (config.experiment == ExperimentKind::generation) {
    input.document_tokens = {config.generate.tokens};
  } else {
    input.document_tokens = text_tokens(config.data.books, config.data.max_tokens);
  }
  return predict_cost(config, cell_shape(config), input);
}

CellSize estimate_size(const Config& config) {
  if (config.experiment == ExperimentKind::translation) return translation_size(config, cell_shape(config));
  const CostPrediction cost = estimate_cost(config);
  return {double(cost.tokens), cost.total().flops(), cost.memory.total()};
}

}  // namespace templora
