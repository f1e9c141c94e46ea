#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "config/config.h"

namespace templora {

/// How the next token is chosen from logits. Names and meanings are those of transformers' generation config.
struct SamplingOptions {
  double temperature = 0;         ///< 0: greedy, and top_k, top_p, min_p have no part in it
  std::int64_t top_k = 0;         ///< 0: off
  double top_p = 1;               ///< 1: off
  double min_p = 0;               ///< 0: off
  double repetition_penalty = 1;  ///< 1: off
};

/// What a config asks for.
SamplingOptions sampling_of(const GenerateConfig& config);

// The processors below are plain functions on float32 logits [batch, vocab], equal to the classes of the same
// names in transformers 4.57 (generation/logits_process.py); each returns new logits.

/// Logits of tokens that occurred are divided by `penalty` where positive and multiplied where negative.
/// seen: [batch, any] int64, repeats allowed.
at::Tensor repetition_penalty(const at::Tensor& logits, const at::Tensor& seen, double penalty);

/// Minus infinity for `tokens`: how an end is put off until the minimum length.
at::Tensor suppress(const at::Tensor& logits, const std::vector<std::int64_t>& tokens);

/// Minus infinity for all but the k largest (and what equals the smallest of them).
at::Tensor top_k(const at::Tensor& logits, std::int64_t k);

/// Minus infinity for the least likely tokens whose probabilities together are at most 1 - p.
at::Tensor top_p(const at::Tensor& logits, double p);

/// Minus infinity for tokens less likely than `p` times the likeliest.
at::Tensor min_p(const at::Tensor& logits, double p);

/// Temperature, top-k, top-p and min-p in transformers' order: what is sampled from is softmax of the result.
at::Tensor warp(const at::Tensor& logits, const SamplingOptions& options);

/// One token a row from softmax(logits). uniform: [batch] float64 in [0, 1). → [batch] int64; a row with NaN gives
/// vocab, which is no token: check_chosen() finds it once it is on the host.
at::Tensor sample(const at::Tensor& logits, const at::Tensor& uniform);

/// The likeliest token a row, the first of equal ones. → [batch] int64; a row with NaN gives vocab, as in sample().
at::Tensor likeliest(const at::Tensor& logits);

/// Throws Error(numerics) where one of `chosen` is not below `vocab`.
void check_chosen(std::span<const std::int64_t> chosen, std::int64_t vocab);

}  // namespace templora
