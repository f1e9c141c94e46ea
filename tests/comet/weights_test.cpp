#include "comet/weights.h"

#include <functional>
#include <vector>

#include "../core/fixtures.h"
#include "catch.h"
#include "comet/comet.h"
#include "core/error.h"
#include "goldens.h"
#include "io/safetensors.h"
#include "text_parts.h"

using namespace templora;
using templora_test::check_has;

namespace {

/// How opening the folder is refused.
std::string refused_folder(const fs::path& folder) {
  return templora_test::refusal([&] { const Comet comet(folder); });
}

/// Writes the committed weights as `change` leaves them.
void rewrite(const goldens::ModelCopy& copy, const std::function<void(std::vector<TensorToWrite>&)>& change) {
  const SafetensorsFiles files = SafetensorsFiles::open_folder(goldens::folder() / "model");
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, span] : files.tensors()) tensors.push_back({name, span.type, span.shape, span.bytes});
  change(tensors);
  write_safetensors(copy.file("model.safetensors"), tensors);
}

TensorToWrite& named(std::vector<TensorToWrite>& tensors, const std::string& name) {
  for (TensorToWrite& tensor : tensors)
    if (tensor.name == name) return tensor;
  throw std::runtime_error(name);
}

}  // namespace

TEST_CASE("load_comet_net: missing, extra and misshapen tensors stand in one line", "[unit]") {
  const goldens::ModelCopy copy;
  rewrite(copy, [](std::vector<TensorToWrite>& tensors) {
    named(tensors, "layerwise_attention.gamma").name = "layerwise_attention.beta";
    TensorToWrite& turned = named(tensors, "estimator.ff.0.weight");
    std::swap(turned.shape[0], turned.shape[1]);
    TensorToWrite& whole = named(tensors, "encoder.model.embeddings.LayerNorm.bias");
    whole.type = StorageType::i32;
  });
  const std::string line = refused_folder(copy.path());
  check_has(line, "1 missing: layerwise_attention.gamma");
  check_has(line, "1 that this model has no place for: layerwise_attention.beta");
  check_has(line, "2 of the wrong shape or dtype");
  check_has(line, "estimator.ff.0.weight has [192, 40], config.json wants [40, 192]");
  check_has(line, "encoder.model.embeddings.LayerNorm.bias has dtype I32");
}

TEST_CASE("load_comet_net: weights of another depth or estimator are refused", "[unit]") {
  const goldens::ModelCopy copy;
  copy.edit_config([](Json& config) { config["encoder"]["num_hidden_layers"] = 4; });
  check_has(refused_folder(copy.path()), "17 missing: ");  // 16 of the layer, its scalar
  copy.edit_config([](Json& config) {
    config["encoder"]["num_hidden_layers"] = 3;
    config["hidden_sizes"] = {40};
  });
  check_has(refused_folder(copy.path()), "estimator.ff.3.weight has [16, 40], config.json wants [1, 40]");
}

TEST_CASE("load_comet_net: half-precision weights give nearly the same scores", "[unit]") {
  const goldens::ModelCopy copy;
  std::vector<std::vector<std::byte>> kept;
  rewrite(copy, [&](std::vector<TensorToWrite>& tensors) {
    for (TensorToWrite& tensor : tensors) {  // bfloat16 is the upper half of a float32
      std::vector<std::byte> half;
      for (std::size_t i = 0; i < tensor.bytes.size(); i += 4)
        half.insert(half.end(), {tensor.bytes[i + 2], tensor.bytes[i + 3]});
      kept.push_back(std::move(half));
      tensor.type = StorageType::bf16;
    }
    for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].bytes = kept[i];
  });
  const std::vector<CometSegment> segments = goldens::segments();
  const std::vector<double> exact = Comet(goldens::folder() / "model").scores(segments),
                            near = Comet(copy.path()).scores(segments);
  double sum = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) sum += std::abs(exact[i] - near[i]);
  CHECK(sum > 0);
  CHECK(sum / double(exact.size()) < 0.1);
}

TEST_CASE("Comet: what is missing from the folder is said with the way to get it", "[unit]") {
  CHECK(Comet::missing(goldens::folder() / "model").empty());
  check_has(refused_folder("/no/such/comet"), "/no/such/comet: no such folder");
  for (const char* name : {"config.json", "model.safetensors", "sentencepiece.bpe.model"}) {
    const goldens::ModelCopy copy;
    fs::remove(copy.file(name));
    const std::string line = refused_folder(copy.path());
    check_has(line, std::string(name) + ": no such file");
    check_has(line, "docs/comet.md");
    CHECK(Comet::missing(copy.path()) == line);
  }
}

TEST_CASE("Comet: truncated files are refused", "[unit]") {
  for (const char* name : {"config.json", "model.safetensors", "sentencepiece.bpe.model"}) {
    for (const double share : {0.0, 0.3, 0.99}) {
      const goldens::ModelCopy copy;
      fs::resize_file(copy.file(name), std::uintmax_t(share * double(fs::file_size(copy.file(name)))));
      check_has(refused_folder(copy.path()), name);
    }
  }
}
