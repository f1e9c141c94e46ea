#include "lora/lora_adapter.h"
#include "lora/peft_folder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <unistd.h>

#include <limits>

#include "../model/goldens.h"
#include "catch.h"
#include "core/file.h"
#include "core/json.h"
#include "logits.h"
#include "model/load.h"

using namespace templora;
using templora_test::logits;

namespace {

Llama golden_model() { return load_llama(goldens::folder("model/gqa"), at::kFloat, at::kCPU); }

LoraConfig lora_config() {
  LoraConfig config;
  config.rank = 4;
  config.alpha = 8;
  config.dropout = 0;
  return config;
}

LoraConfig subset_config() {
  LoraConfig config = lora_config();
  config.targets = {"q_proj", "v_proj", "down_proj"};
  config.layers = std::vector<std::int64_t>{1};
  return config;
}

}  // namespace

TEST_CASE("LoraAdapter: logits, loss and every gradient equal PEFT's", "[parity]") {
  for (const std::string name : {"all_targets", "subset"}) {
    Llama model = golden_model();
    LoraAdapter adapter(*model, name == "subset" ? subset_config() : lora_config(), 1);
    load_peft_folder(adapter, goldens::folder("lora/" + name));
    const std::string file = "lora/" + name + "/expected.safetensors";
    const at::Tensor ids = goldens::tensor(file, "input_ids");
    const std::int64_t count = goldens::tensor(file, "labels").ge(0).sum().item<std::int64_t>();
    {
      const at::NoGradGuard no_grad;
      CHECK(goldens::largest_difference(logits(*model, ids), goldens::tensor(file, "logits")) <= 1e-5);
    }
    const at::Tensor loss = token_nll(*model, ids.unsqueeze(0), count).mean();
    CHECK(goldens::largest_difference(loss, goldens::tensor(file, "loss").squeeze()) <= 1e-5);
    loss.backward();
    std::size_t compared = 0;
    for (const LoraAdapter::Named& named : adapter.named_tensors()) {
      INFO(name << ": " << named.module);
      const std::string grad = "grad.base_model.model." + named.module;
      CHECK(goldens::largest_difference(named.a_grad, goldens::tensor(file, grad + ".lora_A.weight")) <= 1e-5);
      CHECK(goldens::largest_difference(named.b_grad, goldens::tensor(file, grad + ".lora_B.weight")) <= 1e-5);
      compared += 2;
    }
    CHECK(compared == (name == "subset" ? 6 : 28));
  }
}

TEST_CASE("LoraAdapter: detaching restores the output bit for bit", "[unit]") {
  Llama model = golden_model();
  const at::NoGradGuard no_grad;
  const at::Tensor ids = goldens::tensor("lora/all_targets/expected.safetensors", "input_ids");
  const std::string hash = weights_hash(*model);
  const at::Tensor before = logits(*model, ids);
  {
    LoraAdapter adapter(*model, lora_config(), 1);
    load_peft_folder(adapter, goldens::folder("lora/all_targets"));
    CHECK_FALSE(at::equal(logits(*model, ids), before));
    const AdapterOff off(*model);
    CHECK(at::equal(logits(*model, ids), before));
  }
  CHECK(at::equal(logits(*model, ids), before));
  CHECK(weights_hash(*model) == hash);
}

TEST_CASE("LoraAdapter: a fresh module changes nothing and is drawn as PEFT draws it", "[unit]") {
  Llama model = golden_model();
  const at::NoGradGuard no_grad;
  const at::Tensor ids = goldens::tensor("lora/all_targets/expected.safetensors", "input_ids");
  const at::Tensor before = logits(*model, ids);
  LoraAdapter adapter(*model, lora_config(), 5);
  CHECK(at::equal(logits(*model, ids), before));
  for (const LoraAdapter::Named& named : adapter.named_tensors()) {
    const double bound = 1 / std::sqrt(double(named.a.size(1)));
    CHECK(named.a.abs().max().item<double>() <= bound);
    CHECK(named.a.abs().max().item<double>() > 0.8 * bound);
    CHECK(named.b.eq(0).all().item<bool>());
  }
}

