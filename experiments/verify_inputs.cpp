#include "verify_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "config/config_fields.h"
#include "core/hash.h"
#include "cost/run_cost.h"
#include "cost/work.h"
#include "experiment/machine.h"
#include "experiment/recall.h"
#include "model/load.h"
#include "run/json_lines.h"
#include "run/run_data.h"
#include "run/run_folder.h"
#include "run/token_ids.h"
#include "text/books.h"
#include "text/novels.h"
#include "verify/unverified_run.h"

namespace templora {
namespace {

std::string recorded(const Json& run, const std::string& key) {
  const auto identity = run.find("identity");
  if (identity == run.end() || !identity->is_object() || !identity->contains(key) || !identity->at(key).is_string())
    return "";
  return identity->at(key).get<std::string>();
}

/// Compares one hash; `present` is a file without which there is nothing to compare with.
void compare_hash(const std::string& name, const fs::path& present, const std::string& wanted,
                  const std::function<std::string()>& hash, Verification& v) {
  v.check(name);
  if (wanted.empty()) return v.not_checked(name, "the run did not record it");
  if (!fs::exists(present)) return v.not_checked(name, fmt::format("{} is no longer there", present.string()));
  try {
    const std::string got = hash();
    v.expect(got == wanted, name,
             fmt::format("{}: got {}, wanted {}, as when the run was made: the file was changed", present.string(), got,
                         wanted));
  } catch (const Error& error) {
    v.found(name, error.what());
  }
}

std::vector<fs::path> still_there(const std::vector<std::string>& patterns) {
  std::vector<fs::path> paths;
  for (const std::string& pattern : patterns) try {
      for (const fs::path& path : expand_globs({pattern}, "."))
        if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
    } catch (const Error&) {  // what is gone is said book by book
      paths.emplace_back(pattern);
    }
  return paths;
}

/// The file of a record: the one at its place if that has its name, else the first one that has.
fs::path path_of(const std::vector<fs::path>& paths, const BookRecord& record) {
  const auto place = std::size_t(record.book_index);
  if (place < paths.size() && paths[place].filename() == record.book) return paths[place];
  for (const fs::path& path : paths)
    if (path.filename() == record.book) return path;
  return record.book;
}

/// score.keep_tokens: the kept ids are the text's.
void verify_ids(const fs::path& folder, const BookRecord& record, const Book& book, Verification& v) {
  if (!fs::exists(folder / token_ids_name(record.book_index))) return;
  std::vector<ChunkRecord> chunks;
  try {
    read_jsonl(folder / "chunks.jsonl", [&](const Json& json, const std::string& where) {
      chunks.push_back(chunk_record_from_json(json, where));
    });
  } catch (const Error&) {  // found by the checks of the folder
    return;
  }
  v.expect(read_token_ids(folder, record.book_index) == scored_ids(chunks, record.book_index, book.tokens), "token-ids",
           fmt::format("{}: got other ids than those of {}", token_ids_name(record.book_index), record.book));
}

/// facts.jsonl of a book: what its text and the seed give, at these tokens of it.
void verify_planting(const fs::path& folder, const BookRecord& record, const Planting& planting, const Json& run_record,
                     Verification& v) {
  v.check("planted-text");
  const std::string unplanted = recorded(run_record, fmt::format("unplanted_text_{}_hash", record.book_index));
  v.expect(unplanted == planting.unplanted_hash, "planted-text",
           fmt::format("run.json: identity: unplanted_text_{}_hash: got \"{}\", wanted {}, as {} has it",
                       record.book_index, unplanted, planting.unplanted_hash, record.book));
  std::vector<FactRecord> recorded_facts;
  try {
    for (FactRecord& fact : read_recall(folder).facts)
      if (fact.book_index == record.book_index) recorded_facts.push_back(std::move(fact));
  } catch (const Error&) {  // found by the checks of the folder
    return;
  }
  const std::vector<FactRecord> wanted = fact_records(planting, record.book, record.book_index);
  v.expect(recorded_facts.size() == wanted.size(), "planted-text",
           fmt::format("{}: {}: got {} facts, wanted {}", kFactsName, record.book, recorded_facts.size(),
                       wanted.size()));
  for (std::size_t f = 0; f < std::min(wanted.size(), recorded_facts.size()); ++f)
    v.expect(recorded_facts[f] == wanted[f], "planted-text",
             fmt::format("{}: {}: fact {}: got {}, wanted {}, as the text and the seed give", kFactsName, record.book,
                         f, to_json(recorded_facts[f]).dump(), to_json(wanted[f]).dump()));
}

void verify_books(const std::string& folder, const Config& config, const Json& run_record, Verification& v) {
  v.check({"text-file", "text-tokens"});
  std::vector<BookRecord> records;
  try {
    read_jsonl(fs::path(folder) / "books.jsonl", [&](const Json& json, const std::string& where) {
      records.push_back(book_record_from_json(json, where));
    });
  } catch (const Error&) {  // found by the checks of the folder
  }
  const bool novels = config.experiment == ExperimentKind::translation;
  const std::vector<fs::path> paths = still_there(novels ? config.data.novels : config.data.books);
  std::optional<Tokenizer> tokenizer;
  if (!novels) try {
      tokenizer.emplace(open_tokenizer(config.model));
    } catch (const Error& error) {
      for (const char* name : {"text-file", "text-tokens"}) v.not_checked(name, error.what());
      return;
    }
  for (const BookRecord& record : records) {
    const fs::path path = path_of(paths, record);
    if (!fs::exists(path)) {
      for (const char* name : {"text-file", "text-tokens"})
        v.not_checked(name, fmt::format("{} is no longer there", record.book));
      continue;
    }
    try {
      Book book;
      std::optional<Planting> planting;
      if (novels) {
        book.text_hash =
            read_novel(path, std::string(enum_name(config.translation.context)), config.data.max_chunks).text_hash;
      } else {
        RunBook read = read_run_book(path, *tokenizer, config, record.book_index);
        book = std::move(read.book);
        if (config.data.swap_names) {
          const std::string name = fmt::format("unswapped_text_{}_hash", record.book_index);
          v.expect(recorded(run_record, name) == book.source(), "text-file",
                   fmt::format("run.json: identity: {}: got \"{}\", wanted {}, as {} has it", name,
                               recorded(run_record, name), book.source(), record.book));
        }
        planting = std::move(read.planting);
      }
      if (!v.expect(book.text_hash == record.text_hash, "text-file",
                    fmt::format("{}: got {}, wanted {}: the text was changed after the run", path.string(),
                                book.text_hash, record.text_hash)) ||
          novels)
        continue;
      v.expect(
          std::int64_t(book.tokens.size()) == record.tokens && book.words == record.words &&
              book.text_bytes == record.text_bytes,
          "text-tokens",
          fmt::format("{}: got {} tokens, {} words, {} bytes, wanted {}, {}, {} as in books.jsonl", path.string(),
                      book.tokens.size(), book.words, book.text_bytes, record.tokens, record.words, record.text_bytes));
      verify_ids(folder, record, book, v);
      if (planting) verify_planting(folder, record, *planting, run_record, v);
    } catch (const Error& error) {
      v.found("text-file", error.what());
    }
  }
}

/// The texts that controls learn from, in the order of their patterns.
void verify_control_texts(const Config& config, const Json& run_record, Verification& v) {
  v.check("control-text-file");
  const std::vector<fs::path> paths = still_there(config.data.control_books);
  const std::vector<std::string> hashes = recorded_control_hashes(run_record);
  if (paths.size() != hashes.size())  // then places do not tell which is which
    return v.not_checked("control-text-file",
                         fmt::format("data.control_books names {} files, the run had {}", paths.size(), hashes.size()));
  std::optional<Tokenizer> tokenizer;
  try {
    tokenizer.emplace(open_tokenizer(config.model));
  } catch (const Error& error) {
    return v.not_checked("control-text-file", error.what());
  }
  for (std::size_t i = 0; i < paths.size(); ++i)
    compare_hash(
        "control-text-file", paths[i], hashes[i],
        [&] { return read_control_book(paths[i], *tokenizer, config).text_hash; }, v);
}

std::string hash_of_weights(const ModelConfig& model, const std::string& path) {
  Llama llama = load_llama(path, model.dtype == Dtype::bfloat16 ? at::kBFloat16 : at::kFloat, at::Device(at::kCPU),
                           model.rope_scaling);
  return weights_hash(*llama);
}

RunCost counted_again(const fs::path& folder, const Config& config, const ModelShape& shape, const Json& summary,
                      const std::vector<PairRecord>& pairs) {
  switch (config.experiment) {
    case ExperimentKind::perplexity: {
      const RunData data = read_run(folder);
      return run_cost(data, perplexity_table(data), config, shape, {});
    }
    case ExperimentKind::translation:
      return run_cost(pairs, read_segments(folder), summary.at("phase_seconds"), config, shape, {});
    case ExperimentKind::generation: return run_cost(read_generation(folder), config, shape, {});
    case ExperimentKind::pretrain: break;
  }
  return run_cost(config, shape, summary.at("tokens").get<std::int64_t>(), read_step_seconds(folder), {});
}

/// Whether a translation's pairs say how much of their prompts was computed; older runs' do not.
bool has_read_tokens(const std::vector<PairRecord>& pairs) {
  std::int64_t prompts = 0, read = 0;
  for (const PairRecord& pair : pairs) {
    prompts += pair.base_prompt_tokens + pair.lora_prompt_tokens;
    read += pair.base_read_tokens + pair.lora_read_tokens;
  }
  return read > 0 || prompts == 0;
}

/// What does not follow from the records and the model's sizes: the memory that a process used; and what section cost
/// decides, which is no part of a run's identity, so that a resume may have changed it.
void drop_unchecked(Json& cost) {
  for (const char* name : {"peak_rss_bytes", "peak_device_bytes", "device", "references", "paper", "formulas"})
    cost.erase(name);
  for (Json& phase : cost.at("phases"))
    for (const char* name : {"peak_rss_bytes", "peak_device_bytes", "floor_seconds"}) phase.erase(name);
}

/// Predicted work and summed seconds.
void verify_cost(const fs::path& folder, const Config& config, Verification& v) {
  if (!fs::exists(folder / "summary.json")) return;
  v.check("cost");
  if (config.generate.from_snapshot) return v.not_checked("cost", "a branch counts from its snapshot");
  const fs::path model = config.experiment == ExperimentKind::pretrain ? folder / "model" : fs::path(config.model.path);
  if (!fs::exists(model / "config.json"))
    return v.not_checked("cost", fmt::format("{} is no longer there", (model / "config.json").string()));
  try {
    const Json summary = parse_json(read_file(folder / "summary.json"), "summary.json");
    if (!summary.contains("cost")) return v.not_checked("cost", "the run did not record it");
    const Json formulas = summary.at("cost").value("formulas", Json(1));
    if (formulas != kCostFormulas)
      return v.not_checked("cost", fmt::format("the run counted by formulas {}, this version by {}",
                                               printable(formulas.dump(), 20), kCostFormulas));
    const bool translation = config.experiment == ExperimentKind::translation;
    const std::vector<PairRecord> pairs = translation ? read_pairs(folder) : std::vector<PairRecord>{};
    if (translation && !has_read_tokens(pairs))
      return v.not_checked("cost", "the run did not record how much of each prompt it computed");
    Config counted = config;
    counted.cost = {};
    Json wanted = to_json(counted_again(folder, counted, read_model_shape(model), summary, pairs));
    drop_unchecked(wanted);
    const std::string difference = first_difference(summary.at("cost"), wanted);
    v.expect(difference.empty(), "cost",
             "summary.json: cost: " + difference + ", as the records and the model's sizes give");
  } catch (const std::exception& error) {
    v.not_checked("cost", fmt::format("the records do not fit together: {}", printable(error.what(), 1000)));
  }
}

}  // namespace

std::vector<std::string> recorded_control_hashes(const Json& run_record) {
  std::vector<std::string> hashes;
  for (std::string hash; !(hash = recorded(run_record, fmt::format("control_text_{}_hash", hashes.size()))).empty();)
    hashes.push_back(hash);
  return hashes;
}

void verify_inputs(const std::string& folder, const Config& config, const Json& run_record, Verification& v) {
  verify_cost(folder, config, v);
  const fs::path model = config.model.path, tokenizer = config.model.tokenizer.value_or(config.model.path);
  compare_hash(
      "tokenizer-file", tokenizer, recorded(run_record, "tokenizer_hash"),
      [&] { return open_tokenizer(config.model).hash(); }, v);
  if (config.experiment == ExperimentKind::pretrain) {
    const fs::path made = fs::path(folder) / "model";
    std::string wanted;
    try {
      wanted = parse_json(read_file(fs::path(folder) / "summary.json"), "summary.json")
                   .at("weights_hash")
                   .get<std::string>();
    } catch (const std::exception&) {  // unfinished, or found by the checks of the folder
    }
    compare_hash(
        "weights-file", made / "config.json", wanted, [&] { return hash_of_weights(config.model, made.string()); }, v);
    return;
  }
  compare_hash(
      "model-config-file", model / "config.json", recorded(run_record, "model_config_hash"),
      [&] { return hash_hex(read_file(model / "config.json")); }, v);
  compare_hash(
      "weights-file", model / "config.json", recorded(run_record, "weights_hash"),
      [&] { return hash_of_weights(config.model, config.model.path); }, v);
  if (config.lora.init_from) {
    const fs::path adapter = fs::path(*config.lora.init_from) / "adapter_model.safetensors";
    compare_hash(
        "init-from-file", adapter, recorded(run_record, "init_from_hash"), [&] { return hash_hex(read_file(adapter)); },
        v);
  }
  if (config.experiment != ExperimentKind::generation) verify_books(folder, config, run_record, v);
  if (!config.control.empty()) verify_control_texts(config, run_record, v);
}

}  // namespace templora
