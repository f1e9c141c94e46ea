#include "pretrain.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "commands.h"
#include "config/config_inputs.h"
#include "core/log.h"
#include "core/stop.h"
#include "experiment/machine.h"
#include "experiment/memory_peaks.h"
#include "experiment/phase_timer.h"
#include "experiment/token_corpus.h"
#include "metrics/derived.h"
#include "model/load.h"
#include "model/tensors.h"
#include "plan/learning_rates.h"
#include "report/pretrain_table.h"
#include "run/run_data.h"
#include "run/run_folder.h"
#include "run/run_state.h"
#include "run_loop.h"
#include "run_place.h"
#include "run_record.h"
#include "train/pretrainer.h"

namespace templora {
namespace {

LlamaConfig model_shape(const PretrainConfig& p, std::int64_t vocab) {
  LlamaConfig shape;
  shape.vocab_size = vocab;
  shape.hidden_size = p.hidden;
  shape.ffn_size = p.ffn;
  shape.layers = p.layers;
  shape.heads = p.heads;
  shape.kv_heads = *p.kv_heads;
  shape.head_dim = p.hidden / p.heads;
  shape.max_positions = p.sequence_tokens;
  shape.rms_norm_eps = p.rms_norm_eps;
  shape.rope.theta = p.rope_theta;
  shape.tied_embeddings = p.tied_embeddings;
  return shape;
}

// Sequence i is tokens [i · length, i · length + length + 1): every token but the first is predicted once.
std::int64_t sequence_count(const TokenCorpus& corpus, std::int64_t length) {
  return std::max<std::int64_t>(0, (std::int64_t(corpus.tokens.size()) - 1) / length);
}

at::Tensor sequences_of(const TokenCorpus& corpus, const std::vector<std::int64_t>& indices, std::int64_t length) {
  at::Tensor out = at::empty({std::int64_t(indices.size()), length + 1}, at::TensorOptions(at::kLong));
  std::int64_t* to = out.mutable_data_ptr<std::int64_t>();
  for (const std::int64_t index : indices) {
    const auto first = corpus.tokens.begin() + index * length;
    to = std::copy(first, first + length + 1, to);
  }
  return out;  // [indices, length + 1]
}

struct Corpora {
  TokenCorpus training, validation;
};

Corpora read_corpora(const Config& config, const Tokenizer& tokenizer) {
  const std::vector<fs::path> books = without(expand_globs(config.data.books, "."), config.data.exclude);
  const std::vector<fs::path> held_out = expand_globs(config.data.validation, ".");
  for (const fs::path& book : books)
    for (const fs::path& other : held_out)
      if (fs::equivalent(book, other))
        throw Error(Exit::usage,
                    fmt::format("data.validation: {} is among the training books too; name it in data.exclude",
                                other.string()));
  std::optional<fs::path> cache;
  if (config.pretrain.token_cache) cache = *config.pretrain.token_cache;
  Corpora corpora{read_corpus(books, tokenizer, config.data.strip, cache),
                  read_corpus(held_out, tokenizer, config.data.strip, cache)};
  std::map<std::string, fs::path> book_of;  // a copy has another name or lies elsewhere: what it holds gives it away
  for (std::size_t i = 0; i < books.size(); ++i) book_of.emplace(corpora.training.text_hashes[i], books[i]);
  for (std::size_t i = 0; i < held_out.size(); ++i)
    if (const auto book = book_of.find(corpora.validation.text_hashes[i]); book != book_of.end())
      throw Error(
          Exit::usage,
          fmt::format("data.validation: {} holds the same text as {} among the training books, wanted texts that "
                      "are not learnt; name that book in data.exclude",
                      held_out[i].string(), book->second.string()));
  const auto require_sequence = [&](const TokenCorpus& corpus, const char* key) {
    if (sequence_count(corpus, config.pretrain.sequence_tokens) == 0)
      throw Error(Exit::bad_input,
                  fmt::format("{}: {} texts hold {} tokens, wanted more than pretrain.sequence_tokens = {}; give "
                              "more text",
                              key, corpus.texts, corpus.tokens.size(), config.pretrain.sequence_tokens));
  };
  require_sequence(corpora.training, "data.books");
  require_sequence(corpora.validation, "data.validation");
  log_line(fmt::format("training: {} texts, {} tokens; validation: {} texts, {} tokens", corpora.training.texts,
                       corpora.training.tokens.size(), corpora.validation.texts, corpora.validation.tokens.size()));
  return corpora;
}

Json run_record(const LoadedConfig& loaded, const Machine& machine, const Tokenizer& tokenizer, const Corpora& corpora,
                std::int64_t steps) {
  Json identity{{"config_hash", loaded.hash},
                {"tokenizer_hash", tokenizer.hash()},
                {"training_hash", corpora.training.hash},
                {"validation_hash", corpora.validation.hash}};
  identity.update(identity_of(machine));
  return Json{{"templora_version", TEMPLORA_VERSION},
              {"config", loaded.effective},
              {"identity", identity},
              {"steps", steps},
              {"training_tokens", corpora.training.tokens.size()},
              {"validation_tokens", corpora.validation.tokens.size()},
              {"processor", machine.device_name}};
}

// The tokenizer's files, name and content, as they were when the texts were cut: hours later they may be others.
using TokenizerFiles = std::map<std::string, std::string>;

TokenizerFiles read_tokenizer_files(const fs::path& path) {
  if (!fs::is_directory(path)) {
    const std::string bytes = read_file(path);
    return {{is_tokenizer_json(bytes) ? "tokenizer.json" : "tokenizer.model", bytes}};
  }
  TokenizerFiles files;
  for (const char* name : kTokenizerFiles)
    if (fs::exists(path / name)) files[name] = read_file(path / name);
  return files;
}

void write_model(LlamaImpl& model, const Tokenizer& tokenizer, const TokenizerFiles& files, const fs::path& folder) {
  remove_leftovers(folder, "*.tmp-*");  // a killed process's; nobody else writes here while the run folder is locked
  save_llama(model, folder);
  for (const auto& [name, content] : files) write_file_atomically(folder / name, content);
  const auto id_or_null = [](std::int64_t id) { return id < 0 ? Json() : Json(id); };
  const Json generation{{"bos_token_id", id_or_null(tokenizer.bos_id())},
                        {"eos_token_id", id_or_null(tokenizer.eos_id())},
                        {"max_length", model.config().max_positions}};
  write_file_atomically(folder / "generation_config.json", dump_json_pretty(generation, "generation_config.json"));
}

std::int64_t step_tokens(const PretrainConfig& p) { return p.batch_sequences * p.sequence_tokens; }

std::int64_t step_count(const PretrainConfig& p, const TokenCorpus& training) {
  const double tokens =
      p.tokens ? double(*p.tokens) : p.passes * double(sequence_count(training, p.sequence_tokens) * p.sequence_tokens);
  return std::max<std::int64_t>(1, std::int64_t(tokens / double(step_tokens(p))));
}

// One training: what the loop below works on.
class Training {
 public:
  Training(const LoadedConfig& loaded, const RunPlace& place)
      : config_(loaded.config),
        p_(config_.pretrain),
        machine_(set_up_machine(config_.model, config_.run)),
        tokenizer_(open_tokenizer(config_.model)),
        tokenizer_files_(read_tokenizer_files(*config_.model.tokenizer)),
        corpora_(read_corpora(config_, tokenizer_)),
        steps_(step_count(p_, corpora_.training)),
        order_(sequence_count(corpora_.training, p_.sequence_tokens), std::uint64_t(config_.seed)),
        progress_(steps_ * step_tokens()),
        trainer_owner_(new_pretrainer(config_, tokenizer_.size(), machine_)),
        trainer_(*trainer_owner_),
        folder_(open_folder(loaded, place)) {
    if (folder_.finished()) reopen_if_longer();
    if (folder_.finished()) return;
    if (folder_.saved_state()) restore(*folder_.saved_state(), folder_.saved_tensors());
    // The length may be changed on the way; the record says what the schedule was from which step on. Where no step is
    // left it says nothing: no further state would count the line.
    if (step_ < steps_)
      folder_.append_line("schedule.jsonl",
                          Json{{"after_step", step_}, {"steps", steps_}, {"tokens", steps_ * step_tokens()}});
  }

