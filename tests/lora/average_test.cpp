#include "lora/average.h"

#include <ATen/ops/eye.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "../core/fixtures.h"
#include "../model/goldens.h"
#include "catch.h"

using namespace templora;
using namespace templora_test;

namespace {

using Factors = StoredAdapter::Factors;

std::vector<fs::path> golden_adapters() {
  std::vector<fs::path> folders;
  for (const char* name : {"first", "second", "third"}) folders.push_back(goldens::folder("average") / name);
  return folders;
}

at::Tensor product(const Factors& factors, double scale) {
  return at::mm(factors.b.to(at::kDouble), factors.a.to(at::kDouble)) * scale;
}

}  // namespace

TEST_CASE("average: products and what is kept of them are numpy's, whatever the ranks", "[parity]") {
  const TempFolder folder;
  const Json kept = goldens::json("average/kept.json");
  for (const std::int64_t rank : {1, 4, 7, 10}) {
    const fs::path out = folder / ("rank-" + std::to_string(rank));
    const std::vector<AveragedModule> report = average_adapters(golden_adapters(), rank, out);
    const StoredAdapter mean = read_stored_adapter(out);
    CHECK(mean.rank == rank);
    REQUIRE(report.size() == 3);
    for (const AveragedModule& module : report) {
      const std::string name = std::to_string(rank) + "." + module.module;
      INFO(name);
      CHECK(goldens::largest_difference(product(mean.modules.at(module.module), mean.scale()),
                                        goldens::tensor("average/expected.safetensors", name)) <= 1e-6);
      CHECK(module.kept / module.all == Approx(kept.at(name).get<double>()).epsilon(1e-9));
    }
    const Json provenance = parse_json(read_file(out / "provenance.json"), "provenance");
    CHECK(provenance.at("adapters").size() == 3);
    CHECK(provenance.at("rank") == rank);
    CHECK(provenance.at("kept").get<double>() <= provenance.at("squared_norm").get<double>() * (1 + 1e-12));
    CHECK(mean.config.at("target_modules") == Json({"down_proj", "k_proj", "q_proj"}));
    CHECK(mean.config.at("layers_to_transform") == Json::array({1}));
  }
}

TEST_CASE("average: one adapter's mean is its own product, and of equal ones too", "[unit]") {
  const TempFolder folder;
  const fs::path one = goldens::folder("average/first");
  const StoredAdapter given = read_stored_adapter(one);
  int number = 0;
  for (const std::vector<fs::path>& folders : {std::vector{one}, std::vector{one, one, one}}) {
    const fs::path out = folder / std::to_string(number++);
    const auto report = average_adapters(folders, {}, out);
    const StoredAdapter mean = read_stored_adapter(out);
    CHECK(mean.rank == given.rank);
    CHECK(mean.alpha == given.alpha);
    for (const AveragedModule& module : report) {
      CHECK(module.kept == Approx(module.all).epsilon(1e-12));
      CHECK(goldens::largest_difference(product(mean.modules.at(module.module), mean.scale()),
                                        product(given.modules.at(module.module), given.scale())) <= 1e-6);
    }
  }
}

TEST_CASE("mean_product: A's rows are orthogonal and as long as fresh ones, where B is zero too", "[unit]") {
  const Factors nothing{at::randn({4, 20}), at::zeros({12, 4})};
  const Factors something{at::randn({4, 20}), at::randn({12, 4})};
  for (const Factors& factors : {nothing, something}) {
    const CutProduct cut = mean_product({factors}, {2.0}, 4, 2.0);
    const at::Tensor gram = at::mm(cut.factors.a, cut.factors.a.t());
    CHECK(goldens::largest_difference(gram, at::eye(4) / 3) <= 1e-6);
    CHECK(goldens::largest_difference(product(cut.factors, 2.0), product(factors, 2.0)) <= 1e-5);
  }
  CHECK(mean_product({nothing}, {1.0}, 4, 1.0).all == 0);
  // Two that cancel out leave nothing; the scale of the result is free.
  Factors opposite = something;
  opposite.b = -something.b;
  CHECK(mean_product({something, opposite}, {1.0, 1.0}, 4, 1.0).all < 1e-20);
  CHECK(goldens::largest_difference(product(mean_product({something}, {0.5}, 4, 8.0).factors, 8.0),
                                    product(something, 0.5)) <= 1e-5);
  // Fewer inputs than the rank: the rest stays zero.
  const Factors narrow{at::randn({6, 3}), at::randn({12, 6})};
  const CutProduct cut = mean_product({narrow}, {1.0}, 6, 1.0);
  CHECK(goldens::largest_difference(product(cut.factors, 1.0), product(narrow, 1.0)) <= 1e-5);
  CHECK(cut.factors.a.narrow(0, 3, 3).abs().max().item<double>() == 0);
}

TEST_CASE("average: what has no mean is refused in one line, and leaves nothing", "[unit]") {
  const TempFolder folder;
  const fs::path out = folder / "out", first = goldens::folder("average/first"), changed = folder / "changed";
  const auto refusal = [&](const std::vector<fs::path>& folders, std::optional<std::int64_t> rank = {}) {
    const Thrown thrown = thrown_by([&] { average_adapters(folders, rank, out); });
    CHECK(thrown.message.find('\n') == std::string::npos);
    CHECK_FALSE(fs::exists(out));
    return thrown;
  };
  const auto with = [&](const std::function<void(StoredAdapter&)>& change) {
    StoredAdapter adapter = read_stored_adapter(goldens::folder("average/second"));
    change(adapter);
    fs::remove_all(changed);
    fs::create_directory(changed);
    write_peft_files(adapter, changed);
    return refusal({first, changed});
  };
  const std::string k = "model.layers.1.self_attn.k_proj";
  const Thrown base = with([](auto& a) { a.config["base_model_name_or_path"] = "org/other"; });
  CHECK(base.code == Exit::bad_input);
  CHECK(base.says("got an adapter of \"org/other\", wanted one of \"org/base\""));
  CHECK(with([&](auto& a) { a.modules.erase(k); }).says("got none for " + k));
  CHECK(with([&](auto& a) { a.modules["model.layers.2.self_attn.k_proj"] = a.modules.at(k); }).says("leaves alone"));
  CHECK(with([&](auto& a) { a.modules.at(k).b = at::zeros({4, 2}); }).says("got an update of [4, 24], wanted [3, 24]"));
  CHECK(with([&](auto& a) { a.modules.at(k).b = at::zeros({3, 2}).log(); }).says("got NaN or infinity"));
  CHECK(with([&](auto& a) { a.config["use_dora"] = true; }).says("use_dora"));
  CHECK(refusal({first, folder / "nothing"}).code == Exit::bad_input);
  const Thrown rank = refusal({first, first}, 9);
  CHECK(rank.code == Exit::usage);
  CHECK(rank.says("--rank: got 9, wanted 1 to 8"));
  fs::remove_all(changed);
  fs::create_directory(out);
  CHECK(thrown_by([&] { average_adapters({first}, {}, out); }).code == Exit::usage);
  CHECK(folder.entries() == 1);
}
