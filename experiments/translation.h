#pragma once

#include <filesystem>
#include <vector>

#include "config/config.h"
#include "model/llama_config.h"
#include "run/record.h"
#include "text/tokenizer.h"

namespace templora {

struct RunPlace;

/// Runs the translation experiment: every novel's chunks are translated and scored by the base and by Temp-LoRA in
/// turn. Writes the run folder and prints the table. Throws Error(interrupted) after a signal, with the state
/// saved.
void run_translation(const LoadedConfig& config, const RunPlace& place);

/// The novels that a config names, read and checked; `tokens` are those of the references. Throws Error as the run
/// would.
std::vector<BookRecord> translation_texts(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model);

}  // namespace templora
