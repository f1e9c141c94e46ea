// templora's side of the translation part of scripts/bench: one GuoFeng chunk of made-up tokens, by base and adapter,
// and what the adapter learns from it. Answers one JSON object a line:
//
//   -> (start)      <- {"ready": true, ...}
//   -> chunk MODE   <- {"answers": s, "train": s, "nll": n}: seconds of all sentences by both, of the training; mean
//   NLL
//                      of the references by the base. MODE says what is shared, each with what stands before it:
//                      "alone"    every sentence alone, its prompt read once to write and once to score
//                      "prefill"  one reading of the prompt serves both
//                      "batch"    all sentences at once
//                      "shared"   what all prompts begin with is read once: what the translation experiment does
//   -> quit

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <iostream>
#include <sstream>
#include <string>

#include "bench/probes.h"
#include "bench/program.h"
#include "experiment/sentence_batch.h"
#include "generate/score.h"
#include "train/chunk_trainer.h"

namespace templora::bench {
namespace {

using Ids = std::vector<std::int64_t>;

constexpr double kRepetitionPenalty = 1.12;
constexpr double kLearningRate = 5e-5;
constexpr std::int64_t kHeadTokens = 16, kMiddleTokens = 6;

const Arguments kDefaults = with_default_model(
    {{"--sentences", "8"}, {"--context-pairs", "16"}, {"--pair-tokens", "24"}, {"--new", "32"}, {"--epochs", "2"}});

/// A chunk's prompts, references and training text, of the same lengths and tokens as in translate_peer.py.
struct Chunk {
  std::vector<SentenceTask> tasks;
  Ids segment;
  std::int64_t labelled = 0;
};

Chunk make_chunk(const Arguments& arguments) {
  const std::int64_t vocab = number(arguments, "--vocab"), length = number(arguments, "--pair-tokens");
  const std::int64_t context = number(arguments, "--context-pairs"), sentences = number(arguments, "--sentences");
  const auto append = [&](Ids& ids, std::int64_t salt, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) ids.push_back((salt * 7919 + i * 104729 + 11) % vocab);
  };
  const auto text = [&](std::int64_t chinese, std::int64_t english) {
    Ids ids;
    append(ids, 1, kHeadTokens);
    for (std::int64_t pair = 0; pair < chinese; ++pair) append(ids, 100 + pair, length);
    append(ids, 2, kMiddleTokens);
    for (std::int64_t pair = 0; pair < english; ++pair) append(ids, 5000 + pair, length);
    return ids;
  };
  Chunk chunk;
  for (std::int64_t pair = context; pair < context + sentences; ++pair) {
    SentenceTask task{text(pair + 1, pair), {}};
    append(task.reference, 5000 + pair, length);
    chunk.tasks.push_back(std::move(task));
  }
  chunk.segment = text(context + sentences, context + sentences);
  chunk.labelled = sentences * length;
  return chunk;
}

/// As the peer's optimizer: torch's own eps, gradients clipped.
TrainConfig peer_adamw() {
  TrainConfig config;
  config.clip_norm = 1;
  config.adam_eps = 1e-8;
  return config;
}

class Translator {
 public:
  explicit Translator(const Arguments& arguments)
      : model_(random_model(arguments)),
        adapter_(random_adapter(*model_, arguments)),
        trainer_(*model_, adapter_->parameters(), peer_adamw()),
        chunk_(make_chunk(arguments)),
        epochs_(number(arguments, "--epochs")) {
    options_.max_new_tokens = options_.min_new_tokens = number(arguments, "--new");
    options_.sampling.repetition_penalty = kRepetitionPenalty;
  }

  Json chunk(const std::string& mode) {
    auto start = Clock::now();
    double nll = 0;
    {
      const AdapterOff off(*model_);
      nll = answers(mode);
    }
    answers(mode);
    const double answered = seconds_since(start);
    start = Clock::now();
    const at::Tensor segment = at::tensor(at::ArrayRef<std::int64_t>(chunk_.segment));
    adapter_->set_training(true);
    trainer_.update(segment, chunk_.labelled, std::vector<double>(std::size_t(epochs_), kLearningRate));
    adapter_->set_training(false);
    return {{"answers", answered}, {"train", seconds_since(start)}, {"nll", nll}};
  }

