#include "experiment/chunk_values.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "core/error.h"

namespace templora {

std::uint64_t adapter_seed(std::int64_t seed, std::int64_t text_index, std::int64_t number) {
  return std::uint64_t(seed) + 0x9E3779B97F4A7C15ull * std::uint64_t(text_index) +
         0xD1B54A32D192ED03ull * std::uint64_t(number);
}

at::Tensor ids_on(const at::Device& device, std::span<const std::int64_t> ids) {
  return at::tensor(at::ArrayRef<std::int64_t>(ids.data(), ids.size())).to(device);
}

void ReadBack::add(const at::Tensor& values, std::vector<float>& host) {
  if (values.defined()) wanted_.push_back({values.detach().to(at::kFloat).reshape({-1}), &host});
}

void ReadBack::read() {
  if (wanted_.empty()) return;
  std::vector<at::Tensor> flat;
  for (const Wanted& wanted : wanted_) flat.push_back(wanted.values);
  const at::Tensor all = at::cat(flat).cpu();
  const float* next = all.const_data_ptr<float>();
  for (const Wanted& wanted : wanted_) {
    wanted.host->assign(next, next + wanted.values.numel());
    next += wanted.values.numel();
  }
  wanted_.clear();
}

std::vector<float> read_back(const at::Tensor& values) {
  std::vector<float> host;
  ReadBack one;
  one.add(values, host);
  one.read();
  return host;
}

std::optional<double> mean_of(const std::vector<float>& nll) {
  if (nll.empty()) return {};
  return std::accumulate(nll.begin(), nll.end(), 0.0) / double(nll.size());
}

void check_finite(const std::vector<float>& values, const std::string& what, const Advice& advice,
                  const ChunkRecord& record) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw Error(Exit::numerics, fmt::format("{}: chunk {}: {} is {}; {}", printable(record.book),
                                              record.chunk, what, values[i], advice(std::int64_t(i))));
}

}  // namespace templora
