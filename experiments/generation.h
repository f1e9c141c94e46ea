#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "config/config.h"
#include "model/llama_config.h"
#include "text/tokenizer.h"

namespace templora {

struct RunPlace;

/// Writes a text with an adapter that learns what it wrote; the text goes to standard output as it is made. Run folder:
/// run.json, chunks.jsonl (GenerationRecord), text.txt, table.md, summary.json; snapshots/ where asked for. Throws
/// Error.
void run_generation(const LoadedConfig& loaded, const RunPlace& place);

/// What a generation goes on from.
struct GenerationStart {
  std::vector<std::int64_t> text;  ///< the prompt, or all of a snapshot's text
  std::int64_t written = 0;        ///< of it, what a snapshot's generation had written
};

/// The start that a config names. Throws Error(bad_input, usage) as the run would.
GenerationStart read_start(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model);

}  // namespace templora
