#pragma once

#include <cstdint>
#include <vector>

#include "model/flat_parameters.h"

// Parameters of one row, set and read number by number, for tests of optimizers.
namespace templora::flat {

using Values = std::vector<double>;

inline FlatParameters parameters_of(const Values& start) {
  FlatParameters parameters({{std::int64_t(start.size())}}, at::kCPU);
  for (std::size_t i = 0; i < start.size(); ++i) parameters.value[std::int64_t(i)] = start[i];
  return parameters;
}

inline void set_gradient(FlatParameters& parameters, const Values& gradient) {
  for (std::size_t i = 0; i < gradient.size(); ++i) parameters.grad[std::int64_t(i)] = gradient[i];
}

inline double value(const FlatParameters& parameters, std::size_t i) {
  return parameters.value[std::int64_t(i)].item<double>();
}

}  // namespace templora::flat
