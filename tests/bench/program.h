#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/error.h"
#include "core/json.h"
#include "experiment/machine.h"
#include "lora/lora_adapter.h"
#include "model/load.h"
#include "model/row_kernels.h"

// What the programs that scripts/bench starts share: options, random models, their first and last words.

namespace templora::bench {

/// `--name value` pairs of a command line.
using Arguments = std::map<std::string, std::string>;

/// `others` and the model that the benchmarks measure where nothing else is said; flops.py has the same.
inline Arguments with_default_model(Arguments others) {
  others.merge(Arguments{{"--layers", "12"},
                         {"--hidden", "768"},
                         {"--ffn", "2048"},
                         {"--heads", "12"},
                         {"--vocab", "32000"},
                         {"--kv-heads", "0"},
                         {"--tied", "0"},
                         {"--rank", "64"},
                         {"--threads", "0"},
                         {"--dtype", "float32"}});
  return others;
}

/// `values` holds the known names with their defaults; those in `flags` take no value. Throws Error(usage) for another
/// name or a missing value.
inline Arguments parse_arguments(const std::string& program, int count, char** words, Arguments values,
                                 const std::set<std::string>& flags = {}) {
  for (int i = 1; i < count; ++i) {
    const std::string name = words[i];
    if (flags.count(name) != 0)
      values[name] = "1";
    else if (values.count(name) != 0 && i + 1 < count)
      values[name] = words[++i];
    else
      throw Error(Exit::usage, program + ": unknown option or missing value: " + name);
  }
  return values;
}

/// An option with a text, or a flag, was given.
inline bool given(const Arguments& arguments, const char* name) {
  const auto found = arguments.find(name);
  return found != arguments.end() && !found->second.empty();
}

inline std::int64_t number(const Arguments& arguments, const char* name) { return std::stoll(arguments.at(name)); }

inline at::ScalarType dtype_of(const Arguments& arguments) {
  const std::string& name = arguments.at("--dtype");
  return name == "bfloat16" ? at::kBFloat16 : name == "float64" ? at::kDouble : at::kFloat;
}

/// The shape that --layers, --hidden, --ffn, --heads, --kv-heads (0: as many), --vocab and --tied say.
inline LlamaConfig random_shape(const Arguments& arguments) {
  LlamaConfig config;
  config.vocab_size = number(arguments, "--vocab");
  config.hidden_size = number(arguments, "--hidden");
  config.ffn_size = number(arguments, "--ffn");
  config.layers = number(arguments, "--layers");
  config.heads = number(arguments, "--heads");
  config.kv_heads = number(arguments, "--kv-heads") > 0 ? number(arguments, "--kv-heads") : config.heads;
  config.tied_embeddings = number(arguments, "--tied") != 0;
  config.head_dim = config.hidden_size / config.heads;
  config.max_positions = 1 << 16;
  return config;
}

/// A random model of that shape on the CPU.
inline Llama random_model(const Arguments& arguments) {
  Llama model(random_shape(arguments), at::TensorOptions(dtype_of(arguments)));
  init_random_weights(*model, 1);
  return model;
}

/// An adapter of rank --rank, scaled by 1, without dropout.
inline LoraConfig lora_config(const Arguments& arguments) {
  LoraConfig config;
  config.rank = number(arguments, "--rank");
  config.alpha = double(config.rank);
  config.dropout = 0;
  return config;
}

/// Such an adapter that changes something.
inline std::unique_ptr<LoraAdapter> random_adapter(LlamaImpl& model, const Arguments& arguments) {
  auto adapter = std::make_unique<LoraAdapter>(model, lora_config(arguments), /*seed=*/1);
  const at::NoGradGuard no_grad;
  adapter->parameters().value.uniform_(-0.01, 0.01);
  return adapter;
}

inline void tell(const Json& json) { std::cout << json.dump() << std::endl; }

/// Sets the process up as --threads says, before a model is made.
inline void begin(const Arguments& arguments) {
  keep_freed_memory();
  if (const std::int64_t threads = number(arguments, "--threads"); threads > 0) at::set_num_threads(int(threads));
}

/// The first line of the protocol.
inline void tell_ready(const Arguments& arguments) {
  tell({{"ready", true},
        {"peer", "templora"},
        {"dtype", arguments.at("--dtype")},
        {"threads", at::get_num_threads()},
        {"isa", cpu::row_kernels().name},
        {"torch", TORCH_VERSION}});
}

/// Runs a program's work → its exit code; an error is one line.
template <class Work>
int run_program(const char* program, Work&& work) {
  try {
    work();
    return 0;
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return int(error.exit_code());
  } catch (const std::exception& error) {
    std::cerr << program << ": " << error.what() << '\n';
    return int(Exit::resources);
  }
}

}  // namespace templora::bench
