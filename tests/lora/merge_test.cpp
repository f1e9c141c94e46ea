#include "lora/merge.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>

#include <limits>
#include <set>

#include "../core/fixtures.h"
#include "../model/goldens.h"
#include "catch.h"
#include "logits.h"
#include "lora/peft_folder.h"
#include "model/load.h"

using namespace templora;
using namespace templora_test;

namespace {

/// A copy of a golden adapter that names this base.
fs::path adapter_of(const TempFolder& folder, const fs::path& golden, const std::string& base) {
  const fs::path copy = folder / "adapter";
  fs::remove_all(copy);
  fs::copy(golden, copy);
  Json config = parse_foreign_json(read_file(copy / "adapter_config.json"), "config");
  config["base_model_name_or_path"] = base;
  write_file_atomically(copy / "adapter_config.json", config.dump());
  return copy;
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  const SafetensorsFiles files = SafetensorsFiles::open_folder(folder);
  for (const auto& [name, span] : files.tensors()) names.insert(name);
  return names;
}

LoraConfig config_of(const StoredAdapter& adapter, bool fused) {
  LoraConfig config;
  config.rank = adapter.rank;
  config.alpha = adapter.alpha;
  config.dropout = 0;
  if (fused) config.targets = {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"};
  return config;
}

}  // namespace

TEST_CASE("merge: logits of the merged folder are PEFT's, and all that was not adapted keeps its bits", "[parity]") {
  const TempFolder folder;
  const fs::path base = goldens::folder("model/gqa"), out = folder / "merged";
  for (const std::string name : {"all_targets", "subset"}) {
    const fs::path adapter = goldens::folder("lora/" + name);
    merge_adapter(base, adapter, at::kFloat, out);
    const std::string file = "lora/" + name + "/expected.safetensors";
    Llama merged = load_llama(out, at::kFloat, at::kCPU);
    CHECK(goldens::largest_difference(logits(*merged, goldens::tensor(file, "input_ids")),
                                      goldens::tensor(file, "logits")) <= 1e-5);
    CHECK(names_in(out) == names_in(base));
    const StoredAdapter stored = read_stored_adapter(adapter);
    const SafetensorsFiles before = SafetensorsFiles::open_folder(base), after = SafetensorsFiles::open_folder(out);
    std::size_t changed = 0;
    for (const auto& [tensor, span] : before.tensors()) {
      const bool same = at::equal(view_of(span), view_of(after.at(tensor)));
      INFO(tensor);
      CHECK(same != stored.modules.contains(tensor.substr(0, tensor.rfind(".weight"))));
      changed += !same;
    }
    CHECK(changed == stored.modules.size());
    fs::remove_all(out);
  }
}

TEST_CASE("merge: fused names, biases, norms and heads of every family survive", "[unit]") {
  const TempFolder folder;
  const Json index = goldens::json("families/index.json");
  for (const Json& variant : index.at("variants")) {
    const std::string name = variant.at("name");
    INFO(name);
    const fs::path base = goldens::folder("families/" + name), out = folder / "merged";
    const fs::path adapter_folder = adapter_of(folder, base / "adapter", name);
    merge_adapter(base, adapter_folder, at::kFloat, out);
    const at::Tensor ids = goldens::tensor("families/" + name + "/expected.safetensors", "input_ids");
    Llama model = load_llama(base, at::kFloat, at::kCPU), merged = load_llama(out, at::kFloat, at::kCPU);
    const at::Tensor plain = logits(*model, ids);
    const bool fused = model->config().layer(0).fused_names;
    LoraAdapter adapter(*model, config_of(read_stored_adapter(adapter_folder), fused), 1);
    load_peft_folder(adapter, adapter_folder);
    const at::Tensor wanted = logits(*model, ids);
    CHECK(goldens::largest_difference(plain, wanted) > 0.05);
    CHECK(goldens::largest_difference(logits(*merged, ids), wanted) <= 1e-5);
    CHECK(names_in(out) == names_in(base));
    fs::remove_all(out);
  }
}

TEST_CASE("merge: a tied embedding stays the only head there is", "[unit]") {
  const TempFolder folder;
  const fs::path base = goldens::folder("loop/model"), out = folder / "merged";
  const fs::path adapter = adapter_of(folder, goldens::folder("loop/adapter"), "model");
  merge_adapter(base, adapter, at::kFloat, out);  // B = 0: nothing changes
  CHECK_FALSE(names_in(out).contains("lm_head.weight"));
  Llama model = load_llama(base, at::kFloat, at::kCPU), merged = load_llama(out, at::kFloat, at::kCPU);
  CHECK(merged->config().tied_embeddings);
  CHECK(weights_hash(*model) == weights_hash(*merged));
}

TEST_CASE("merge: bfloat16 weights are the float32 sums, rounded once", "[unit]") {
  const TempFolder folder;
  const fs::path base = goldens::folder("model/gqa"), adapter = goldens::folder("lora/all_targets");
  const Json provenance = merge_adapter(base, adapter, at::kBFloat16, folder / "half");
  merge_adapter(base, adapter, at::kFloat, folder / "whole");
  const SafetensorsFiles half = SafetensorsFiles::open_folder(folder / "half"),
                         whole = SafetensorsFiles::open_folder(folder / "whole");
  for (const auto& [name, span] : whole.tensors())
    CHECK(at::equal(view_of(half.at(name)), view_of(span).to(at::kBFloat16)));
  const Json config = parse_json(read_file(folder / "half/config.json"), "config");
  CHECK(config.value("dtype", config.value("torch_dtype", "")) == "bfloat16");
  CHECK(provenance.at("dtype") == "bfloat16");
  CHECK(provenance == parse_json(read_file(folder / "half/provenance.json"), "provenance"));
  CHECK(provenance.at("base").at("tensors_hash") == tensors_hash(base));
  CHECK(provenance.at("tensors_hash") == tensors_hash(folder / "half"));
  CHECK(provenance.at("adapter").at("rank") == 4);
  CHECK(provenance.at("templora_version") == TEMPLORA_VERSION);
}

TEST_CASE("merge: shards hold what one file would", "[unit]") {
  const TempFolder folder;
  const fs::path base = goldens::folder("model/gqa"), adapter = goldens::folder("lora/all_targets");
  merge_adapter(base, adapter, at::kFloat, folder / "one");
  merge_adapter(base, adapter, at::kFloat, folder / "many", 20000);
  CHECK_FALSE(fs::exists(folder / "many/model.safetensors"));
  const Json index = parse_json(read_file(folder / "many/model.safetensors.index.json"), "index");
  std::set<std::string> shards;
  for (const auto& [name, shard] : index.at("weight_map").items()) shards.insert(shard.get<std::string>());
  CHECK(shards.size() > 2);
  for (const std::string& shard : shards) CHECK(fs::file_size(folder / "many" / shard) < 20000 + 4096);
  CHECK(tensors_hash(folder / "one") == tensors_hash(folder / "many"));
  std::uint64_t bytes = 0;
  const SafetensorsFiles files = SafetensorsFiles::open_folder(folder / "many");
  for (const auto& [name, span] : files.tensors()) bytes += span.bytes.size();
  CHECK(index.at("metadata").at("total_size") == bytes);
}

TEST_CASE("merge: what belongs to a model beside its weights is copied, and its provenance kept", "[unit]") {
  const TempFolder folder;
  const fs::path base = folder / "gqa";
  fs::copy(goldens::folder("model/gqa"), base);
  for (const char* name : {"tokenizer.json", "tokenizer.model", "chat_template.jinja", "LICENSE", "merges.txt"})
    write_file_atomically(base / name, std::string("content of ") + name);
  for (const char* name : {"README.md", "pytorch_model.bin", "model.safetensors.index.json"})
    write_file_atomically(base / name, "not this");
  write_file_atomically(base / "provenance.json", R"({"source": "a file"})");
  const Json provenance =
      merge_adapter(base, goldens::folder("lora/all_targets"), at::kFloat, folder / "deep/er/merged");
  const fs::path out = folder / "deep/er/merged";
  for (const char* name : {"tokenizer.json", "tokenizer.model", "chat_template.jinja", "LICENSE", "merges.txt"})
    CHECK(read_file(out / name) == std::string("content of ") + name);
  for (const char* name : {"README.md", "pytorch_model.bin", "model.safetensors.index.json"})
    CHECK_FALSE(fs::exists(out / name));
  CHECK(provenance.at("base").at("provenance").at("source") == "a file");
}

TEST_CASE("merge: what does not fit is refused in one line, and leaves nothing", "[unit]") {
  const TempFolder folder;
  const fs::path base = goldens::folder("model/gqa"), out = folder / "merged";
  const auto refusal = [&](const fs::path& base_folder, const fs::path& adapter) {
    const Thrown thrown = thrown_by([&] { merge_adapter(base_folder, adapter, at::kFloat, out); });
    CHECK(thrown.message.find('\n') == std::string::npos);
    CHECK_FALSE(fs::exists(out));
    return thrown;
  };
  const fs::path golden = goldens::folder("lora/all_targets");
  const Thrown other = refusal(base, adapter_of(folder, golden, "org/another-model"));
  CHECK(other.code == Exit::bad_input);
  CHECK(other.says("base_model_name_or_path: got \"org/another-model\", wanted"));
  const Thrown shape = refusal(goldens::folder("loop/model"), adapter_of(folder, golden, "model"));
  CHECK(shape.code == Exit::bad_input);
  CHECK(shape.says("has shape ["));
  const Thrown names = refusal(goldens::folder("families/phi3"), adapter_of(folder, golden, "phi3"));
  CHECK(names.says("gate_proj.weight is missing"));
  CHECK(refusal(base, folder / "nothing").code == Exit::bad_input);
  CHECK(refusal(folder / "nothing", golden).code == Exit::bad_input);

  const fs::path damaged = adapter_of(folder, golden, "gqa");
  const auto with_config = [&](const char* key, const Json& value) {
    Json config = parse_foreign_json(read_file(golden / "adapter_config.json"), "config");
    config[key] = value;
    write_file_atomically(damaged / "adapter_config.json", config.dump());
    return refusal(base, damaged);
  };
  CHECK(with_config("use_dora", true).says("use_dora: got true"));
  CHECK(with_config("templora_rows", "chunk").says("templora_rows: got \"chunk\", wanted an adapter of all rows"));
  CHECK(with_config("peft_type", "LOHA").says("peft_type: got \"LOHA\", wanted \"LORA\""));
  CHECK(with_config("r", 0).says("r: got 0, wanted a whole number"));
  CHECK(with_config("r", 5).says("wanted [5, in]"));
  CHECK(with_config("lora_alpha", "many").says("lora_alpha: got \"many\""));

  adapter_of(folder, golden, "gqa");
  const std::string weights = "adapter_model.safetensors";
  const auto with_tensors = [&](const std::function<void(std::vector<std::pair<std::string, at::Tensor>>&)>& change) {
    const SafetensorsFiles files = SafetensorsFiles::open_file(golden / weights);
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto& [name, span] : files.tensors()) tensors.emplace_back(name, view_of(span).clone());
    change(tensors);
    save_tensors(damaged / weights, tensors);
    return refusal(base, damaged);
  };
  CHECK(with_tensors([](auto& tensors) { tensors[3].second[0][0] = std::numeric_limits<float>::infinity(); })
            .says("got NaN or infinity"));
  CHECK(with_tensors([](auto& tensors) { tensors.pop_back(); }).says("got no lora_B, wanted both"));
  CHECK(with_tensors([](auto& tensors) { tensors[0].first = "base_model.model.lora_A.weight"; }).says("this tensor"));
  CHECK(with_tensors([](auto& tensors) { tensors[0].first += "2"; }).says("this tensor"));
  CHECK(with_tensors([](auto& tensors) { tensors.clear(); }).says("no tensors"));

  // A folder, a file or a dangling link of that name stays as it is.
  fs::create_directory(out);
  const auto refused_place = [&] {
    return thrown_by([&] { merge_adapter(base, golden, at::kFloat, out); });
  };
  CHECK(refused_place().code == Exit::usage);
  CHECK(refused_place().says("is there already"));
  fs::remove(out);
  fs::create_symlink("nowhere", out);
  CHECK(refused_place().code == Exit::usage);
  fs::remove(out);

  // A disk that fills up.
  {
    const FullDisk full(3000);
    CHECK(refused_place().code == Exit::resources);
  }
  CHECK_FALSE(fs::exists(out));
  fs::remove_all(folder / "adapter");
  CHECK(folder.entries() == 0);
}
