#include "generate/score.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "core/check.h"
#include "model/token_nll.h"

namespace templora {

std::int64_t common_prefix(const std::vector<std::vector<std::int64_t>>& texts, std::int64_t limit) {
  if (texts.empty()) return 0;
  std::int64_t shared = std::min(limit, std::int64_t(texts[0].size()));
  for (const auto& text : texts) {
    shared = std::min(shared, std::int64_t(text.size()));
    const auto differs = std::mismatch(text.begin(), text.begin() + std::ptrdiff_t(shared), texts[0].begin());
    shared = differs.first - text.begin();
  }
  return shared;
}

std::int64_t prefill(LlamaImpl& model, KvCache& cache, const std::vector<std::vector<std::int64_t>>& texts,
                     std::int64_t version) {
  TEMPLORA_CHECK(std::int64_t(texts.size()) <= cache.sequences(), "one sequence of the cache for each text");
  std::size_t longest = 0, shortest = texts.empty() ? 0 : texts[0].size();
  for (const auto& text : texts) {
    TEMPLORA_CHECK(!text.empty(), "a text has a token that the next step can feed");
    longest = std::max(longest, text.size());
    shortest = std::min(shortest, text.size());
  }
  const std::int64_t shared = texts.size() < 2 ? 0 : common_prefix(texts, std::int64_t(shortest) - 1);
  cache.reserve(std::int64_t(longest));
  if (shared > 0) {
    cache.truncate(0, 0);
    cache.append(model, {{0, {texts[0].begin(), texts[0].begin() + std::ptrdiff_t(shared)}}}, Rows::none, version);
  }
  std::vector<Append> rest;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::int64_t sequence = std::int64_t(i);
    if (i > 0 && shared > 0) cache.copy_prefix(0, sequence, shared);
    if (shared == 0) cache.truncate(sequence, 0);
    if (std::int64_t(texts[i].size()) - 1 > shared)
      rest.push_back({sequence, {texts[i].begin() + std::ptrdiff_t(shared), texts[i].end() - 1}});
  }
  if (!rest.empty()) cache.append(model, rest, Rows::none, version);
  return shared;
}

at::Tensor row_nll(LlamaImpl& model, const at::Tensor& hidden, const at::Tensor& targets) {
  return linear_nll(hidden, model.head_weight(), targets);
}

std::vector<at::Tensor> score(LlamaImpl& model, KvCache& cache, const std::vector<Append>& texts,
                              std::int64_t version) {
  const at::NoGradGuard no_grad;
  std::vector<Append> fed;
  std::vector<std::int64_t> targets;
  for (const Append& text : texts) {
    TEMPLORA_CHECK(text.tokens.size() > 1, "the first token is what the others follow");
    fed.push_back({text.sequence, {text.tokens.begin(), text.tokens.end() - 1}});
    targets.insert(targets.end(), text.tokens.begin() + 1, text.tokens.end());
  }
  const at::Tensor hidden = cache.append(model, fed, Rows::all, version);  // [rows, hidden]
  const at::Tensor wanted = at::tensor(at::ArrayRef<std::int64_t>(targets)).to(hidden.device());
  const at::Tensor all = row_nll(model, hidden, wanted);  // [rows]
  std::vector<at::Tensor> by_text;
  std::int64_t row = 0;
  for (const Append& text : fed) {
    by_text.push_back(all.narrow(0, row, std::int64_t(text.tokens.size())));
    row += std::int64_t(text.tokens.size());
  }
  return by_text;
}

}  // namespace templora
