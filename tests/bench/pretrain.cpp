// templora's side of the pretraining part of scripts/bench: optimizer steps on random tokens, as the pretrain
// experiment makes them. Answers one JSON object a line:
//
//   -> (start)    <- {"ready": true, ...}
//   -> step COUNT <- {"seconds": s, "tokens": t, "loss": l}: of the last step
//   -> quit

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randint.h>

#include <sstream>

#include "bench/probes.h"
#include "bench/program.h"
#include "train/pretrainer.h"

namespace templora::bench {
namespace {

const Arguments kDefaults = {{"--layers", "6"},     {"--hidden", "256"}, {"--ffn", "688"},        {"--heads", "4"},
                             {"--vocab", "4096"},   {"--threads", "0"},  {"--dtype", "bfloat16"}, {"--batch", "16"},
                             {"--sequence", "512"}, {"--micro", "4"}};

constexpr double kLearningRate = 1e-3;

void run(const Arguments& arguments) {
  begin(arguments);
  LlamaConfig shape = random_shape(arguments);
  shape.tied_embeddings = true;
  shape.max_positions = number(arguments, "--sequence");
  const std::int64_t batch = number(arguments, "--batch"), sequence = number(arguments, "--sequence"),
                     micro = number(arguments, "--micro");
  PretrainerOptions options;
  options.workers = std::min<std::int64_t>(at::get_num_threads(), batch / micro);
  options.micro_sequences = micro;
  options.adam = {0.9, 0.95, 1e-8, 0.1, 1.0};  // the experiment's defaults, and the peer's
  Pretrainer trainer(shape, dtype_of(arguments), at::kCPU, options, /*seed=*/1, /*init_std=*/0.02);
  const at::Tensor sequences = at::randint(shape.vocab_size, {batch, sequence + 1}, at::detail::createCPUGenerator(1),
                                           at::TensorOptions(at::kLong));
  tell_ready(arguments);
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::istringstream words(line);
    std::string command;
    std::int64_t count = 1;
    words >> command >> count;
    if (command != "step") {
      tell({{"error", "unknown command " + line}});
      continue;
    }
    const auto start = Clock::now();
    double loss = 0;
    for (std::int64_t i = 0; i < count; ++i) loss = trainer.step(sequences, kLearningRate).loss;
    tell({{"seconds", seconds_since(start)}, {"tokens", count * batch * sequence}, {"loss", loss}});
  }
}

}  // namespace
}  // namespace templora::bench

int main(int count, char** words) {
  using namespace templora::bench;
  return run_program("bench_pretrain", [&] { run(parse_arguments("bench_pretrain", count, words, kDefaults)); });
}
