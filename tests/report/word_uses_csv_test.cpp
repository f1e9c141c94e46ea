#include "report/word_uses_csv.h"

#include <fmt/format.h>

#include "catch.h"
#include "made_runs.h"
#include "run/token_ids.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("report: uses of words by class and distance, of runs that kept the ids", "[unit]") {
  const TempFolder folder;
  make_run(folder / "a", {});
  const auto runs = read_report_runs({{folder / "a", "a", {}}}, {}, false);
  const auto texts = [](const RunSummary&) {
    return [](std::int32_t id) { return id == 7 ? std::string(" Shirley") : std::string(" the"); };
  };
  CHECK_THROWS_WITH(uses_csv(runs, texts), Catch::Matchers::Contains("wanted score.keep_tokens true"));
  std::vector<std::int32_t> ids(599, 5);
  ids[0] = ids[50] = ids[400] = 7;
  for (const std::int64_t book : {0, 1}) write_token_ids(folder / "a", book, ids);
  const auto lines = lines_of(uses_csv(runs, texts));
  CHECK(lines[0] == "run,config_hash,seed,book,book_index,class,use,words,tokens,base_nll,lora_nll,other_book_nll,"
                    "mixed_books_nll,shuffled_words_nll,base_cache_nll,lora_cache_nll,base_bm25_nll");
  REQUIRE(lines.size() == 1 + 2 * 5);
  const auto nll = read_run(folder / "a").nll.at(0);
  const auto line = [&](const std::string& use, std::size_t at) {
    return fmt::format("a,0123456789ab,42,book_0.txt,0,name,{},1,1,{},{},,,,,,", use, double(nll.at(Arm::base)[at]),
                       double(nll.at(Arm::lora)[at]));
  };
  CHECK(lines[1] == line("first", 0));
  CHECK(lines[2] == line("in window", 50));
  CHECK(lines[3] == line("up to 4 windows", 400));
  CHECK(has(lines[4], ",function,first,1,1,"));
  CHECK(has(lines[5], ",function,in window,595,595,"));
  write_token_ids(folder / "a", 1, {1, 2});
  CHECK_THROWS_WITH(uses_csv(runs, texts), Catch::Matchers::Contains("1-tokens.i32: got 2 ids"));
}
