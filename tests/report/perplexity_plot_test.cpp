#include "report/perplexity_plot.h"

#include <cmath>
#include <regex>

#include "catch.h"
#include "run/run_data.h"

using namespace templora;

namespace {

RunData falling_run(std::int64_t chunks, double lora_gain) {
  RunData run;
  BookRecord book;
  book.book = "b.txt";
  book.tokens = chunks * 50;
  run.books.push_back(book);
  for (std::int64_t c = 0; c < chunks; ++c) {
    ChunkRecord chunk;
    chunk.chunk = c;
    chunk.first_token = c * 50;
    chunk.tokens = 50;
    chunk.scored_tokens = c == 0 ? 49 : 50;
    for (std::int64_t t = 0; t < chunk.scored_tokens; ++t) {
      const double nll = 3.2 + 0.15 * std::sin(static_cast<double>(c) / 3) + 0.3 / (1 + static_cast<double>(c));
      run.nll[0][Arm::base].push_back(static_cast<float>(nll));
      run.nll[0][Arm::lora].push_back(static_cast<float>(nll - lora_gain * static_cast<double>(c)));
    }
    run.chunks.push_back(chunk);
  }
  return run;
}

/// Vertical positions of a curve's points.
std::vector<double> heights(const std::string& svg, const std::string& name) {
  std::smatch found;
  std::vector<double> out;
  if (!std::regex_search(svg, found, std::regex("class=\"curve s[0-9] " + name + "\" d=\"([^\"]*)\""))) return out;
  const std::string path = found[1];
  const std::regex point("[ML]([0-9.]+) ([0-9.]+)");
  for (std::sregex_iterator it(path.begin(), path.end(), point), end; it != end; ++it)
    out.push_back(std::stod((*it)[2]));
  return out;
}

}  // namespace

TEST_CASE("perplexity_svg: both curves have all bins, and the better one lies lower", "[unit]") {
  const std::string svg = perplexity_svg(falling_run(300, 0.002));
  const auto base = heights(svg, "base"), lora = heights(svg, "lora");
  REQUIRE(base.size() == 60);
  REQUIRE(lora.size() == 60);
  for (std::size_t i = 1; i < base.size(); ++i) CHECK(lora[i] > base[i]);  // SVG's y grows downwards
  for (const double y : base) CHECK((y >= 48 && y <= 362));
  CHECK(svg.find("prefers-color-scheme:dark") != std::string::npos);
  CHECK(svg.find("position in the book [tokens]") != std::string::npos);
}

TEST_CASE("perplexity_svg: one chunk, one arm or nothing still gives a picture without NaN", "[unit]") {
  RunData one = falling_run(1, 0);
  one.nll[0].erase(Arm::lora);
  for (const RunData& run : {one, RunData{}, falling_run(2, 0)}) {
    const std::string svg = perplexity_svg(run);
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
    CHECK(svg.find("</svg>") != std::string::npos);
  }
  CHECK(perplexity_svg(one).find("Temp-LoRA") == std::string::npos);
}

TEST_CASE("perplexity_svg: a control has a curve and a label of its own, and only then", "[unit]") {
  RunData run = falling_run(6, 0.01);
  CHECK(perplexity_svg(run).find("class=\"curve s2 other_book\"") == std::string::npos);
  run.nll[0][Arm::other_book] = run.nll[0][Arm::base];
  const std::string svg = perplexity_svg(run);
  CHECK(svg.find("class=\"curve s2 other_book\" d=") != std::string::npos);
  CHECK(svg.find(">other_book</text>") != std::string::npos);
}
