#include "metrics/run_progress.h"

#include <fstream>

#include "../core/fixtures.h"
#include "catch.h"
#include "run/run_folder.h"

using namespace templora;
using namespace templora_test;

namespace {

struct Run {
  Run() { write("run.json", R"({"total_tokens": 1000})"); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name, std::ios::binary | std::ios::app) << text;
  }
  void chunks(int count, double seconds, double base = 3, double lora = 2.9) const {
    for (int i = 0; i < count; ++i)
      write("chunks.jsonl", Json{{"tokens", 20},
                                 {"scored_tokens", 20},
                                 {"base_nll", base},
                                 {"lora_nll", lora},
                                 {"seconds", {{"score", seconds / 4}, {"train", 3 * seconds / 4}}}}
                                    .dump() +
                                "\n");
  }
  RunProgress progress() const { return run_progress(folder.path()).value(); }
  TempFolder folder;
};

}  // namespace

TEST_CASE("run_progress: counts tokens, names perplexities, and takes the time left from the last chunks", "[unit]") {
  const Run run;
  CHECK(run.progress().tokens == 0);
  CHECK(progress_text(run.progress()) == "0 %");
  run.chunks(5, 100);
  run.chunks(20, 10);  // a neighbour left the machine: 2 tokens a second
  const RunProgress progress = run.progress();
  CHECK(progress.state == RunState::interrupted);
  CHECK(progress.tokens == 500);
  CHECK(progress.share().value() == Approx(0.5));
  CHECK(progress.seconds_left.value() == Approx(250));
  CHECK(progress.base.value() == Approx(std::exp(3)));
  CHECK(progress.change_percent().value() == Approx(100 * (std::exp(-0.1) - 1)));
  CHECK(progress_text(progress) == "50 %, 4:10 left, PPL so far: base 20.09, Temp-LoRA 18.17 (−9.5 %)");
  run.write("chunks.jsonl", "{\"tokens\": 2");  // a line that is being written
  CHECK(run.progress().tokens == 500);
  CHECK(run.progress().problem.empty());
}

TEST_CASE("run_progress: running while its folder is locked, failed where it said why, finished with a summary",
          "[unit]") {
  const TempFolder folder;
  const fs::path path = folder / "run";
  CHECK_FALSE(run_progress(path));
  {
    RunFolder writer = RunFolder::create(path, {{"identity", {{"config_hash", "0"}}}});
    CHECK(run_progress(path)->state == RunState::running);
    CHECK_FALSE(run_progress(path)->share());  // a record of 0.1 says no total
  }
  std::ofstream(path / "failed.json") << R"({"exit_code": 5, "signal": 0, "line": "the loss is nan"})";
  CHECK(run_progress(path)->state == RunState::failed);
  CHECK(run_progress(path)->problem == "the loss is nan");
  std::ofstream(path / "summary.json")
      << R"({"all": [{"label": "0-1K"}, {"label": "all", "base": {"corpus": 20.5}, "lora": {"corpus": 41}}]})";
  CHECK(run_progress(path)->state == RunState::finished);
  CHECK(run_progress(path)->problem.empty());
  CHECK(progress_text(*run_progress(path)) == "PPL base 20.50, Temp-LoRA 41.00 (+100.0 %)");
}

TEST_CASE("run_progress: what is damaged is told, not thrown", "[unit]") {
  const Run run;
  run.chunks(1, 1);
  run.write("chunks.jsonl", "{\"tokens\": \"many\"}\n");
  CHECK(run.progress().problem.find("chunks.jsonl") != std::string::npos);
  const TempFolder other;
  std::ofstream(other / "run.json") << "{";
  CHECK(run_progress(other.path())->problem.find("run.json") != std::string::npos);
}

TEST_CASE("run_progress: a pretraining's steps, its present length and its last validation", "[unit]") {
  const Run run;
  run.write("steps.jsonl", R"({"step": 1, "tokens": 250, "loss": 3, "seconds": 50})"
                           "\n");
  run.write("schedule.jsonl", R"({"after_step": 0, "steps": 4, "tokens": 1000})"
                              "\n"
                              R"({"after_step": 1, "steps": 8, "tokens": 2000})"
                              "\n");
  run.write("validation.jsonl", "{\"perplexity\": 12.5}\n");
  CHECK(progress_text(run.progress()) == "12 %, 5:50 left, validation PPL 12.50");
}

TEST_CASE("perplexities_text: what there is, and the sign of the change", "[unit]") {
  CHECK(perplexities_text(34.81, 30.02) == "base 34.81, Temp-LoRA 30.02 (−13.8 %)");
  CHECK(perplexities_text(34.81, std::nullopt) == "base 34.81");
  CHECK(perplexities_text(std::nullopt, 30.02) == "Temp-LoRA 30.02");
  CHECK(perplexities_text(30, 30) == "base 30.00, Temp-LoRA 30.00 (±0.0 %)");
  CHECK(perplexities_text(std::nullopt, std::nullopt).empty());
}
