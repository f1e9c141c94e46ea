#include "model/projections.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>

#include "model/skinny_gemm.h"

namespace templora {
namespace {

// Holds the two names of one projection; all arithmetic is the group's.
struct NamedViews : torch::nn::Module {
  NamedViews(const at::Tensor& weight, const at::Tensor& bias) {
    register_parameter("weight", weight, /*requires_grad=*/false);
    if (bias.defined()) register_parameter("bias", bias, /*requires_grad=*/false);
  }
};

}  // namespace

Projections::Projections(torch::nn::Module& parent, const std::vector<std::pair<std::string, std::int64_t>>& parts,
                         std::int64_t in, bool bias, const at::TensorOptions& options) {
  std::int64_t rows = 0;
  for (const auto& [name, part_rows] : parts) {
    parts_.push_back({name, rows, part_rows});
    rows += part_rows;
  }
  weight_ = at::empty({rows, in}, options);
  if (bias) bias_ = at::empty({rows}, options);
  for (const Projection& part : parts_)
    parent.register_module(part.name, std::make_shared<NamedViews>(
                                          weight_.narrow(0, part.first_row, part.rows),
                                          bias ? bias_.narrow(0, part.first_row, part.rows) : at::Tensor()));
}

at::Tensor Projections::forward(const at::Tensor& x) const {
  if (!adapter && is_skinny(x, weight_)) return skinny_gemm(x, weight_, bias_, weight_.scalar_type());
  if (!adapter) return at::linear(x, weight_, bias_.defined() ? std::optional(bias_) : std::nullopt);
  auto sizes = x.sizes().vec();
  const at::Tensor y = adapter->forward(x.reshape({-1, in()}), *this);  // [rows, out]
  sizes.back() = out();
  return y.view(sizes);
}

}  // namespace templora
