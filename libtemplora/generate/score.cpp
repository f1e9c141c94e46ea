#include "generate/score.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include "core/check.h"
#include "model/token_nll.h"

namespace templora {

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
