// templora's side of decoding in scripts/bench, and what scripts/reference/decode_live.py compares with
// transformers. Answers one JSON object a line:
//
//   -> (start)                  <- {"ready": true, ...}
//   -> decode BATCH CONTEXT NEW <- {"seconds": s, "tokens": t}: t new tokens of all sequences, prefill not counted
//   -> read                     <- {"bytes": b, "bytes_per_s": r}: a plain read of the weights that a step reads
//   -> generate {JSON}          <- {"tokens": [[...]]}: continuations of "prompts"
//   -> memory, quit             as bench_temp_lora

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/version.h>

#include <atomic>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include "bench/probes.h"
#include "core/error.h"
#include "core/json.h"
#include "experiment/session.h"
#include "generate/decoder.h"
#include "lora/lora_adapter.h"
#include "model/load.h"
#include "model/row_kernels.h"

namespace templora::bench {
namespace {

std::map<std::string, std::string> parse_arguments(int count, char** words) {
  std::map<std::string, std::string> values = {
      {"--layers", "12"}, {"--hidden", "768"}, {"--ffn", "2048"},     {"--heads", "12"}, {"--vocab", "32000"},
      {"--rank", "64"},   {"--threads", "0"},  {"--dtype", "float32"}, {"--model", ""},   {"--adapter", ""}};
  for (int i = 1; i + 1 < count; i += 2) {
    if (values.count(words[i]) == 0) throw Error(Exit::usage, std::string("bench_decode: unknown option ") + words[i]);
    values[words[i]] = words[i + 1];
  }
  return values;
}

at::ScalarType dtype_of(const std::string& name) {
  return name == "bfloat16" ? at::kBFloat16 : name == "float64" ? at::kDouble : at::kFloat;
}

Llama make_model(const std::map<std::string, std::string>& arguments) {
  const at::ScalarType dtype = dtype_of(arguments.at("--dtype"));
  if (!arguments.at("--model").empty()) return load_llama(arguments.at("--model"), dtype, at::kCPU);
  const auto number = [&](const char* name) { return std::stoll(arguments.at(name)); };
  LlamaConfig config;
  config.vocab_size = number("--vocab");
  config.hidden_size = number("--hidden");
  config.ffn_size = number("--ffn");
  config.layers = number("--layers");
  config.heads = config.kv_heads = number("--heads");
  config.head_dim = config.hidden_size / config.heads;
  config.max_positions = 1 << 16;
  Llama model(config, at::TensorOptions(dtype));
  init_random_weights(*model, 1);
  return model;
}

std::unique_ptr<LoraAdapter> make_adapter(LlamaImpl& model, const std::map<std::string, std::string>& arguments) {
  if (arguments.at("--adapter").empty()) return nullptr;
  LoraConfig config;
  config.rank = std::stoll(arguments.at("--rank"));
  config.alpha = double(config.rank);
  config.dropout = 0;
  auto adapter = std::make_unique<LoraAdapter>(model, config, /*seed=*/1);
  const at::NoGradGuard no_grad;
  adapter->parameters().value.uniform_(-0.01, 0.01);
  return adapter;
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
    if (tensor.dim() == 2 && (name != "model.embed_tokens" || model.config().tied_embeddings)) tensors.push_back(tensor);
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

void answer(const Json& json) { std::cout << json.dump() << std::endl; }

void run(const std::map<std::string, std::string>& arguments) {
  keep_freed_memory();
  if (const int threads = std::stoi(arguments.at("--threads")); threads > 0) at::set_num_threads(threads);
  Llama model = make_model(arguments);
  const auto adapter = make_adapter(*model, arguments);
  answer({{"ready", true},
          {"peer", "templora"},
          {"dtype", arguments.at("--dtype")},
          {"threads", at::get_num_threads()},
          {"isa", cpu::row_kernels().name},
          {"torch", TORCH_VERSION}});
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "decode") {
      std::int64_t batch = 1, context = 1, count = 1;
      words >> batch >> context >> count;
      answer(time_decoding(*model, batch, context, count));
    } else if (command == "read") {
      answer(time_reading(*model));
    } else if (command == "generate") {
      answer(generate(*model, parse_json(line.substr(command.size()), "generate")));
    } else if (command == "memory") {
      answer(memory_peaks(at::kCPU));
    } else {
      answer({{"error", "unknown command " + line}});
    }
  }
}

}  // namespace
}  // namespace templora::bench

int main(int count, char** words) {
  try {
    templora::bench::run(templora::bench::parse_arguments(count, words));
    return 0;
  } catch (const templora::Error& error) {
    std::cerr << error.what() << '\n';
    return int(error.exit_code());
  } catch (const std::exception& error) {
    std::cerr << "bench_decode: " << error.what() << '\n';
    return int(templora::Exit::resources);
  }
}
