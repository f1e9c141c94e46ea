// templora's side of scripts/bench and scripts/gpu-check: one Temp-LoRA loop at a given shape, answering the
// line protocol that tests/bench/peer.py describes, with two probes of the machine beside it.

#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <ATen/Version.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "bench/probes.h"
#include "bench/program.h"
#include "core/file.h"
#include "lora/peft_folder.h"
#include "train/chunk_trainer.h"

namespace templora::bench {
namespace {

const Arguments kDefaults = with_default_model({{"--chunk", "256"},
                                               {"--context", "768"},
                                               {"--epochs", "2"},
                                               {"--device", "cpu"},
                                               {"--learning-rate", "5e-5"},
                                               {"--model", ""}});
const std::set<std::string> kFlags = {"--idle", "--separate-score"};

at::Device device_of(const Arguments& arguments) {
  const std::string& name = arguments.at("--device");
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
  if (given(arguments, "--model")) return load_llama(arguments.at("--model"), dtype, device);
  LlamaConfig config = random_shape(arguments);
  config.max_positions = number(arguments, "--context") + number(arguments, "--chunk");
  Llama model(config, at::TensorOptions().dtype(dtype).device(device));
  fill_random(*model);
  return model;
}

/// Temp-LoRA in its steady state: every chunk has its full context.
class Loop {
 public:
  explicit Loop(const Arguments& arguments)
      : chunk_(number(arguments, "--chunk")),
        context_(number(arguments, "--context")),
        shared_forward_(!given(arguments, "--separate-score")),
        rates_(std::size_t(number(arguments, "--epochs")), std::stod(arguments.at("--learning-rate"))),
        device_(device_of(arguments)),
        model_(make_model(arguments)),
        adapter_(*model_, lora_config(arguments), /*seed=*/1),
        trainer_(*model_, adapter_.parameters(), TrainConfig{}),
        first_(context_) {
    if (given(arguments, "--model")) {
      const std::filesystem::path folder = arguments.at("--model");
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

/// Answers commands until "quit" or the end of input.
void serve(Loop& loop) {
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    if (line == "chunk" || line == "phases") {
      tell(loop.chunk());
    } else if (line.rfind("profile ", 0) == 0) {
      Json result;
      profile(loop.device(), line.substr(8), [&] { result = loop.chunk(); });
      tell(result);
    } else if (line == "memory") {
      tell(memory_peaks(loop.device()));
    } else {
      tell({{"error", "unknown command " + line}});
    }
  }
}

/// A process that did nothing with LibTorch but one small product: what memory is measured against, and
/// where the machine is probed without disturbing the loops' memory.
void serve_idle(const Arguments& arguments) {
  const auto options = at::TensorOptions().dtype(dtype_of(arguments)).device(device_of(arguments));
  const at::Tensor x = at::randn({64, 64}, options);
  at::linear(x, x);
  tell({{"ready", true}, {"peer", "idle"}});
  const std::int64_t rows = number(arguments, "--context") + number(arguments, "--chunk");
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    if (line == "memory")
      tell(memory_peaks(options.device()));
    else if (line == "gemm")
      tell(probe_gemm(rows, number(arguments, "--hidden"), number(arguments, "--ffn"), options));
    else if (line == "copy")
      tell(probe_copy(options.device()));
    else
      tell({{"error", "unknown command " + line}});
  }
}

void run(const Arguments& arguments) {
  begin(arguments);
  if (given(arguments, "--idle")) return serve_idle(arguments);
  Loop loop(arguments);
  tell({{"ready", true},
          {"peer", "templora"},
          {"dtype", arguments.at("--dtype")},
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
  using namespace templora::bench;
  return run_program("bench_temp_lora",
                     [&] { run(parse_arguments("bench_temp_lora", count, words, kDefaults, kFlags)); });
}
