#include "report/cost_table.h"

#include "catch.h"
#include "made_config.h"
#include "run/run_data.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

/// A run of one book of three chunks, one of which was not learnt.
RunCost three_chunks(const std::vector<Override>& more = {}) {
  const Config config = made_config({{"model.dtype", "bfloat16"},
                                     {"window.chunk_tokens", "2048"},
                                     {"train.prefix_tokens", "2048"},
                                     {"cost.device", "H100"}},
                                    more);
  RunData data;
  data.books.push_back({"a.txt", 0, 6144, 0, 0, "", false});
  data.books.push_back({"short.txt", 1, 100, 0, 0, "", true});
  for (std::int64_t i = 0; i < 3; ++i) {
    ChunkRecord chunk;
    chunk.chunk = i;
    chunk.tokens = 2048;
    if (i < 2) chunk.train_loss = {3.0, 2.9};
    chunk.seconds = {{"score_base", 1},     {"score", 1},       {"train_forward", 2},
                     {"train_backward", 4}, {"optimizer", 0.5}, {"read", 0.5}};
    data.chunks.push_back(chunk);
  }
  PerplexityTable table;
  table.all.emplace_back().change_corpus_percent = -4.25;
  return run_cost(data, table, config, named_model_shape("llama2-7b"),
                  {2000000000, std::nullopt, {{"score", {1500000000, {}}}, {"optimizer", {0, 7000000}}}});
}

}  // namespace

TEST_CASE("cost table: phases add up, and steps are those that were made", "[unit]") {
  const RunCost cost = three_chunks();
  CHECK(cost.seconds == 27);
  CHECK(cost.tokens == 6244);
  // Two chunks of 2048 rows behind no and one window of prefix; the third was not learnt.
  const ModelWork work(named_model_shape("llama2-7b"), LoraConfig{}, Dtype::bfloat16);
  CHECK(cost.phases.at("train_backward").work.flops() ==
        2 * (work.backward(2048, 2047).flops() + work.backward(4096, 2048).flops()));
  CHECK(*cost.phases.at("train_backward").flops_per_s() == cost.phases.at("train_backward").work.flops() / 12);
  CHECK_FALSE(cost.phases.at("read").flops_per_s());
  const std::string text = cost_markdown(cost);
  CHECK(has(text, "| train_backward | 12 | 44.4 % |"));
  CHECK(text.find("| score_base |") < text.find("| train_forward |"));
  CHECK(has(text, "peak, resident"));
  CHECK(text.find("1500 MB", text.find("| score |")) < text.find("| train_forward |"));
  CHECK(to_json(cost).at("phases").at("score").at("peak_rss_bytes") == 1500000000);
  CHECK(to_json(cost).at("phases").at("optimizer").at("peak_device_bytes") == 7000000);
  CHECK(to_json(cost).at("phases").at("read").at("peak_rss_bytes").is_null());
  CHECK(has(text, "floor on H100"));
  CHECK(has(text, kCountingConvention));
}

TEST_CASE("cost table: long times have no exponent", "[unit]") {
  RunData data;
  data.books = {{"a.txt", 0, 4096, 0, 0, "", false}};
  data.chunks.emplace_back().seconds = {{"score", 2240.4}, {"read", 0.0625}};
  const Config config = made_config({{"model.dtype", "bfloat16"}});
  const std::string text = cost_markdown(run_cost(data, {}, config, named_model_shape("llama2-7b"), {}));
  CHECK(has(text, "| score | 2240 |"));
  CHECK(has(text, "| read | 0.0625 |"));
  CHECK_FALSE(has(text, "e+0"));
}

TEST_CASE("cost table: base scores that were known already cost nothing", "[unit]") {
  RunData data;
  data.books = {{"a.txt", 0, 4096, 0, 0, "", false}, {"b.txt", 1, 2048, 0, 0, "", false}};
  for (std::int64_t i = 0; i < 3; ++i) {
    ChunkRecord& chunk = data.chunks.emplace_back();
    chunk.book_index = i / 2;
    chunk.chunk = i % 2;
    chunk.seconds = {{"score", 1}};
    if (i == 2) chunk.seconds["score_base"] = 1;
  }
  const ModelShape shape = named_model_shape("llama2-7b");
  const Config config = made_config({{"model.dtype", "bfloat16"}, {"window.chunk_tokens", "2048"}});
  const RunCost cost = run_cost(data, {}, config, shape, {});
  CHECK(cost.phases.at("score_base").work.flops() ==
        ModelWork(shape, {}, Dtype::bfloat16).forward(2048, 2047, false).flops());
}

TEST_CASE("cost table: the advice has this run's numbers, the paper's claims beside ours", "[unit]") {
  const std::string text = cost_markdown(three_chunks());
  CHECK(has(text, "PPL changes by -4.25 %"));
  CHECK(has(text, "1 of 2 texts fit into one window"));
  CHECK(has(text, "24K anew"));
  CHECK(has(text, "32K kept"));
  CHECK(has(text, "| v1 | -3.8 % | -70.5 % | -51.5 % | – |"));
  CHECK(has(text, "| v3 | -3.8 % | – | -60.0 % | -51.5 % |"));
  CHECK_FALSE(has(cost_markdown(three_chunks({{"window.chunk_tokens", "512"}})), "economy"));
  CHECK_FALSE(has(cost_markdown(three_chunks({{"score.adapter", "false"}})), "advice"));
}

TEST_CASE("cost table: JSON holds what the table prints, null where nothing is known", "[unit]") {
  const Json json = to_json(three_chunks());
  CHECK(json.at("convention") == kCountingConvention);
  CHECK(json.at("phases").at("score").at("seconds") == 3);
  CHECK(json.at("phases").at("read").at("flops_per_s").is_null());
  CHECK(json.at("peak_device_bytes").is_null());
  CHECK(json.at("predicted_bytes").at("weights") == 2 * named_model_shape("llama2-7b").parameters());
  CHECK(json.at("references").size() == 6);  // the run's own window, 24K and 32K, both ways
  CHECK(json.at("paper").at(1).at("flops_change_percent").is_null());
}

TEST_CASE("cost report: a model that does not fit is said not to", "[unit]") {
  CostReport report;
  report.config = "x.json";
  report.shape = named_model_shape("llama2-13b");
  const Config config = made_config({{"model.dtype", "bfloat16"}});
  report.dtype = config.model.dtype;
  report.per_token = cost_per_token(config, report.shape);
  report.device = device_peaks("4090");
  CHECK(has(cost_report_markdown(report), "does NOT fit: 4090 has 24 GB"));
  CHECK(to_json(report).at("device").at("fits") == false);
  report.device = device_peaks("H200");
  CHECK(has(cost_report_markdown(report), "It fits into H200's 141 GB"));
}
