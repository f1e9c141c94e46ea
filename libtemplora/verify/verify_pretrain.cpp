#include "verify/verify_pretrain.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "metrics/derived.h"
#include "plan/learning_rates.h"
#include "report/pretrain_table.h"

namespace templora {
namespace {

void check_pretrain(const UnverifiedRun& run, Verification& v) {
  const PretrainConfig& p = run.config->pretrain;
  const std::vector<RecordLine> steps = read_lines(run, "steps.jsonl", v),
                                looks = read_lines(run, "validation.jsonl", v),
                                plan = read_lines(run, "schedule.jsonl", v);
  const std::int64_t step_tokens = p.batch_sequences * p.sequence_tokens;
  std::int64_t count = 0;
  for (const RecordLine& line : steps) {
    const std::int64_t step = line.json.at("step");
    v.expect(step == ++count, "step-order", fmt::format("{}: got step {}, wanted {}", line.where, step, count));
    v.expect(
        line.json.at("tokens") == step * step_tokens, "step-order",
        fmt::format("{}: tokens: got {}, wanted {}", line.where, line.json.at("tokens").dump(), step * step_tokens));
    v.expect(line.json.at("loss").get<double>() >= 0 && line.json.at("grad_norm").get<double>() >= 0, "training-values",
             fmt::format("{}: got a loss or gradient norm below 0", line.where));
    v.expect(line.json.at("seconds").get<double>() >= 0, "seconds",
             fmt::format("{}: seconds: got {}", line.where, line.json.at("seconds").dump()));
    std::int64_t all = run.run.value("steps", std::int64_t{0});
    for (const RecordLine& entry : plan)
      if (entry.json.at("after_step").get<std::int64_t>() < step) all = entry.json.at("steps");
    const double rate = line.json.at("learning_rate"), wanted = pretraining_rate(p, step, all);
    v.expect(std::abs(rate - wanted) <= 1e-9 * wanted, "learning-rate",
             fmt::format("{}: got {}, wanted {}, as the schedule says", line.where, rate, wanted));
  }
  for (const RecordLine& line : looks) {
    const Json &got = line.json.at("perplexity"),
               wanted = optional_json(perplexity_of(line.json.at("nll").get<double>()));
    v.expect(first_difference(got, wanted).empty(), "validation-values",
             fmt::format("{}: got perplexity {}, wanted exp(nll)", line.where, got.dump()));
    v.expect(line.json.at("step").get<std::int64_t>() <= count, "validation-values",
             fmt::format("{}: got a step that was not taken", line.where));
  }
  if (!run.summary) return;
  v.check("summary-table");
  const Json wanted{{"steps", count},
                    {"tokens", count * step_tokens},
                    {"validation", looks.empty() ? Json(nullptr) : looks.back().json}};
  const std::string difference = first_difference(*run.summary, wanted);
  v.expect(difference.empty(), "summary-table", "summary.json: " + difference + ", as the records give");
  if (looks.empty() || !difference.empty()) return;
  const Json& last = looks.back().json;
  const std::string row = pretrain_row(count * step_tokens, run.summary->at("passes").get<double>(), last);
  v.check("table-text");
  if (fs::exists(run.folder / "table.md"))
    v.expect(read_file(run.folder / "table.md").ends_with(row), "table-text",
             "table.md: it is not what the records give");
}

}  // namespace

void verify_pretrain(const UnverifiedRun& run, Verification& v) {
  v.check({"step-order", "training-values", "learning-rate", "seconds", "validation-values"});
  try {
    check_pretrain(run, v);
  } catch (const nlohmann::json::exception& error) {
    v.found("record-fields", error.what());
  }
}

}  // namespace templora
