#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace templora {

/// Rows of a fused projection that one low-rank update writes to.
struct LoraPart {
  std::int64_t first_row;
  std::int64_t rows;
};

/// Parts as the flat list that an autograd node keeps, and back.
std::vector<std::int64_t> packed_parts(const std::vector<LoraPart>& parts);
std::vector<LoraPart> unpacked_parts(const std::vector<std::int64_t>& flat);

/// W x + b + (alpha / rank) · B A x on a fused group of frozen projections, as one autograd node: the base
/// product, the updates added in place, and a derivative that never touches the base weight's gradient.
/// x: [rows, in]; weight: [out, in]; bias: [out] or undefined; a: [parts · rank, in] and b: [Σ part rows, rank]
/// float32, parts stacked in order → [rows, out] in x's dtype.
/// With dropout > 0 each part sees its own random subset of x, as PEFT's separate modules do, drawn from
/// `generator`. Hu et al. 2021, arXiv 2106.09685, section 4.1.
at::Tensor lora_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& a,
                       const at::Tensor& b, const std::vector<LoraPart>& parts, double scale, double dropout,
                       const std::optional<at::Generator>& generator);

}  // namespace templora