  void run() {
    if (folder_.finished()) return show_finished(folder_, "table", "table.md");
    while (step_ < steps_) {
      take_step();
      const bool last = step_ == steps_;
      if (!last && step_ % p_.validate_every_steps == 0) validate(p_.validation_tokens);
      if (stop_requested() && !last) {
        save();
        end_stopped(folder_.path());
      }
      if (last || step_ % p_.save_every_steps == 0) save();
    }
    finish();
  }

 private:
  std::int64_t step_tokens() const { return templora::step_tokens(p_); }

  RunFolder open_folder(const LoadedConfig& loaded, const RunPlace& place) const {
    Json record = run_record(loaded, machine_, tokenizer_, corpora_, steps_);
    describe(place, steps_ * step_tokens(), record);
    return open_run_folder(place.folder, record, loaded, place.resume);
  }

  // A finished training goes on where it is asked for more steps than it had.
  void reopen_if_longer() {
    const std::string where = (folder_.path() / "summary.json").string();
    const Json summary = parse_json(read_file(where), where);
    const auto had = summary.is_object() ? summary.find("steps") : summary.end();
    if (had == summary.end() || !had->is_number_integer())
      throw Error(Exit::bad_input,
                  fmt::format("{}: steps: got none, wanted the number of steps of a finished training; was the file "
                              "changed?",
                              where));
    if (steps_ <= had->get<std::int64_t>()) return;
    folder_.reopen();
    log_line(fmt::format("{} was finished after {} steps; asked for {}, it goes on", folder_.path().string(),
                         had->get<std::int64_t>(), steps_));
  }

