#pragma once

#include <filesystem>

#include "config/config.h"

namespace templora {

/// Trains a small Llama from nothing on data.books (plain causal language modelling on packed sequences)
/// and writes it as a Hugging Face folder, `folder`/model, at every saved state and at the end. Records:
/// steps.jsonl, validation.jsonl (docs/pretrain.md). With `resume`, goes on where a stopped run of the same
/// config left off; on the CPU the result is bit-identical to an uninterrupted run. A finished run goes on too
/// where the config asks for more steps than it had; else its table is printed.
/// Throws Error: usage, bad_input, resources, numerics; interrupted once a signal came and the state is saved.
void run_pretrain(const LoadedConfig& config, const std::filesystem::path& folder, bool resume);

}  // namespace templora
