// templora's side of scripts/bench and scripts/gpu-check: one Temp-LoRA loop at a given shape, answering the
// line protocol that tests/bench/peer.py describes, with two probes of the machine beside it.

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <torch/version.h>

#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <string>

#include "bench/probes.h"
#include "core/error.h"
#include "core/file.h"
#include "experiment/session.h"
#include "lora/lora_adapter.h"
#include "model/load.h"
#include "model/llama.h"
#include "train/chunk_trainer.h"

namespace templora::bench {
namespace {

/// `--name value` pairs of the command line; flags take no value.
class Arguments {
 public:
  Arguments(int count, char** words) {
    for (int i = 1; i < count; ++i) {
      const std::string name = words[i];
      if (name == "--idle" || name == "--separate-score") {
        values_[name] = "1";
      } else if (values_.count(name) != 0 && i + 1 < count) {
        values_[name] = words[++i];
      } else {
        throw Error(Exit::usage, "bench_temp_lora: unknown option or missing value: " + name);
      }
    }
  }
  const std::string& text(const std::string& name) const { return values_.at(name); }
  std::int64_t number(const std::string& name) const { return std::stoll(text(name)); }
  bool given(const std::string& name) const { return !text(name).empty(); }

 private:
  std::map<std::string, std::string> values_ = {
      {"--layers", "12"},      {"--hidden", "768"},  {"--ffn", "2048"},      {"--heads", "12"},
      {"--vocab", "32000"},    {"--rank", "64"},     {"--chunk", "256"},     {"--context", "768"},
      {"--epochs", "2"},       {"--threads", "0"},   {"--dtype", "float32"}, {"--device", "cpu"},
      {"--learning-rate", "5e-5"}, {"--model", ""},  {"--idle", ""},         {"--separate-score", ""}};
};

at::ScalarType dtype_of(const Arguments& arguments) {
  return arguments.text("--dtype") == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

at::Device device_of(const Arguments& arguments) {
  const std::string& name = arguments.text("--device");
  return name == "cuda" ? at::Device(at::kCUDA, 0) : at::Device(name);
}

/// Weights that are as good as any other for timing, drawn on the device that they are on.
void fill_random(LlamaImpl& model) {
  torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : model.storage_tensors()) {
    if (tensor.dim() == 2)
      tensor.normal_(0, 0.02);
    else
      tensor.fill_(1);
  }
}

Llama make_model(const Arguments& arguments) {
  const at::ScalarType dtype = dtype_of(arguments);
  const at::Device device = device_of(arguments);
  if (arguments.given("--model")) return load_llama(arguments.text("--model"), dtype, device);
  LlamaConfig config;
  config.vocab_size = arguments.number("--vocab");
  config.hidden_size = arguments.number("--hidden");
  config.ffn_size = arguments.number("--ffn");
  config.layers = arguments.number("--layers");
  config.heads = config.kv_heads = arguments.number("--heads");
  config.head_dim = config.hidden_size / config.heads;
  config.max_positions = arguments.number("--context") + arguments.number("--chunk");
  Llama model(config, at::TensorOptions().dtype(dtype).device(device));
  fill_random(*model);
  return model;
}

LoraConfig lora_config(const Arguments& arguments) {
  LoraConfig config;
  config.rank = arguments.number("--rank");
  config.alpha = double(config.rank);
  config.dropout = 0;
  return config;
}

/// Temp-LoRA in its steady state: every chunk has its full context.
class Loop {
 public:
  explicit Loop(const Arguments& arguments)
      : chunk_(arguments.number("--chunk")),
        context_(arguments.number("--context")),
        shared_forward_(!arguments.given("--separate-score")),
        rates_(std::size_t(arguments.number("--epochs")), std::stod(arguments.text("--learning-rate"))),
        device_(device_of(arguments)),
        model_(make_model(arguments)),
        adapter_(*model_, lora_config(arguments), /*seed=*/1),
        trainer_(*model_, adapter_.parameters(), TrainConfig{}),
        first_(context_) {
    if (arguments.given("--model")) {
      const std::filesystem::path folder = arguments.text("--model");
      load_peft_folder(adapter_, folder / "adapter");
      const fs::path file = folder / "tokens.json";
      tokens_ = at::tensor(parse_json(read_file(file), file.string()).get<std::vector<std::int64_t>>()).to(device_);
    } else {
      const auto options = at::TensorOptions().dtype(at::kLong);
      tokens_ = at::randint(model_->config().vocab_size, {context_ + 64 * chunk_}, options).to(device_);
    }
  }

