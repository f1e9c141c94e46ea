#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

namespace templora {

/// One Hugging Face projection inside a fused group: rows [first_row, first_row + rows) of its weight.
struct Projection {
  std::string name;  ///< "q_proj"
  std::int64_t first_row;
  std::int64_t rows;
};

class Projections;

/// Something put on a frozen group of projections, replacing its product while it is attached.
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  /// x: [rows, in] → [rows, out]: the base's output plus this adapter's, differentiable in x and in the
  /// adapter's parameters.
  virtual at::Tensor forward(const at::Tensor& x, const Projections& base) = 0;
};

/// Linear maps that share their input, stored in one buffer so that one product serves them all: q, k, v;
/// gate, up; or a single o or down. The Hugging Face names are registered as views of the buffer.
class Projections {
 public:
  /// Allocates the weight ([Σ rows, in], uninitialised) and, with `bias`, a bias [Σ rows], and registers
  /// `<name>.weight` / `<name>.bias` under `parent` for each part.
  Projections(torch::nn::Module& parent, const std::vector<std::pair<std::string, std::int64_t>>& parts,
              std::int64_t in, bool bias, const at::TensorOptions& options);

  /// x: [..., in] → [..., Σ rows].
  at::Tensor forward(const at::Tensor& x) const;

  const std::vector<Projection>& parts() const { return parts_; }
  std::int64_t in() const { return weight_.size(1); }
  std::int64_t out() const { return weight_.size(0); }
  const at::Tensor& weight() const { return weight_; }
  const at::Tensor& bias() const { return bias_; }  ///< undefined where there is none

  /// The one slot; null is the plain model. The adapter is not owned and must detach before it dies.
  LinearAdapter* adapter = nullptr;

 private:
  std::vector<Projection> parts_;
  at::Tensor weight_, bias_;
};

}  // namespace templora
