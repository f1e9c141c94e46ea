#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "lora/peft_folder.h"

namespace templora {

/// A product of low rank that stands for another one.
struct CutProduct {
  StoredAdapter::Factors factors;
  double kept = 0, all = 0;  ///< squared Frobenius norms: of what is left, and of what was cut
};

/// The best product of rank `rank` for (1/n) Σ scales[i] · b[i] a[i] / scale: its singular value decomposition, cut. It
/// is found through QR decompositions of the stacked factors, so that no matrix of [out, in] is ever made, in float64.
/// factors: each a [rank_i, in], b [out, rank_i]. → a: orthogonal rows as long as PEFT draws a fresh A's (1/√3 in the
/// mean), also where b's column is zero, so that what starts from it can learn; b has the rest.
CutProduct mean_product(const std::vector<StoredAdapter::Factors>& factors, const std::vector<double>& scales,
                        std::int64_t rank, double scale);

/// What is left of one module's mean.
struct AveragedModule {
  std::string module;
  double kept, all;
};

/// Writes a PEFT folder whose products are the means of those of `adapters` (PEFT folders of any ranks), cut to `rank`;
/// none: the largest of theirs. Base and modules have to be the same in all. provenance.json beside its two files says
/// what it was made of. `out` must not be there, and is there whole or not at all.
/// Throws Error: usage where `out` is there, or the rank is above the sum of theirs; bad_input; resources.
std::vector<AveragedModule> average_adapters(const std::vector<std::filesystem::path>& adapters,
                                             std::optional<std::int64_t> rank, const std::filesystem::path& out);

}  // namespace templora
