#include "generation.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/hash.h"
#include "core/log.h"
#include "core/stop.h"
#include "experiment/generation.h"
#include "experiment/memory_peaks.h"
#include "experiment/session.h"
#include "metrics/run_cost.h"
#include "model/load.h"
#include "report/cost_table.h"
#include "report/generation_table.h"
#include "run/run_folder.h"
#include "text/text_stream.h"
#include "text_run.h"

namespace templora {
namespace {

std::vector<std::int64_t> read_prompt(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model) {
  const GenerateConfig& g = config.generate;
  std::vector<std::int64_t> prompt = tokenizer.encode(g.prompt ? *g.prompt : read_file(*g.prompt_file), false);
  if (tokenizer.adds_bos()) prompt.insert(prompt.begin(), tokenizer.bos_id());
  if (prompt.empty()) throw Error(Exit::bad_input, "generate.prompt: got no token, wanted at least one; write some text");
  for (const std::int64_t id : prompt)
    if (id >= model.vocab_size)
      throw Error(Exit::bad_input, fmt::format("generate.prompt: token {} is beyond the model's vocabulary of {}; does the tokenizer "
                                               "belong to the model?",
                                               id, model.vocab_size));
  return prompt;
}

Json run_record(const LoadedConfig& loaded, const Machine& machine, const std::string& weights, const Tokenizer& tokenizer,
                const std::vector<std::int64_t>& prompt) {
  Json identity{{"config_hash", loaded.hash},
                {"weights_hash", weights},
                {"tokenizer_hash", tokenizer.hash()},
                {"prompt_hash", hash_hex(Json(prompt).dump())}};
  if (const auto& adapter = loaded.config.lora.init_from)
    identity["init_from_hash"] = hash_hex(read_file(fs::path(*adapter) / "adapter_model.safetensors"));
  identity.update(identity_of(machine));
  return Json{{"templora_version", TEMPLORA_VERSION},
              {"config", loaded.effective},
              {"set_by_fidelity", loaded.set_by_fidelity},
              {"identity", identity},
              {"prompt_tokens", prompt},
              {"processor", machine.device_name}};
}

// A snapshot is what a resumed run needs, so that a branch starts where the text stood.
constexpr const char* kSnapshotState = "state.json";
constexpr const char* kSnapshotTensors = "state.safetensors";

void write_snapshot(const Generation& generation, const fs::path& folder, const Json& run_record) {
  fs::create_directories(folder);
  generation.save_adapter(folder);
  generation.save_tensors_to(folder / kSnapshotTensors);
  const Json snapshot{{"state", generation.state()},
                      {"weights_hash", run_record.at("identity").at("weights_hash")},
                      {"tokenizer_hash", run_record.at("identity").at("tokenizer_hash")}};
  write_file_atomically(folder / kSnapshotState, dump_json(snapshot, kSnapshotState));
}

Json read_snapshot(const fs::path& folder) {
  const std::string file = (folder / kSnapshotState).string();
  const Json snapshot = parse_json(read_file(file), file);
  if (!snapshot.is_object() || !snapshot.contains("state") || !snapshot.at("state").is_object() || !snapshot.at("state").contains("text") ||
      !snapshot.contains("weights_hash"))
    throw Error(Exit::bad_input, fmt::format("{}: got no snapshot, wanted a folder snapshots/<chunk> of a generation", file));
  return snapshot;
}

void restore_snapshot(Generation& generation, const Json& snapshot, const fs::path& folder, const std::string& weights) {
  if (snapshot.at("weights_hash") != weights)
    throw Error(Exit::bad_input, fmt::format("{}: it was made with another model; name that model in model.path", folder.string()));
  try {
    generation.restore(snapshot.at("state"), folder / kSnapshotTensors);
  } catch (const nlohmann::json::exception& error) {
    throw Error(Exit::bad_input, fmt::format("{}: {}: {}; is it of another version or kind of run?", folder.string(), kSnapshotState,
                                             error.what()));
  }
}

void finish(RunFolder& folder, const Config& config, const Json& record, const std::string& hash_before, LlamaImpl& model,
            const Tokenizer& tokenizer, const Generation& generation) {
  const Json weights = unchanged_weights(model, hash_before);
  const std::vector<GenerationRecord> chunks = read_generation(folder.path());
  Json summary = generation_summary(chunks);
  summary.update(weights);
  const MeasuredMemory memory = measured_memory(model.options().device());
  summary["peak_rss_bytes"] = memory.peak_rss_bytes;
  const RunCost cost = run_cost(chunks, generation.prompt_tokens(), config, read_model_shape(config.model.path), memory);
  summary["cost"] = to_json(cost);
  write_file_atomically(folder.path() / "cost.md", cost_markdown(cost));
  write_file_atomically(folder.path() / "text.txt", tokenizer.decode(generation.text(), true));
  folder.write_summary(summary, generation_markdown(chunks, record));
}

}  // namespace

void run_generation(const LoadedConfig& loaded, const std::filesystem::path& path, bool resume) {
  const Config& config = loaded.config;
  check_cost(config);
  const Machine machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_tokenizer(config.model);
  Llama model = open_model(config.model, machine);
  check_windows(config, model->config());
  std::optional<Json> snapshot;
  if (config.generate.from_snapshot) snapshot = read_snapshot(*config.generate.from_snapshot);
  const auto prompt = snapshot ? snapshot->at("state").at("text").get<std::vector<std::int64_t>>() : read_prompt(config, tokenizer, model->config());
  const std::string hash = weights_hash(*model);
  const Json record = run_record(loaded, machine, hash, tokenizer, prompt);

  // A branch's prompt was learnt when it was written.
  Config own = config;
  if (snapshot) own.generate.learn_prompt = false;
  Generation generation(*model, own, prompt, tokenizer.eos_id());
  if (snapshot) restore_snapshot(generation, *snapshot, *config.generate.from_snapshot, hash);
  RunFolder folder = resume ? RunFolder::resume(path, record) : RunFolder::create(path, record);
  if (folder.finished()) {
    log_line(fmt::format("{} is finished; its text:", path.string()));
    fmt::print("{}\n", read_file(path / "text.txt"));
    return;
  }
  if (folder.saved_state()) generation.restore(*folder.saved_state(), folder.saved_tensors());

  TextStream stream(tokenizer, generation.text());
  generation.on_token = [&](std::int64_t token) {
    const std::string part = stream.add(token);
    std::fwrite(part.data(), 1, part.size(), stdout);
    std::fflush(stdout);
  };
  if (!config.generate.stop.empty()) {
    constexpr std::int64_t kLookBack = 64;  // tokens in which a stop string is looked for
    generation.stop = [&](const std::vector<std::int64_t>& written) {
      const auto from = written.end() - std::min<std::ptrdiff_t>(std::ptrdiff_t(written.size()), kLookBack);
      const std::string recent = tokenizer.decode({from, written.end()}, true);
      return std::any_of(config.generate.stop.begin(), config.generate.stop.end(),
                         [&](const std::string& string) { return recent.find(string) != std::string::npos; });
    };
  }

  const auto save = [&] {
    folder.save_state(generation.state(), [&](const fs::path& file) { generation.save_tensors_to(file); });
  };
  std::int64_t done = 0;
  while (!generation.finished()) {
    WrittenChunk chunk = generation.step();
    chunk.record.text = tokenizer.decode(chunk.tokens, true);
    chunk.record.token_ids = chunk.tokens;
    folder.append_line("chunks.jsonl", to_json(chunk.record));
    ++done;
    const std::int64_t every = config.generate.snapshot_every_chunks;
    if (every > 0 && generation.next_chunk() % every == 0)
      write_snapshot(generation, path / "snapshots" / std::to_string(generation.next_chunk()), record);
    if (stop_requested() && !generation.finished()) {
      save();
      end_stopped(path);
    }
    if (done % config.run.save_every_chunks == 0) save();
  }
  std::fputs("\n", stdout);
  save();
  if (config.lora.save_final) generation.save_adapter(path / "adapters" / "0");
  finish(folder, own, record, hash, *model, tokenizer, generation);
  log_line(fmt::format("the text, its chunks and their table are in {}", path.string()));
}

}  // namespace templora
