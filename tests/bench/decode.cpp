// templora's side of decoding in scripts/bench, and what scripts/reference/decode_live.py compares with
// transformers. Answers one JSON object a line:
//
//   -> (start)                  <- {"ready": true, ...}
//   -> decode BATCH CONTEXT NEW <- {"seconds": s, "tokens": t}: t new tokens of all sequences, prefill not counted
//   -> read                     <- {"bytes": b, "bytes_per_s": r}: a plain read of the weights that a step reads
//   -> generate {JSON}          <- {"tokens": [[...]]}: continuations of "prompts"
//   -> memory, quit             as bench_temp_lora

#include <ATen/Parallel.h>

#include <atomic>
#include <iostream>
#include <sstream>
#include <string>

#include "bench/probes.h"
#include "bench/program.h"
#include "generate/decoder.h"

namespace templora::bench {
namespace {

const Arguments kDefaults = with_default_model({{"--model", ""}, {"--adapter", ""}});

Llama make_model(const Arguments& arguments) {
  const std::string& folder = arguments.at("--model");
  return folder.empty() ? random_model(arguments) : load_llama(folder, dtype_of(arguments), at::kCPU);
}

Json time_decoding(LlamaImpl& model, std::int64_t batch, std::int64_t context, std::int64_t count) {
  std::vector<std::vector<std::int64_t>> prompts;
  for (std::int64_t s = 0; s < batch; ++s) {
    auto& prompt = prompts.emplace_back();
    for (std::int64_t i = 0; i < context; ++i) prompt.push_back((i * 37 + s * 101 + 11) % model.config().vocab_size);
  }
  KvCache cache(model, {.sequences = batch, .capacity = context + count + 1});
  SamplingStreams streams(1, batch);
  DecodeOptions options;
  options.max_new_tokens = count + 1;  // the first one belongs to the prompt
  std::int64_t told = 0;
  Clock::time_point start;
  options.on_token = [&](std::int64_t, std::int64_t) {
    if (++told == batch) start = Clock::now();
  };
  decode(model, cache, prompts, options, streams);
  return {{"seconds", seconds_since(start)}, {"tokens", batch * count}};
}

Json time_reading(LlamaImpl& model) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : model.storage_tensors())
    if (tensor.dim() == 2 && (name != "model.embed_tokens" || model.config().tied_embeddings))
      tensors.push_back(tensor);
  std::atomic<std::uint64_t> sink = 0;
  std::int64_t bytes = 0;
  for (const at::Tensor& tensor : tensors) bytes += std::int64_t(tensor.nbytes());
  const double seconds = best_seconds(at::kCPU, [&] {
    for (const at::Tensor& tensor : tensors) {
      const auto* words = static_cast<const std::uint64_t*>(tensor.const_data_ptr());
      at::parallel_for(0, std::int64_t(tensor.nbytes() / 64), 4096, [&](std::int64_t a, std::int64_t b) {
        std::uint64_t sums[8] = {};
        for (std::int64_t line = a; line < b; ++line)
          for (int i = 0; i < 8; ++i) sums[i] += words[8 * line + i];
        for (const std::uint64_t sum : sums) sink += sum;
      });
    }
  });
  return {{"bytes", bytes}, {"bytes_per_s", double(bytes) / seconds}, {"sink", std::uint64_t(sink) & 1}};
}

Json generate(LlamaImpl& model, const Json& asked) {
  const auto prompts = asked.at("prompts").get<std::vector<std::vector<std::int64_t>>>();
  DecodeOptions options;
  options.max_new_tokens = asked.at("max_new_tokens").get<std::int64_t>();
  options.sampling.repetition_penalty = asked.value("repetition_penalty", 1.0);
  options.stop_tokens = asked.value("stop_tokens", std::vector<std::int64_t>{});
  const std::int64_t sequences = std::int64_t(prompts.size());
  KvCache cache(model, {.sequences = sequences, .capacity = asked.value("capacity", std::int64_t{16})});
  SamplingStreams streams(1, sequences);
  Json tokens = Json::array();
  for (const Decoded& decoded : decode(model, cache, prompts, options, streams)) tokens.push_back(decoded.tokens);
  return {{"tokens", tokens}};
}

void run(const Arguments& arguments) {
  begin(arguments);
  Llama model = make_model(arguments);
  const auto adapter = arguments.at("--adapter").empty() ? nullptr : random_adapter(*model, arguments);
  tell_ready(arguments);
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "decode") {
      std::int64_t batch = 1, context = 1, count = 1;
      words >> batch >> context >> count;
      tell(time_decoding(*model, batch, context, count));
    } else if (command == "read") {
      tell(time_reading(*model));
    } else if (command == "generate") {
      tell(generate(*model, parse_json(line.substr(command.size()), "generate")));
    } else if (command == "memory") {
      tell(memory_peaks(at::kCPU));
    } else {
      tell({{"error", "unknown command " + line}});
    }
  }
}

}  // namespace
}  // namespace templora::bench

int main(int count, char** words) {
  using namespace templora::bench;
  return run_program("bench_decode", [&] { run(parse_arguments("bench_decode", count, words, kDefaults)); });
}
