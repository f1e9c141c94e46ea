#include "generation.h"

#include <fmt/format.h>

#include <algorithm>

#include "commands.h"
#include "config/config_fields.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/stop.h"
#include "cost/run_cost.h"
#include "experiment/generation.h"
#include "experiment/machine.h"
#include "experiment/memory_peaks.h"
#include "model/load.h"
#include "plan/cache_plan.h"
#include "report/generation_table.h"
#include "run/run_data.h"
#include "run/run_folder.h"
#include "run_loop.h"
#include "run_place.h"
#include "run_record.h"
#include "text/stop_strings.h"
#include "text/text_stream.h"

namespace templora {
namespace {

std::vector<std::int64_t> read_prompt(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model) {
  const GenerateConfig& g = config.generate;
  std::vector<std::int64_t> prompt = tokenizer.encode(g.prompt ? *g.prompt : read_file(*g.prompt_file), false);
  if (tokenizer.adds_bos()) prompt.insert(prompt.begin(), tokenizer.bos_id());
  if (prompt.empty())
    throw Error(Exit::bad_input, "generate.prompt: got no token, wanted at least one; write some text");
  check_ids(prompt, "generate.prompt", model);
  return prompt;
}

Json run_record(const LoadedConfig& loaded, const Machine& machine, const std::string& weights,
                const Tokenizer& tokenizer, const std::vector<std::int64_t>& prompt) {
  Json record = run_record(loaded, machine, weights, tokenizer, {}, {});
  record["identity"]["prompt_hash"] = hash_hex(Json(prompt).dump());
  record["prompt_tokens"] = prompt;
  return record;
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

/// A snapshot's state.json, with what is asked of it before a model goes on from there.
struct GenerationSnapshot {
  fs::path folder;
  Json json;
  std::vector<std::int64_t> text;  ///< prompt included
  std::int64_t prompt_tokens = 0;

  std::int64_t written() const { return std::int64_t(text.size()) - prompt_tokens; }
};

GenerationSnapshot read_snapshot(const fs::path& folder) {
  const std::string file = (folder / kSnapshotState).string();
  const auto require = [&](bool good, const char* problem) {
    if (!good) throw Error(Exit::bad_input, fmt::format("{}: {}; is it damaged?", file, problem));
  };
  GenerationSnapshot snapshot;
  snapshot.folder = folder;
  snapshot.json = parse_json(read_file(file), file);
  const Json& json = snapshot.json;
  require(json.is_object() && json.contains("weights_hash") && json.contains("tokenizer_hash") &&
              json.contains("state") && json.at("state").is_object() && json.at("state").contains("text") &&
              json.at("state").contains("prompt_tokens"),
          "got no snapshot, wanted a folder snapshots/<chunk> of a generation");
  const Json &text = json.at("state").at("text"), &prompt_tokens = json.at("state").at("prompt_tokens");
  require(text.is_array() && !text.empty(), "state.text: got no token, wanted an array of at least one");
  for (const Json& id : text) {
    require(id.is_number_integer() && id.get<std::int64_t>() >= 0,
            "state.text: got what is no token, wanted integers from 0");
    snapshot.text.push_back(id.get<std::int64_t>());
  }
  require(prompt_tokens.is_number_integer() && prompt_tokens.get<std::int64_t>() >= 1 &&
              prompt_tokens.get<std::int64_t>() <= std::int64_t(snapshot.text.size()),
          "state.prompt_tokens: wanted an integer from 1 to the number of tokens in state.text");
  snapshot.prompt_tokens = prompt_tokens.get<std::int64_t>();
  return snapshot;
}

// What makes a branch impossible and can be known without the adapter.
void check_snapshot(const GenerationSnapshot& snapshot, const Config& config, const LlamaConfig& model) {
  check_ids(snapshot.text, (snapshot.folder / kSnapshotState).string() + ": state.text", model);
  if (snapshot.written() >= config.generate.tokens)
    throw Error(Exit::usage,
                fmt::format("generate.from_snapshot: the snapshot has {} of generate.tokens {}; raise generate.tokens",
                            snapshot.written(), config.generate.tokens));
}

void restore_snapshot(Generation& generation, const GenerationSnapshot& snapshot, const std::string& weights,
                      const std::string& tokenizer) {
  if (snapshot.json.at("weights_hash") != weights)
    throw Error(Exit::bad_input, fmt::format("{}: it was made with another model; name that model in model.path",
                                             snapshot.folder.string()));
  if (snapshot.json.at("tokenizer_hash") != tokenizer)
    throw Error(Exit::bad_input,
                fmt::format("{}: it was made with another tokenizer; name that tokenizer in model.tokenizer",
                            snapshot.folder.string()));
  try {
    generation.restore(snapshot.json.at("state"), snapshot.folder / kSnapshotTensors);
  } catch (const nlohmann::json::exception& error) {
    throw Error(Exit::bad_input, fmt::format("{}: {}: {}; is it of another version or kind of run?",
                                             snapshot.folder.string(), kSnapshotState, error.what()));
  }
  generation.go_on();  // where a stop string ended the snapshot's text, the branch is what comes behind it
}

// What of the prompt has no part in the text that follows.
void log_cut_prompt(const Config& config, std::int64_t prompt_tokens) {
  CachePlan plan(config);
  plan.open(prompt_tokens, std::min(config.generate.tokens, config.window.chunk_tokens));
  if (plan.visible() >= prompt_tokens) return;
  const bool learns = config.score.adapter && config.train.enabled;
  log_line(
      fmt::format("the prompt has {} tokens, of which the first chunk sees {} (cache.policy \"{}\"), and the others "
                  "have no part in "
                  "the text{}",
                  prompt_tokens, plan.visible(), enum_name(config.cache.policy),
                  learns ? "; with generate.learn_prompt true the module learns them all" : ""));
}

void finish(RunFolder& folder, const Config& config, const Json& record, const std::string& hash_before,
            LlamaImpl& model, const Tokenizer& tokenizer, const Generation& generation) {
  const Json weights = unchanged_weights(model, hash_before);
  const std::vector<GenerationRecord> chunks = read_generation(folder.path());
  Json summary = generation_summary(chunks);
  summary.update(weights);
  const MeasuredMemory memory = measured_memory(model.options().device());
  record_cost(folder, run_cost(chunks, config, read_model_shape(config.model.path), memory), memory, summary);
  write_file_atomically(folder.path() / "text.txt", tokenizer.decode(generation.text(), true));
  folder.write_summary(summary, generation_markdown(chunks, record));
}

}  // namespace

GenerationStart read_start(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model) {
  if (!config.generate.from_snapshot) return {read_prompt(config, tokenizer, model), 0};
  const GenerationSnapshot snapshot = read_snapshot(*config.generate.from_snapshot);
  check_snapshot(snapshot, config, model);
  return {snapshot.text, snapshot.written()};
}

void run_generation(const LoadedConfig& loaded, const RunPlace& place) {
  const fs::path& path = place.folder;
  const bool resume = place.resume;
  const Config& config = loaded.config;
  check_cost(config);
  const Machine machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_run_tokenizer(config.model);
  const StopStrings stops(tokenizer, config.generate.stop, tokenizer.eos_id());
  Llama model = open_model(config.model, machine);
  check_windows(config, model->config());
  std::optional<GenerationSnapshot> snapshot;
  if (config.generate.from_snapshot) {
    snapshot = read_snapshot(*config.generate.from_snapshot);
    check_snapshot(*snapshot, config, model->config());
  }
  const std::vector<std::int64_t> prompt = snapshot ? snapshot->text : read_prompt(config, tokenizer, model->config());
  const std::string hash = weights_hash(*model);
  Json record = run_record(loaded, machine, hash, tokenizer, prompt);
  describe(place, config.generate.tokens - (snapshot ? snapshot->written() : 0), record);

  // A branch's prompt was learnt when it was written.
  Config own = config;
  if (snapshot) own.generate.learn_prompt = false;
  Generation generation(*model, own, prompt, tokenizer.eos_id());
  if (snapshot) restore_snapshot(generation, *snapshot, hash, tokenizer.hash());
  RunFolder folder = open_run_folder(path, record, loaded, resume);
  if (folder.finished()) {
    show_finished(folder, "text", "text.txt");
    return show_result("\n");
  }
  if (folder.saved_state())
    generation.restore(*folder.saved_state(), folder.saved_tensors());
  else if (!snapshot && !own.generate.learn_prompt)
    log_cut_prompt(config, generation.prompt_tokens());
  if (own.generate.learn_prompt) {
    Progress progress(generation.prompt_tokens());
    std::int64_t learnt = 0;
    generation.learn_prompt([&](std::int64_t tokens) {
      progress.update(tokens, "of the prompt learnt");
      between_chunks(folder, config, generation, ++learnt);
    });
  }

  TextStream stream(tokenizer, generation.text());
  generation.on_token = [&](std::int64_t token) {
    const std::string part = stream.add(token);
    std::fwrite(part.data(), 1, part.size(), stdout);
    std::fflush(stdout);
  };
  if (!config.generate.stop.empty())
    generation.stop = [&, old = snapshot ? snapshot->written() : 0](const std::vector<std::int64_t>& written) {
      return stops.met(written, old);
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
    if (!generation.finished()) between_chunks(folder, config, generation, done);
  }
  std::fputs("\n", stdout);
  save_stream(folder, generation);
  if (config.lora.save_final) generation.save_adapter(path / "adapters" / "0");
  finish(folder, own, record, hash, *model, tokenizer, generation);
  log_line(fmt::format("the text, its chunks and their table are in {}", path.string()));
}

}  // namespace templora
