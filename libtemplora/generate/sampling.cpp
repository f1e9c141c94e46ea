#include "generate/sampling.h"

#include <ATen/ops/cumsum.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <limits>

#include "core/check.h"
#include "core/error.h"

namespace templora {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

}  // namespace

SamplingOptions sampling_of(const GenerateConfig& config) {
  return {config.temperature, config.top_k, config.top_p, config.min_p, config.repetition_penalty};
}

at::Tensor repetition_penalty(const at::Tensor& logits, const at::Tensor& seen, double penalty) {
  const at::Tensor old = logits.gather(1, seen);  // [batch, any]
  return logits.scatter(1, seen, at::where(old < 0, old * penalty, old / penalty));
}

at::Tensor suppress(const at::Tensor& logits, const std::vector<std::int64_t>& tokens) {
  if (tokens.empty()) return logits;
  return logits.index_fill(1, at::tensor(at::ArrayRef<std::int64_t>(tokens)).to(logits.device()), kNever);
}

at::Tensor top_k(const at::Tensor& logits, std::int64_t k) {
  const at::Tensor least = std::get<0>(logits.topk(std::min(k, logits.size(1)))).slice(1, -1);  // [batch, 1]
  return logits.masked_fill(logits < least, kNever);
}

at::Tensor top_p(const at::Tensor& logits, double p) {
  const auto [rising, order] = logits.sort(/*dim=*/1, /*descending=*/false);
  at::Tensor removed = rising.softmax(1).cumsum(1) <= 1 - p;  // [batch, vocab] in rising order
  removed.slice(1, -1).fill_(false);
  return logits.masked_fill(removed.scatter(1, order, removed), kNever);
}

at::Tensor min_p(const at::Tensor& logits, double p) {
  const at::Tensor probabilities = logits.softmax(1), best = std::get<0>(probabilities.max(1, /*keepdim=*/true));
  return logits.masked_fill(probabilities < p * best, kNever);
}

at::Tensor warp(const at::Tensor& logits, const SamplingOptions& options) {
  TEMPLORA_CHECK(options.temperature > 0, "greedy decoding has no distribution");
  at::Tensor warped = options.temperature == 1 ? logits : logits / options.temperature;
  if (options.top_k > 0) warped = top_k(warped, options.top_k);
  if (options.top_p < 1) warped = top_p(warped, options.top_p);
  if (options.min_p > 0) warped = min_p(warped, options.min_p);
  return warped;
}

at::Tensor sample(const at::Tensor& logits, const at::Tensor& uniform) {
  const at::Tensor sums = logits.to(at::kDouble).softmax(1).cumsum(1);       // [batch, vocab], the last is the total
  const at::Tensor mark = uniform.unsqueeze(1) * sums.slice(1, -1);          // [batch, 1], below the total
  return at::searchsorted(sums, mark, /*out_int32=*/false, /*right=*/true).squeeze(1);
}

at::Tensor likeliest(const at::Tensor& logits) {
  const auto [largest, token] = logits.max(1);
  return token.masked_fill(largest.isnan(), logits.size(1));
}

void check_chosen(std::span<const std::int64_t> chosen, std::int64_t vocab) {
  for (const std::int64_t token : chosen)
    if (token >= vocab)
      throw Error(Exit::numerics, "the next token's probabilities are NaN");  // who decodes says why
}

}  // namespace templora