TEST_CASE("LoraAdapter: saved as a PEFT folder, it is read back exactly", "[unit]") {
  const fs::path folder = fs::temp_directory_path() / ("templora-peft-" + std::to_string(getpid()));
  Llama model = golden_model();
  {
    LoraAdapter adapter(*model, subset_config(), 1);
    load_peft_folder(adapter, goldens::folder("lora/subset"));
    save_peft_folder(adapter, folder, "base");
  }
  LoraAdapter again(*model, subset_config(), 2);
  load_peft_folder(again, folder);
  const std::string stored = "lora/subset/adapter_model.safetensors";
  for (const LoraAdapter::Named& named : again.named_tensors())
    CHECK(at::equal(named.b, goldens::tensor(stored, "base_model.model." + named.module + ".lora_B.weight")));
  fs::remove_all(folder);
}

TEST_CASE("LoraAdapter: an adapter folder of another kind is refused by name", "[unit]") {
  Llama model = golden_model();
  LoraConfig other_rank = lora_config();
  other_rank.rank = 8;
  LoraAdapter adapter(*model, other_rank, 1);
  CHECK_THROWS_WITH(load_peft_folder(adapter, goldens::folder("lora/all_targets")),
                    Catch::Matchers::Contains("lora.rank"));
}

TEST_CASE("LoraAdapter: an adapter that belongs to a changed base is refused", "[unit]") {
  const fs::path folder = fs::temp_directory_path() / ("templora-pissa-" + std::to_string(getpid()));
  fs::remove_all(folder);
  fs::copy(goldens::folder("lora/all_targets"), folder);
  Llama model = golden_model();
  LoraAdapter adapter(*model, lora_config(), 1);
  const auto load_started_by = [&](const Json& start) {
    Json config = parse_json(read_file(folder / "adapter_config.json"), "config");
    config["init_lora_weights"] = start;
    write_file_atomically(folder / "adapter_config.json", config.dump());
    load_peft_folder(adapter, folder);
  };
  for (const Json& start : {Json(true), Json("gaussian"), Json(nullptr)}) CHECK_NOTHROW(load_started_by(start));
  for (const char* start : {"pissa", "pissa_niter_16", "olora", "loftq", "corda"})
    CHECK_THROWS_WITH(load_started_by(start), Catch::Matchers::Contains("init_lora_weights: got"));
  Json activated = parse_json(read_file(folder / "adapter_config.json"), "config");
  activated["init_lora_weights"] = true;
  activated["alora_invocation_tokens"] = {5, 6};
  write_file_atomically(folder / "adapter_config.json", activated.dump());
  CHECK_THROWS_WITH(load_peft_folder(adapter, folder), Catch::Matchers::Contains("alora_invocation_tokens: got"));
  fs::remove_all(folder);
}

TEST_CASE("LoraAdapter: keys of PEFT that change no number are not judged", "[unit]") {
  const fs::path folder = fs::temp_directory_path() / ("templora-patterns-" + std::to_string(getpid()));
  fs::remove_all(folder);
  fs::copy(goldens::folder("lora/all_targets"), folder);
  Llama model = golden_model();
  LoraAdapter adapter(*model, lora_config(), 1);
  const Json written = parse_json(read_file(folder / "adapter_config.json"), "config");
  const auto load_with = [&](const char* key, const Json& value) {
    Json config = written;
    config[key] = value;
    write_file_atomically(folder / "adapter_config.json", config.dump());
    load_peft_folder(adapter, folder);
  };
  CHECK_NOTHROW(load_with("exclude_modules", {"lm_head"}));
  CHECK_NOTHROW(load_with("rank_pattern", {{"q_proj", written.at("r")}}));
  CHECK_NOTHROW(load_with("alpha_pattern", {{"q_proj", written.at("lora_alpha")}}));
  CHECK_THROWS_WITH(load_with("rank_pattern", {{"q_proj", 1}}), Catch::Matchers::Contains("rank_pattern: got"));
  CHECK_THROWS_WITH(load_with("alpha_pattern", {{"q_proj", 1}}), Catch::Matchers::Contains("alpha_pattern: got"));
  fs::remove_all(folder);
}

