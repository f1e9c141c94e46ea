#include "model/flat_parameters.h"

#include <ATen/ops/zeros.h>

#include <numeric>

namespace templora {

FlatParameters::FlatParameters(const std::vector<std::vector<std::int64_t>>& shapes, const at::Device& device) {
  const auto numel = [](const std::vector<std::int64_t>& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  };
  std::int64_t total = 0;
  for (const auto& shape : shapes) total += numel(shape);
  const auto options = at::TensorOptions(at::kFloat).device(device);
  value = at::zeros({total}, options);
  grad = at::zeros({total}, options);
  std::int64_t offset = 0;
  for (const auto& shape : shapes) {
    at::Tensor leaf = value.narrow(0, offset, numel(shape)).view(shape).detach();
    leaf.set_requires_grad(true);
    leaf.mutable_grad() = grad.narrow(0, offset, numel(shape)).view(shape);
    leaves.push_back(leaf);
    offset += numel(shape);
  }
}

}  // namespace templora
