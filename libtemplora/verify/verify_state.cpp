#include "verify/verify_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "config/lengths.h"
#include "plan/document_plan.h"
#include "run/run_state.h"

namespace templora {
namespace {

std::int64_t lines_in(const std::string& text, std::uint64_t bytes) {
  return std::count(text.begin(),
                    text.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(bytes, text.size())), '\n');
}

/// A perplexity run's state says where it stands; the records that belong to it say so too.
void check_position(const UnverifiedRun& run, const StateFile& state, const std::string& where, Verification& v) {
  const auto size = state.sizes.find("chunks.jsonl");
  const std::int64_t count =
      size == state.sizes.end() ? 0 : lines_in(read_file(run.folder / "chunks.jsonl"), size->second);
  if (count > static_cast<std::int64_t>(run.chunks.size())) return;  // lines that are no records were found already
  const std::int64_t book = state.state.at("book_index").get<std::int64_t>(),
                     next = state.state.at("next_chunk").get<std::int64_t>();
  const BookRecord* opened = run.book(book);
  if (!opened) return;
  const DocumentPlan plan = plan_of(run, *opened);
  std::int64_t chunks = 0, version = 0, steps = 0, first = 0;  // of the adapter's chunks
  for (std::int64_t i = 0; i < count; ++i) {
    const ChunkRecord& chunk = run.chunks[static_cast<std::size_t>(i)];
    const bool earlier = one_for_all(*run.config) && chunk.book_index < book;  // by the same adapter
    if (chunk.book_index != book && !earlier) continue;
    if (!earlier && chunks < plan.size() && plan.starts_adapter(chunks)) version = steps = 0, first = chunks;
    if (!earlier) ++chunks;
    version += chunk.trained_chunk.has_value();
    steps += static_cast<std::int64_t>(chunk.train_loss.size());
  }
  v.expect(next == chunks, "state-position",
           fmt::format("{}: next_chunk: got {}, wanted {}, the chunks recorded by then", where, next, chunks));
  if (!run.config->score.adapter) return;
  const Json& module = state.state.at("modules").at("lora");
  const auto got = module.at("adapter_version").get<std::int64_t>(),
             made = module.at("optimizer_steps").get<std::int64_t>();
  v.expect(
      got == version && made == steps, "state-position",
      fmt::format("{}: got version {} after {} steps, wanted version {} after {}, as the records from chunk {} on say",
                  where, got, made, version, steps, first));
}

}  // namespace

void verify_states(const UnverifiedRun& run, Verification& v) {
  v.check({"state-damaged", "state-sizes", "state-position"});
  const fs::path states = run.folder / "state";
  if (!fs::is_directory(states)) {
    for (const char* name : {"state-damaged", "state-sizes", "state-position"})
      v.not_checked(name, "the folder keeps no state");
    return;
  }
  std::vector<std::string> known;
  const std::vector<std::int64_t> numbers = state_numbers(states);
  for (const std::int64_t number : numbers) {
    const std::string where = fmt::format("state/state-{}.json", number);
    known.insert(known.end(), {fmt::format("state-{}.json", number), state_tensors_name(number)});
    std::string why;
    const std::optional<StateFile> state = read_state(run.folder, number, why);
    if (!state) {
      // A record file that was cut is named as what it is.
      v.found(why.find("is shorter") == std::string::npos ? "state-damaged" : "state-sizes",
              fmt::format("{}: {}", where, why));
      continue;
    }
    const bool newest_of_finished = run.finished && number == numbers.back();
    for (const auto& [file, bytes] : state->sizes)
      if (newest_of_finished && file != "validation.jsonl")  // pretraining's last look follows its last state
        v.expect(fs::file_size(run.folder / file) == bytes, "state-sizes",
                 fmt::format("{}: {}: got {} bytes, wanted {}: the file was changed after the run", where, file,
                             fs::file_size(run.folder / file), bytes));
    if (run.config->experiment != ExperimentKind::perplexity) continue;
    try {
      check_position(run, *state, where, v);
    } catch (const nlohmann::json::exception& error) {
      v.found("state-position", fmt::format("{}: {}", where, error.what()));
    }
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(states)) {
    const std::string name = entry.path().filename().string();
    const bool orphan = name.ends_with(".safetensors") && !run.finished;  // a process that ended while it saved
    v.expect(
        std::find(known.begin(), known.end(), name) != known.end() || name.find(".tmp-") != std::string::npos || orphan,
        "unknown-file", fmt::format("state/{}: belongs to no state", name));
  }
  if (numbers.empty())
    for (const char* name : {"state-damaged", "state-sizes", "state-position"})
      v.not_checked(name, "the folder keeps no state");
}

void verify_adapters(const UnverifiedRun& run, std::size_t documents, Verification& v) {
  const fs::path adapters = run.folder / "adapters";
  const LoraConfig& lora = run.config->lora;
  if (!lora.save_final || !run.config->score.adapter) {
    v.expect(!fs::exists(adapters), "unknown-file", "adapters: lora.save_final is off");
    return;
  }
  v.check("adapter-config");
  if (!run.finished) return;
  for (std::size_t i = 0; i < documents; ++i) {
    const std::string name = fmt::format("adapters/{}/", i);
    v.expect(fs::exists(run.folder / (name + "adapter_model.safetensors")), "missing-file",
             name + "adapter_model.safetensors: missing");
    const std::string file = name + "adapter_config.json";
    if (!v.expect(fs::exists(run.folder / file), "missing-file", file + ": missing")) continue;
    try {
      const Json config = parse_json(read_file(run.folder / file), file);
      v.expect(config.at("r") == lora.rank && config.at("lora_alpha").get<double>() == lora.alpha, "adapter-config",
               fmt::format("{}: got rank {} and alpha {}, wanted {} and {}", file, config.at("r").dump(),
                           config.at("lora_alpha").dump(), lora.rank, lora.alpha));
    } catch (const std::exception& error) {
      v.found("adapter-config", fmt::format("{}: {}", file, error.what()));
    }
  }
}

}  // namespace templora
