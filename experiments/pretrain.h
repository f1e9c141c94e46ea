#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "config/config.h"
#include "experiment/machine.h"
#include "text/tokenizer.h"
#include "train/pretrainer.h"

namespace templora {

struct RunPlace;

/// Trains a small Llama from nothing on data.books (plain causal language modelling on packed sequences)
/// and writes it as a Hugging Face folder, the place's folder/model, at every saved state and at the end. Records:
/// steps.jsonl, validation.jsonl (docs/pretrain.md). Where the place says so, goes on where a stopped run of the same
/// config left off; on the CPU the result is bit-identical to an uninterrupted run. A finished run goes on too
/// where the config asks for more steps than it had; else its table is printed.
/// Throws Error: usage, bad_input, resources, numerics; interrupted once a signal came and the state is saved.
void run_pretrain(const LoadedConfig& config, const RunPlace& place);

/// Random weights and an optimizer as section pretrain has them.
std::unique_ptr<Pretrainer> new_pretrainer(const Config& config, std::int64_t vocab, const Machine& machine);

/// How much a pretraining reads and learns.
struct PretrainLength {
  std::int64_t training_tokens = 0;    ///< of the corpus
  std::int64_t validation_tokens = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;             ///< of all steps
};

/// From the texts, which are read. Throws Error as the run would.
PretrainLength pretrain_length(const Config& config, const Tokenizer& tokenizer);

}  // namespace templora