  Json chunk() {
    if (first_ + chunk_ > tokens_.size(0)) first_ = context_;
    const at::Tensor window = tokens_.narrow(0, first_ - context_, context_ + chunk_);
    first_ += chunk_;
    synchronise(device_);
    const auto start = Clock::now();
    std::optional<ScoredChunk> scored;
    at::Tensor nll;
    if (shared_forward_) {
      scored = trainer_.forward(window, chunk_);
      nll = scored->nll.detach().mean();
    } else {
      const torch::NoGradGuard no_grad;
      nll = token_nll(*model_, window.unsqueeze(0), chunk_).mean();
    }
    const double score_s = seconds_since(start);  // on a GPU: time to ask for it, as nothing waits here
    const ChunkUpdate update = trainer_.update(window, chunk_, rates_, std::move(scored));
    synchronise(device_);
    const double seconds = seconds_since(start);
    Json losses = Json::array();
    for (const at::Tensor& loss : update.loss) losses.push_back(loss.item<double>());
    return {{"seconds", seconds},
            {"phases", {{"score", score_s}, {"train", seconds - score_s}}},
            {"nll", nll.item<double>()},
            {"losses", losses}};
  }

  const at::Device& device() const { return device_; }
  bool shared_forward() const { return shared_forward_; }

 private:
  std::int64_t chunk_, context_;
  bool shared_forward_;
  std::vector<double> rates_;
  at::Device device_;
  Llama model_;
  LoraAdapter adapter_;
  ChunkTrainer trainer_;
  at::Tensor tokens_;
  std::int64_t first_;
};

void answer(const Json& json) { std::cout << json.dump() << std::endl; }

/// Answers commands until "quit" or the end of input.
void serve(Loop& loop) {
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    if (line == "chunk" || line == "phases") {
      answer(loop.chunk());
    } else if (line.rfind("profile ", 0) == 0) {
      Json result;
      profile(loop.device(), line.substr(8), [&] { result = loop.chunk(); });
      answer(result);
    } else if (line == "memory") {
      answer(memory_peaks(loop.device()));
    } else {
      answer({{"error", "unknown command " + line}});
    }
  }
}

/// A process that did nothing with LibTorch but one small product: what memory is measured against, and
/// where the machine is probed without disturbing the loops' memory.
void serve_idle(const Arguments& arguments) {
  const auto options = at::TensorOptions().dtype(dtype_of(arguments)).device(device_of(arguments));
  const at::Tensor x = at::randn({64, 64}, options);
  at::linear(x, x);
  answer({{"ready", true}, {"peer", "idle"}});
  const std::int64_t rows = arguments.number("--context") + arguments.number("--chunk");
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    if (line == "memory")
      answer(memory_peaks(options.device()));
    else if (line == "gemm")
      answer(probe_gemm(rows, arguments.number("--hidden"), arguments.number("--ffn"), options));
    else if (line == "copy")
      answer(probe_copy(options.device()));
    else
      answer({{"error", "unknown command " + line}});
  }
}

void run(const Arguments& arguments) {
  keep_freed_memory();  // as every run of the program does
  if (arguments.number("--threads") > 0) at::set_num_threads(int(arguments.number("--threads")));
  if (arguments.given("--idle")) return serve_idle(arguments);
  Loop loop(arguments);
  answer({{"ready", true},
          {"peer", "templora"},
          {"dtype", arguments.text("--dtype")},
          {"device", loop.device().str()},
          {"threads", at::get_num_threads()},
          {"isa", at::get_cpu_capability()},
          {"torch", TORCH_VERSION},
          {"shared_forward", loop.shared_forward()},
          {"trimmed", true}});
  serve(loop);
}

}  // namespace
}  // namespace templora::bench

int main(int count, char** words) {
  try {
    templora::bench::run(templora::bench::Arguments(count, words));
    return 0;
  } catch (const templora::Error& error) {
    std::cerr << error.what() << '\n';
    return int(error.exit_code());
  } catch (const std::exception& error) {
    std::cerr << "bench_temp_lora: " << error.what() << '\n';
    return int(templora::Exit::resources);
  }
}
