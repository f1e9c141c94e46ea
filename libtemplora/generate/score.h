#pragma once

#include "generate/kv_cache.h"

namespace templora {

/// NLLs of given tokens, by blocks of rows (linear_nll(), model/token_nll.h).
/// hidden: [rows, hidden], targets: [rows] int64 on its device → [rows] nats, float32 (float64 for a float64 model).
at::Tensor row_nll(LlamaImpl& model, const at::Tensor& hidden, const at::Tensor& targets);

/// NLLs of continuations, nats. The cache holds everything before texts[i][0]; tokens 1 … n-1 of each text are
/// scored, and all but its last are appended as `version` (the last one opens the next text).
/// → for each text [n - 1], float32 (float64 for a float64 model).
std::vector<at::Tensor> score(LlamaImpl& model, KvCache& cache, const std::vector<Append>& texts, std::int64_t version);

}  // namespace templora
