#include "verify/verify.h"

#include "run/recall_record.h"
#include "verify/unverified_run.h"
#include "verify/verify_chunks.h"
#include "verify/verify_generation.h"
#include "verify/verify_pretrain.h"
#include "verify/verify_recall.h"
#include "verify/verify_state.h"
#include "verify/verify_tables.h"
#include "verify/verify_translation.h"

namespace templora {
namespace {

// A run whose summary has no costs was made before there were any.
KnownFiles with_cost(const UnverifiedRun& run, KnownFiles known) {
  if (run.summary && run.summary->contains("cost"))
    known.files.push_back("cost.md");
  else
    known.optional.push_back("cost.md");
  return known;
}

KnownFiles with_recall(const UnverifiedRun& run, KnownFiles known) {
  if (run.config->recall.facts == 0) return known;
  known.files.insert(known.files.end(), {kFactsName, "recall.json", "recall.md"});
  known.optional.emplace_back(kProbesName);  // where every book ends too early there are none
  return known;
}

void verify_kind(UnverifiedRun& run, Verification& v) {
  switch (run.config->experiment) {
    case ExperimentKind::perplexity:
      verify_files(
          run,
          with_recall(run, with_cost(run, {{"run.json", "books.jsonl", "chunks.jsonl", "table.md", "summary.json",
                                            "perplexity.svg"},
                                           {"lock", "nll", "state", "adapters"}})),
          v);
      read_records(run, v);
      verify_books(run, v);
      verify_chunks(run, v);
      verify_controls(run, v);
      verify_nll(run, v);
      verify_perplexity_tables(run, v);
      verify_recall(run, v);
      verify_weights(run, v);
      verify_adapters(run, run.books.size(), v);
      break;
    case ExperimentKind::translation:
      verify_files(
          run,
          with_cost(run, {{"run.json", "books.jsonl", "chunks.jsonl", "pairs.jsonl", "table.md", "summary.json"},
                          {"lock", "nll", "state", "adapters", "comet.jsonl"}}),
          v);
      read_records(run, v);
      verify_translation(run, v);
      verify_weights(run, v);
      verify_adapters(run, run.books.size(), v);
      break;
    case ExperimentKind::generation:
      verify_files(run,
                   with_cost(run, {{"run.json", "chunks.jsonl", "text.txt", "table.md", "summary.json"},
                                   {"lock", "nll", "state", "adapters", "snapshots"}}),
                   v);
      verify_generation(run, v);
      verify_weights(run, v);
      verify_adapters(run, 1, v);
      break;
    case ExperimentKind::pretrain:
      verify_files(run,
                   with_cost(run, {{"run.json", "steps.jsonl", "schedule.jsonl", "validation.jsonl", "table.md",
                                    "summary.json", "model"},
                                   {"lock", "nll", "state"}}),
                   v);
      verify_pretrain(run, v);
      break;
  }
  verify_states(run, v);
}

}  // namespace

Verification verify_run(const fs::path& folder) {
  Verification v;
  UnverifiedRun run = read_unverified_run(folder, v);
  if (!run.finished)
    v.remark(
        "unfinished: there is no summary.json: what was recorded so far is checked; go on with templora run --resume");
  verify_config(run, v);
  if (!run.config) return v;  // nothing else can be judged
  try {
    verify_kind(run, v);
  } catch (const nlohmann::json::exception& error) {  // a value of a type that no check expects
    v.found("record-fields", error.what());
  } catch (const Error& error) {
    v.found("record-fields", error.what());
  }
  return v;
}

}  // namespace templora