TEST_CASE("LoraAdapter: weights that are not finite, and pickles, are refused by name", "[unit]") {
  const fs::path folder = fs::temp_directory_path() / ("templora-damaged-" + std::to_string(getpid()));
  fs::remove_all(folder);
  fs::copy(goldens::folder("lora/all_targets"), folder);
  Llama model = golden_model();
  LoraAdapter adapter(*model, lora_config(), 1);
  const std::string damaged = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight";
  {
    const SafetensorsFiles files =
        SafetensorsFiles::open_file(goldens::folder("lora/all_targets") / "adapter_model.safetensors");
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const auto& [name, span] : files.tensors()) {
      tensors.emplace_back(name, view_of(span).clone());
      if (name == damaged) tensors.back().second[3][1] = std::numeric_limits<float>::quiet_NaN();
    }
    save_tensors(folder / "adapter_model.safetensors", tensors);
  }
  CHECK_THROWS_WITH(load_peft_folder(adapter, folder),
                    Catch::Matchers::Contains(damaged + ": got NaN") && !Catch::Matchers::Contains("rate"));
  fs::rename(folder / "adapter_model.safetensors", folder / "adapter_model.bin");
  CHECK_THROWS_WITH(load_peft_folder(adapter, folder),
                    Catch::Matchers::Contains("adapter_model.bin") && Catch::Matchers::Contains("python3 -c"));
  fs::remove_all(folder);
}

TEST_CASE("LoraAdapter: a target that the model has not is refused, and the model's own are named", "[unit]") {
  Llama model = golden_model();
  LoraConfig config = lora_config();
  config.targets = {"q_proj", "qkv_proj"};
  CHECK_THROWS_WITH(LoraAdapter(*model, config, 1),
                    Catch::Matchers::Contains("\"qkv_proj\"") && Catch::Matchers::Contains("k_proj, v_proj"));
}

TEST_CASE("other_base: an adapter's base goes by its last name", "[unit]") {
  const fs::path folder = fs::temp_directory_path() / ("templora-base-" + std::to_string(getpid()));
  fs::create_directories(folder);
  const auto other = [&](const std::string& stored, const std::string& base) {
    write_file_atomically(folder / "adapter_config.json", Json{{"base_model_name_or_path", stored}, {"x", 1}}.dump());
    return other_base(folder, base);
  };
  CHECK_FALSE(other("meta-llama/Llama-2-7b-hf", "/models/Llama-2-7b-hf/"));
  CHECK_FALSE(other("org/name", "/cache/models--org--name/snapshots/0123456789abcdef0123456789abcdef01234567"));
  CHECK_FALSE(other("", "models/x"));
  CHECK_FALSE(other("HuggingFaceTB/SmolLM2-135M", "models/smollm2-135m"));
  CHECK(other("org/name", "models/name-chat") == "org/name");
  CHECK(other("org/other", "/cache/models--org--name/snapshots/0123456789abcdef0123456789abcdef01234567") ==
        "org/other");
  fs::remove_all(folder);
}

TEST_CASE("LoraAdapter: dropout's gradient is the derivative of the same draw", "[unit]") {
  // Two equal generators draw equal masks, so a finite difference through the dropped-out pass must
  // agree with the gradient.
  Llama model(golden_model()->config(), at::TensorOptions(at::kDouble));
  init_random_weights(*model, 3, 0.2);
  LoraConfig config = lora_config();
  config.dropout = 0.3;
  LoraAdapter adapter(*model, config, 9);
  const at::Tensor ids = goldens::tensor("lora/all_targets/expected.safetensors", "input_ids").unsqueeze(0);
  adapter.set_training(true);
  {
    const at::NoGradGuard no_grad;
    for (const LoraAdapter::Named& named : adapter.named_tensors()) named.b.fill_(0.02);
  }
  const at::Tensor state = adapter.generator_state().clone();
  const auto loss = [&] {
    adapter.set_generator_state(state);
    return token_nll(*model, ids, 20).mean();
  };
  loss().backward();
  const LoraAdapter::Named target = adapter.named_tensors()[1];
  const at::NoGradGuard no_grad;
  for (const auto& [value, grad] : {std::pair{target.a, target.a_grad}, std::pair{target.b, target.b_grad}}) {
    at::Tensor entry = value.narrow(0, 1, 1).narrow(1, 2, 1);
    const double step = 1e-2, slope = grad.narrow(0, 1, 1).narrow(1, 2, 1).item<double>();
    entry.add_(step);
    const double up = loss().item<double>();
    entry.sub_(2 * step);
    const double down = loss().item<double>();
    entry.add_(step);
    CHECK(slope == Approx((up - down) / (2 * step)).epsilon(1e-3).margin(1e-7));
  }
}