 private:
  using Tasks = std::vector<SentenceTask>;

  /// → mean NLL of the references.
  double answers(const std::string& mode) {
    if (mode == "batch") return unshared(chunk_.tasks);
    if (mode == "shared") return joint(chunk_.tasks, options_);
    double sum = 0;
    for (const SentenceTask& task : chunk_.tasks) {
      if (mode == "prefill") {
        sum += joint({task}, options_);
      } else {
        joint({{task.prompt, {}}}, options_);
        sum += scored(task);
      }
    }
    return sum / double(chunk_.tasks.size());
  }

  static double mean(const std::vector<at::Tensor>& nll) {
    return nll.empty() ? 0 : at::cat(nll).mean().item<double>();
  }

  double joint(const Tasks& tasks, const DecodeOptions& options) {
    std::vector<at::Tensor> nll;
    PromptCache read = sentence_cache(*model_, std::int64_t(tasks.size()));
    const auto answers =
        answer(*model_, read, tasks, options, SamplingStreams(1, std::int64_t(tasks.size())), timer_, "bench");
    for (const SentenceAnswer& done : *answers)
      if (done.nll.defined()) nll.push_back(done.nll);
    return mean(nll);
  }

  double scored(const SentenceTask& task) {
    PromptCache read = sentence_cache(*model_, 1);
    read.read(*model_, {task.prompt}, 0);
    Append text{0, {task.prompt.back()}};
    text.tokens.insert(text.tokens.end(), task.reference.begin(), task.reference.end());
    return mean(score(*model_, read.cache(), {text}, 0));
  }

  /// As answer(), but every prompt is read from its first token.
  double unshared(const Tasks& tasks) {
    const at::NoGradGuard no_grad;
    std::vector<Append> prompts, references;
    std::vector<Ids> seen;
    std::int64_t capacity = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      const SentenceTask& task = tasks[i];
      prompts.push_back({std::int64_t(i), {task.prompt.begin(), task.prompt.end() - 1}});
      references.push_back({std::int64_t(i), {task.prompt.back()}});
      references.back().tokens.insert(references.back().tokens.end(), task.reference.begin(), task.reference.end());
      seen.push_back(task.prompt);
      capacity = std::max(capacity, std::int64_t(task.prompt.size()) +
                                        std::max(options_.max_new_tokens, std::int64_t(task.reference.size())));
    }
    KvCache cache(*model_, {.sequences = std::int64_t(tasks.size()), .capacity = capacity});
    cache.append(*model_, prompts, Rows::none, 0);
    const double nll = mean(score(*model_, cache, references, 0));
    for (std::size_t i = 0; i < tasks.size(); ++i)
      cache.truncate(std::int64_t(i), std::int64_t(tasks[i].prompt.size()) - 1);
    SamplingStreams streams(1, std::int64_t(tasks.size()));
    decode(*model_, cache, seen, options_, streams);
    return nll;
  }

  Llama model_;
  std::unique_ptr<LoraAdapter> adapter_;
  ChunkTrainer trainer_;
  Chunk chunk_;
  std::int64_t epochs_;
  DecodeOptions options_;
  PhaseTimer timer_{at::kCPU};
};

void run(const Arguments& arguments) {
  begin(arguments);
  Translator translator(arguments);
  tell_ready(arguments);
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::istringstream words(line);
    std::string command, mode;
    words >> command >> mode;
    if (command == "chunk" && (mode == "alone" || mode == "prefill" || mode == "batch" || mode == "shared"))
      tell(translator.chunk(mode));
    else
      tell({{"error", "unknown command " + line}});
  }
}

}  // namespace
}  // namespace templora::bench

int main(int count, char** words) {
  using namespace templora::bench;
  return run_program("bench_translate", [&] { run(parse_arguments("bench_translate", count, words, kDefaults)); });
}
