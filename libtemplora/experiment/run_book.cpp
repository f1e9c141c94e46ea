#include "experiment/run_book.h"

#include <fmt/format.h>

#include <utility>

#include "config/config_rules.h"
#include "core/error.h"
#include "core/hash.h"
#include "experiment/chunk_values.h"
#include "text/swapped_names.h"

namespace templora {
namespace {

static_assert(kRecallFactsMultiple == kFactsMultiple);

/// The same text has the same names, wherever it stands in a run and whatever the run's seed.
std::string with_swapped_names(const std::filesystem::path& path, const std::string& text, const std::string& hash) {
  SwappedNames swapped = swap_names(text, std::stoull(hash.substr(0, 16), nullptr, 16));
  if (swapped.names.empty())
    throw Error(Exit::bad_input, fmt::format("{}: data.swap_names: got a text without a name that begins with A to Z "
                                             "and comes twice, wanted some; leave the text out, or set it to false",
                                             shown_path(path)));
  return std::move(swapped.text);
}

RunBook read(const std::filesystem::path& path, const Tokenizer& tokenizer, const Config& config,
             const PlantOptions* plant) {
  RunBook read;
  const DataConfig& data = config.data;
  const std::string file_text = read_book_text(path, data.strip), source = hash_hex(file_text);
  std::string text = file_text;
  if (data.swap_names) text = with_swapped_names(path, text, source);
  if (plant) {
    read.planting = plant_facts(text, path.string(), tokenizer, *plant);
    text = read.planting->text;
  }
  read.book = book_of_text(path.filename().string(), text, tokenizer, data.max_tokens);
  if (read.book.text_hash == source) return read;
  read.book.source_hash = source;
  read.book.read_hash = book_of_text("", file_text, tokenizer, data.max_tokens).read_hash;
  return read;
}

}  // namespace

PlantOptions plant_options(const Config& config, std::int64_t book_index) {
  const RecallConfig& r = config.recall;
  constexpr std::int64_t kFacts = 0x7ac75;  // apart from the seeds of adapters
  return {{r.facts, r.repeats, r.answer_tokens, adapter_seed(config.seed, book_index, kFacts)},
          r.plant_from_tokens,
          r.plant_to_tokens};
}

RunBook read_run_book(const std::filesystem::path& path, const Tokenizer& tokenizer, const Config& config,
                      std::int64_t book_index) {
  const PlantOptions plant = plant_options(config, book_index);
  return read(path, tokenizer, config, config.recall.facts > 0 ? &plant : nullptr);
}

Book read_control_book(const std::filesystem::path& path, const Tokenizer& tokenizer, const Config& config) {
  return read(path, tokenizer, config, nullptr).book;
}

}  // namespace templora
