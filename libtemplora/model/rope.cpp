#include "model/rope.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace templora {
namespace {

// Inverse frequencies theta^(-2i / head_dim), float32, by the operations transformers uses, so that they
// agree to the last bit: the angle of a far position multiplies any difference.
at::Tensor plain_frequencies(double theta, std::int64_t head_dim) {
  const at::Tensor exponent = at::arange(0, head_dim, 2, at::kLong).to(at::kFloat) / double(head_dim);
  return 1.0 / at::pow(at::Scalar(theta), exponent);  // [head_dim / 2]
}

at::Tensor yarn_frequencies(const Rope& rope, std::int64_t head_dim) {
  const RopeScaling& scaling = rope.scaling;
  const double dim = double(head_dim);
  // Dimension that turns `rotations` times over the original window (YaRN, section 3.2).
  const auto dimension_of = [&](double rotations) {
    return dim * std::log(double(scaling.original_positions) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = dimension_of(scaling.beta_fast), high = dimension_of(scaling.beta_slow);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  const at::Tensor powers = at::pow(at::Scalar(rope.theta),
                                    at::arange(0, head_dim, 2, at::kLong).to(at::kFloat) / dim);
  const at::Tensor ramp = at::clamp((at::arange(head_dim / 2, at::kFloat) - low) / (high - low), 0, 1);
  const at::Tensor keep = 1 - ramp;  // share of each dimension that is extrapolated, not interpolated
  return 1.0 / (scaling.factor * powers) * (1 - keep) + 1.0 / powers * keep;
}

at::Tensor llama3_frequencies(const Rope& rope, std::int64_t head_dim) {
  const RopeScaling& scaling = rope.scaling;
  const at::Tensor plain = plain_frequencies(rope.theta, head_dim);
  const double window = double(scaling.original_positions);
  const at::Tensor wavelength = 2 * std::numbers::pi / plain;
  const at::Tensor is_long = wavelength > window / scaling.low_freq_factor;
  const at::Tensor is_short = wavelength < window / scaling.high_freq_factor;
  const at::Tensor stretched = at::where(is_long, plain / scaling.factor, plain);
  const at::Tensor smooth =
      (window / wavelength - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  const at::Tensor blended = (1 - smooth) * stretched / scaling.factor + smooth * stretched;
  return at::where(is_long | is_short, stretched, blended);
}

at::Tensor frequencies(const Rope& rope, std::int64_t head_dim, std::int64_t seq) {
  const RopeScaling& scaling = rope.scaling;
  switch (scaling.type) {
    case RopeScaling::Type::none: break;
    case RopeScaling::Type::linear: return plain_frequencies(rope.theta, head_dim) / scaling.factor;
    case RopeScaling::Type::dynamic: {
      const double window = double(scaling.original_positions), length = std::max(double(seq), window);
      const double theta = ntk_theta(rope.theta, scaling.factor * length / window - (scaling.factor - 1), head_dim);
      return plain_frequencies(length == window ? rope.theta : theta, head_dim);
    }
    case RopeScaling::Type::ntk: return plain_frequencies(ntk_theta(rope.theta, scaling.factor, head_dim), head_dim);
    case RopeScaling::Type::yarn: return yarn_frequencies(rope, head_dim);
    case RopeScaling::Type::llama3: return llama3_frequencies(rope, head_dim);
  }
  return plain_frequencies(rope.theta, head_dim);
}

}  // namespace

RopeTable rope_table(const Rope& rope, std::int64_t head_dim, std::int64_t seq, const at::Device& device) {
  const at::Tensor angles =
      at::outer(at::arange(seq, at::kFloat), frequencies(rope, head_dim, seq));  // [seq, head_dim / 2]
  const double scale = rope.scaling.attention_factor;
  return {(angles.cos() * scale).to(device), (angles.sin() * scale).to(device)};
}

}  // namespace templora
