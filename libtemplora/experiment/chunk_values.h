#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"
#include "run/record.h"

// What every experiment that learns chunk by chunk does with a chunk's numbers.

namespace templora {

/// Seed of the `number`-th adapter of a text: every adapter has its own, so that one text's result does not depend
/// on the others.
std::uint64_t adapter_seed(std::int64_t seed, std::int64_t text_index, std::int64_t number);

/// → [ids] int64 on the device.
at::Tensor ids_on(const at::Device& device, std::span<const std::int64_t> ids);

/// Everything a chunk brings back, in one copy: on CUDA it is the chunk's only synchronisation, where neither a rule
/// that looks at scores nor cache.measure_staleness asks for a value in between.
class ReadBack {
 public:
  /// `host` gets what `values` hold when read() is called; of an undefined tensor nothing. It must still be there then.
  void add(const at::Tensor& values, std::vector<float>& host);
  void read();

 private:
  struct Wanted {
    at::Tensor values;  // [count] float32
    std::vector<float>* host;
  };
  std::vector<Wanted> wanted_;
};

/// One tensor alone.
std::vector<float> read_back(const at::Tensor& values);

/// Nothing where there is no value.
std::optional<double> mean_of(const std::vector<float>& nll);

/// Throws Error(numerics) naming text, chunk and what it is; `advice` is asked then only, for the place of the value.
using Advice = std::function<std::string(std::int64_t index)>;
void check_finite(const std::vector<float>& values, const std::string& what, const Advice& advice,
                  const ChunkRecord& record);

}  // namespace templora
