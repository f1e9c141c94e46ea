#include "lora/average.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/check.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/new_folder.h"

namespace templora {
namespace {

const std::string base_of(const StoredAdapter& adapter) {
  const Json base = adapter.config.value("base_model_name_or_path", Json());
  return base.is_string() ? base.get<std::string>() : "";
}

// Refuses an adapter that is not one of the same modules of the same base as the first.
void check_alike(const StoredAdapter& first, const StoredAdapter& other) {
  const auto fail = [&](const std::string& what) {
    throw Error(Exit::bad_input, fmt::format("{}: {}; only adapters of the same modules of the same base have a mean",
                                             shown_path(other.folder), what));
  };
  if (const auto base = other_base(other.folder, base_of(first)); base && !base_of(first).empty())
    fail(fmt::format("got an adapter of \"{}\", wanted one of \"{}\", as {} is", printable(*base, 1000),
                     printable(base_of(first), 1000), shown_path(first.folder)));
  for (const auto& [module, factors] : first.modules) {
    const auto found = other.modules.find(module);
    if (found == other.modules.end())
      fail(fmt::format("got none for {}, which {} adapts", printable(module), shown_path(first.folder)));
    const auto shape_of = [](const StoredAdapter::Factors& f) { return std::pair(f.b.size(0), f.a.size(1)); };
    if (const auto [out, in] = shape_of(found->second); std::pair(out, in) != shape_of(factors))
      fail(fmt::format("{}: got an update of [{}, {}], wanted [{}, {}]", printable(module), out, in,
                       factors.b.size(0), factors.a.size(1)));
  }
  for (const auto& [module, factors] : other.modules)
    if (!first.modules.contains(module))
      fail(fmt::format("got one for {}, which {} leaves alone", printable(module), shown_path(first.folder)));
}

}  // namespace

CutProduct mean_product(const std::vector<StoredAdapter::Factors>& factors, const std::vector<double>& scales,
                        std::int64_t rank, double scale) {
  TEMPLORA_CHECK(!factors.empty() && factors.size() == scales.size() && rank > 0 && scale > 0, "a mean of something");
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> bs, as;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    bs.push_back(factors[i].b.to(at::kDouble) * (scales[i] / (scale * double(factors.size()))));
    as.push_back(factors[i].a.to(at::kDouble));
  }
  const auto [q_out, r_out] = at::linalg_qr(at::cat(bs, 1));      // [out, k], [k, Σ rank]
  const auto [q_in, r_in] = at::linalg_qr(at::cat(as, 0).t());    // [in, l], [l, Σ rank]
  const auto [u, s, vh] = at::linalg_svd(at::mm(r_out, r_in.t()), /*full_matrices=*/true);  // [k, k], [min], [l, l]
  // Right vectors beyond the rank of the product are there too: rows of A that B does not use yet.
  const std::int64_t used = std::min(rank, s.size(0)), rows = std::min(rank, vh.size(0));
  const double row_norm = 1 / std::sqrt(3.0);  // of n numbers uniform in ±1/√n
  CutProduct cut;
  cut.factors.a = at::zeros({rank, q_in.size(0)}, at::TensorOptions(at::kFloat));
  cut.factors.b = at::zeros({q_out.size(0), rank}, at::TensorOptions(at::kFloat));
  cut.factors.a.narrow(0, 0, rows).copy_(at::mm(vh.narrow(0, 0, rows), q_in.t()) * row_norm);
  cut.factors.b.narrow(1, 0, used)
      .copy_(at::mm(q_out, u.narrow(1, 0, used)) * s.narrow(0, 0, used) / row_norm);
  const at::Tensor squares = (s * scale).square();
  cut.kept = squares.narrow(0, 0, used).sum().item<double>();
  cut.all = squares.sum().item<double>();
  return cut;
}

std::vector<AveragedModule> average_adapters(const std::vector<fs::path>& folders, std::optional<std::int64_t> rank,
                                             const fs::path& out) {
  TEMPLORA_CHECK(!folders.empty(), "a mean of something");
  std::vector<StoredAdapter> adapters;
  std::vector<double> scales;
  std::int64_t largest = 0, sum = 0;
  for (const fs::path& folder : folders) {
    const StoredAdapter& adapter = adapters.emplace_back(read_stored_adapter(folder));
    check_alike(adapters.front(), adapter);
    scales.push_back(adapter.scale());
    largest = std::max(largest, adapter.rank);
    sum += adapter.rank;
  }
  if (rank && (*rank < 1 || *rank > sum))
    throw Error(Exit::usage, fmt::format("--rank: got {}, wanted 1 to {}, the sum of the adapters' ranks: more would "
                                         "hold nothing",
                                         *rank, sum));
  NewFolder made(out);
  // The first one's config but for what is new, so that it names its targets as that does.
  StoredAdapter mean = adapters.front();
  const bool alike = std::adjacent_find(scales.begin(), scales.end(), std::not_equal_to<>()) == scales.end();
  const double scale = alike && scales[0] > 0 ? scales[0] : 1;
  mean.rank = rank.value_or(largest);
  mean.config["r"] = mean.rank;
  mean.config["lora_alpha"] = mean.alpha = scale * double(mean.rank);
  mean.config["init_lora_weights"] = true;
  mean.config["inference_mode"] = true;
  std::vector<AveragedModule> report;
  double kept = 0, all = 0;
  Json modules = Json::object();
  for (auto& [module, factors] : mean.modules) {
    std::vector<StoredAdapter::Factors> parts;
    for (const StoredAdapter& adapter : adapters) parts.push_back(adapter.modules.at(module));
    const CutProduct cut = mean_product(parts, scales, mean.rank, scale);
    factors = cut.factors;
    report.push_back({module, cut.kept, cut.all});
    modules[module] = {{"kept", cut.kept}, {"squared_norm", cut.all}};
    kept += cut.kept, all += cut.all;
  }
  write_peft_files(mean, made.filling());
  Json sources = Json::array();
  for (const StoredAdapter& adapter : adapters)
    sources.push_back({{"name", adapter.folder.filename().string()},
                       {"rank", adapter.rank},
                       {"alpha", adapter.alpha},
                       {"weights_hash", hash_hex(read_file(peft_weights_file(adapter.folder)))}});
  const Json provenance{{"made_by", "templora average"}, {"templora_version", TEMPLORA_VERSION},
                        {"base", base_of(mean)},         {"adapters", sources},
                        {"rank", mean.rank},             {"kept", kept},
                        {"squared_norm", all},           {"modules", modules}};
  write_file_atomically(made.filling() / "provenance.json", dump_json_pretty(provenance, "provenance.json"));
  made.commit();
  return report;
}

}  // namespace templora
