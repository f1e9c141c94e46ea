#include "run_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "config/lengths.h"
#include "config/model_folder.h"
#include "core/check.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "lora/lora_adapter.h"
#include "lora/peft_folder.h"
#include "model/load.h"
#include "report/cost_table.h"
#include "report/run_summary.h"
#include "run/json_lines.h"

namespace templora {

Json run_record(const LoadedConfig& loaded, const Machine& machine, const std::string& weights,
                const Tokenizer& tokenizer, const std::vector<std::string>& text_hashes,
                const std::vector<std::string>& control_text_hashes) {
  Json identity{{"config_hash", loaded.hash},
                {"model_config_hash", hash_hex(read_file(fs::path(loaded.config.model.path) / "config.json"))},
                {"weights_hash", weights},
                {"tokenizer_hash", tokenizer.hash()}};
  if (const auto& adapter = loaded.config.lora.init_from) {
    identity["init_from_hash"] = hash_hex(read_file(peft_weights_file(*adapter)));
    if (const auto base = other_base(*adapter, loaded.config.model.path))
      log_line(fmt::format(
          "lora.init_from: the adapter was made for \"{}\", and model.path is \"{}\"; its shapes may fit, but on other "
          "weights than those it was trained on it means nothing",
          printable(*base), printable(loaded.config.model.path, 1000)));
  }
  for (std::size_t i = 0; i < text_hashes.size(); ++i) identity[fmt::format("text_{}_hash", i)] = text_hashes[i];
  for (std::size_t i = 0; i < control_text_hashes.size(); ++i)
    identity[fmt::format("control_text_{}_hash", i)] = control_text_hashes[i];
  identity.update(identity_of(machine));
  Json record{{"templora_version", TEMPLORA_VERSION},
              {"config", loaded.effective},
              {"set_by_fidelity", loaded.set_by_fidelity},
              {"identity", identity},
              {"processor", machine.device_name}};
  // Beside the identity: the hashes there say what the model is, this only where it came from.
  if (const auto snapshot = snapshot_of(loaded.config.model.path))
    record["model_repository"] = {{"name", snapshot->repository}, {"commit", snapshot->commit}};
  return record;
}

std::string windows_text(const Config& config) {
  if (config.experiment == ExperimentKind::pretrain)
    return fmt::format("{} sequences of {} tokens a step", config.pretrain.batch_sequences,
                       config.pretrain.sequence_tokens);
  const std::string learns =
      config.score.adapter && config.train.enabled
          ? fmt::format("learnt behind L_T {}, {} steps each", config.train.prefix_tokens, config.train.epochs)
          : "nothing is learnt";
  if (config.experiment == ExperimentKind::translation) return learns;
  return fmt::format("Δ {} behind L_X {}; {}", config.window.chunk_tokens, context_tokens(config), learns);
}

RunFolder open_run_folder(const fs::path& path, const Json& record, const LoadedConfig& loaded, bool resume) {
  RunFolder folder = resume ? RunFolder::resume(path, record, loaded.hash_of_0_1) : RunFolder::create(path, record);
  log_line(fmt::format("run folder: {}", path.string()));
  return folder;
}

void check_distinct_texts(const std::vector<fs::path>& paths, const std::vector<std::string>& hashes,
                          const char* key, bool resumed) {
  std::map<std::string, fs::path> first;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const auto [there, is_new] = first.emplace(hashes[i], paths.at(i));
    if (is_new) continue;
    const std::string line =
        fmt::format("{}: the same text as {}, as far as it is read; wanted each once in {}: it would count as two",
                    shown_path(paths[i]), shown_path(there->second), key);
    if (!resumed) throw Error(Exit::bad_input, line + "; leave one out");
    return log_line(line);
  }
}

void check_ids(const std::vector<std::int64_t>& ids, const std::string& where, const LlamaConfig& model) {
  const auto beyond = std::find_if(ids.begin(), ids.end(), [&](std::int64_t id) { return id >= model.vocab_size; });
  if (beyond != ids.end())
    throw Error(Exit::bad_input,
                fmt::format("{}: token {} at position {} is beyond the model's vocabulary of {}; does the tokenizer "
                            "belong to the model?",
                            where, *beyond, beyond - ids.begin(), model.vocab_size));
}

void record_cost(const RunFolder& folder, const RunCost& cost, const MeasuredMemory& memory, Json& summary) {
  summary["peak_rss_bytes"] = memory.peak_rss_bytes;
  summary["cost"] = to_json(cost);
  write_file_atomically(folder.path() / "cost.md", cost_markdown(cost));
}

Json unchanged_weights(LlamaImpl& model, const std::string& hash_before) {
  const std::string hash_after = weights_hash(model);
  TEMPLORA_CHECK(hash_after == hash_before, "the base model's weights changed during the run");
  return Json{{"weights_hash_before", hash_before}, {"weights_hash_after", hash_after}};
}

RunningTotals::RunningTotals(const fs::path& run) {
  for_each_record(run / "chunks.jsonl", [&](const Json& chunk) {
    so_far_.add(chunk.value("scored_tokens", std::int64_t{0}), number_at(chunk, "/base_nll"),
                number_at(chunk, "/lora_nll"));
  });
}

void RunningTotals::add(const ChunkRecord& record) {
  so_far_.add(record.scored_tokens, record.base_nll, record.lora_nll);
}

std::string RunningTotals::text() const {
  const std::string numbers = perplexities_text(so_far_.base(), so_far_.lora());
  return numbers.empty() ? "" : " PPL so far: " + numbers;
}

}  // namespace templora