  void take_step() {
    PhaseTimer timer(machine_.device);
    std::vector<std::int64_t> indices;
    for (std::int64_t i = 0; i < p_.batch_sequences; ++i) indices.push_back(order_.at(step_ * p_.batch_sequences + i));
    const double rate = pretraining_rate(p_, step_ + 1, steps_);
    const at::Tensor sequences = sequences_of(corpora_.training, indices, p_.sequence_tokens);
    timer.mark("read");
    trainer_.on_part = [&](const char* part) { timer.mark(part); };
    const PretrainStep done = trainer_.step(sequences, rate);
    trainer_.on_part = nullptr;
    if (!std::isfinite(done.loss) || !std::isfinite(done.grad_norm))
      throw Error(
          Exit::numerics,
          fmt::format(
              "step {}: the loss is {}, the gradient's norm {}; {}", step_ + 1, done.loss, done.grad_norm,
              step_ > 0 ? "lower pretrain.learning_rate, or use model.dtype float32"
                        : "no step was made before it, so that the learning rate has no part in it: look at "
                          "the model's shape in section pretrain, or use model.dtype float32"));
    ++step_;
    const std::map<std::string, double> phases = timer.seconds();
    double seconds = 0;
    for (const auto& [phase, spent] : phases) seconds += spent;
    folder_.append_line("steps.jsonl", Json{{"step", step_},
                                            {"tokens", step_ * step_tokens()},
                                            {"loss", done.loss},
                                            {"learning_rate", rate},
                                            {"grad_norm", done.grad_norm},
                                            {"seconds", seconds},
                                            {"phase_seconds", phases}});
    recent_loss_ = recent_loss_ ? 0.98 * *recent_loss_ + 0.02 * done.loss : done.loss;
    progress_.update(step_ * step_tokens(),
                     fmt::format("step {}/{} loss {:.3f}{}", step_, steps_, *recent_loss_, validation_label_));
  }

  // Reads sequences spread evenly over the held-out texts.
  Json validate(std::int64_t tokens) {
    const std::int64_t all = sequence_count(corpora_.validation, p_.sequence_tokens);
    const std::int64_t count = std::clamp<std::int64_t>(tokens / p_.sequence_tokens, 1, all);
    double nll = 0;
    for (std::int64_t first = 0; first < count; first += p_.batch_sequences) {
      std::vector<std::int64_t> indices;
      for (std::int64_t i = first; i < std::min(count, first + p_.batch_sequences); ++i)
        indices.push_back(i * all / count);
      nll += trainer_.total_nll(sequences_of(corpora_.validation, indices, p_.sequence_tokens));
    }
    const double mean = nll / double(count * p_.sequence_tokens);
    const double tokens_per_byte = double(corpora_.validation.tokens.size()) / double(corpora_.validation.text_bytes);
    const Json record{{"step", step_},
                      {"tokens", step_ * step_tokens()},
                      {"scored_tokens", count * p_.sequence_tokens},
                      {"nll", mean},
                      {"perplexity", optional_json(perplexity_of(mean))},
                      {"bits_per_byte", mean / std::numbers::ln2 * tokens_per_byte}};
    folder_.append_line("validation.jsonl", record);
    validation_label_ =
        fmt::format(" validation {:.3f} ({:.3f} bits/byte)", mean, record["bits_per_byte"].get<double>());
    return record;
  }

  void save() {
    folder_.save_state(Json{{"step", step_}}, [&](const fs::path& file) { save_tensors(file, trainer_.state()); });
    if (step_ < steps_) save_model();  // the last one finish() writes, also for a process that was killed before it did
  }

  void save_model() { write_model(trainer_.model(), tokenizer_, tokenizer_files_, folder_.path() / "model"); }

  void restore(const Json& state, const fs::path& file) {
    step_ = state.at("step").get<std::int64_t>();
    if (step_ < 0 || step_ > steps_)
      throw Error(Exit::usage,
                  fmt::format("{}: step: got {}, wanted 0 to {}, the steps of this run; raise pretrain.tokens or "
                              "pretrain.passes",
                              file.string(), step_, steps_));
    const SafetensorsFiles files = SafetensorsFiles::open_file(file);
    for (const auto& [name, tensor] : trainer_.state()) copy_stored(files, name, tensor);
    trainer_.refresh();
    log_line(fmt::format("goes on after step {} of {}", step_, steps_));
  }

  void finish() {
    save_model();  // before summary.json, which names its weights
    const Json validation = validate(std::int64_t(corpora_.validation.tokens.size()));
    const MeasuredMemory memory = measured_memory(machine_.device);
    const RunCost cost = run_cost(config_, pretrain_shape(p_, tokenizer_.size()), steps_ * step_tokens(),
                                  read_step_seconds(folder_.path()), memory);
    Json summary{{"steps", steps_},
                 {"tokens", steps_ * step_tokens()},
                 {"passes", double(steps_ * step_tokens()) / double(corpora_.training.tokens.size())},
                 {"weights_hash", weights_hash(trainer_.model())},
                 {"validation", validation}};
    record_cost(folder_, cost, memory, summary);
    const std::string table = pretrain_markdown(steps_ * step_tokens(), summary["passes"].get<double>(), validation);
    folder_.write_summary(summary, table);
    show_result(table);
  }

  const Config& config_;
  const PretrainConfig& p_;
  Machine machine_;
  Tokenizer tokenizer_;
  TokenizerFiles tokenizer_files_;
  Corpora corpora_;
  std::int64_t steps_;
  SequenceOrder order_;
  Progress progress_;
  std::unique_ptr<Pretrainer> trainer_owner_;
  Pretrainer& trainer_;
  RunFolder folder_;  // made once all that may not fit is there
  std::int64_t step_ = 0;
  std::optional<double> recent_loss_;
  std::string validation_label_;
};

}  // namespace

std::unique_ptr<Pretrainer> new_pretrainer(const Config& config, std::int64_t vocab, const Machine& machine) {
  const PretrainConfig& p = config.pretrain;
  const PretrainerOptions options{
      machine.device.is_cpu() ? std::min(machine.threads, p.batch_sequences / p.micro_sequences) : 1, p.micro_sequences,
      AdamOptions{p.adam_beta1, p.adam_beta2, p.adam_eps, p.weight_decay, p.clip_norm}};
  return std::make_unique<Pretrainer>(model_shape(p, vocab),
                                      config.model.dtype == Dtype::bfloat16 ? at::kBFloat16 : at::kFloat,
                                      machine.device, options, std::uint64_t(config.seed), p.init_std);
}

PretrainLength pretrain_length(const Config& config, const Tokenizer& tokenizer) {
  Config reading = config;
  reading.pretrain.token_cache.reset();  // which would be written
  const Corpora corpora = read_corpora(reading, tokenizer);
  const std::int64_t steps = step_count(config.pretrain, corpora.training);
  return {std::int64_t(corpora.training.tokens.size()), std::int64_t(corpora.validation.tokens.size()), steps,
          steps * step_tokens(config.pretrain)};
}

void run_pretrain(const LoadedConfig& config, const RunPlace& place) {
  check_cost(config.config);
  Training(config, place).run();
}

}  // namespace templora
