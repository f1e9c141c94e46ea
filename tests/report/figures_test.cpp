#include "report/figures.h"

#include <fmt/format.h>

#include <algorithm>

#include "catch.h"
#include "made_runs.h"
#include "report/page.h"
#include "report/svg.h"
#include "run/json_lines.h"
#include "run/run_data.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Whether every tag is closed in order; attributes must be quoted.
bool well_formed(const std::string& text) {
  std::vector<std::string> open;
  for (std::size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1)) {
    const std::size_t end = text.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = text.substr(at + 1, end - at - 1);
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return false;
    const std::string name = tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" \n/", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag[0] == '!' || tag.back() == '/' || name == "meta") continue;
    if (tag[0] != '/') {
      open.push_back(name);
    } else {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
    }
  }
  return open.empty();
}

std::string text_of(double value) { return fmt::format("{}", value); }

const Figure& figure_of(const Report& report, const std::string& id) {
  for (const Figure& figure : report.figures)
    if (figure.id == id) return figure;
  FAIL("no figure " << id);
  throw Error(Exit::usage, id);
}

Report small_report(const TempFolder& folder, std::int64_t books) {
  std::vector<RunSource> sources;
  for (const std::int64_t chunk : {50, 100})
    for (const std::int64_t context : {50, 100}) {
      MadeRun made;
      made.chunk_tokens = chunk;
      made.context_tokens = context;
      made.books = books;
      made.chunks = 600 / chunk;
      made.gain = 0.001 * static_cast<double>(chunk + 2 * context);
      const std::string name = std::to_string(chunk) + "-" + std::to_string(context);
      make_run(folder / name, made);
      sources.push_back({folder / name, name, {}});
    }
  return make_report(read_report_runs(sources, {}, false), {});
}

}  // namespace

TEST_CASE("figures: the segments' values and intervals are those of summary.json", "[unit]") {
  const TempFolder folder;
  const Report report = small_report(folder, 8);
  const std::string& svg = figure_of(report, "segments").svg;
  std::vector<std::string> values, lows, highs;
  for (const char* name : {"50-50", "50-100", "100-50", "100-100"})
    for (const Json summary = summary_of(folder / name); const Json& row : summary.at("all")) {
      const Json& mean = row.at("over_books").at("lora");
      values.push_back(text_of(mean.at("change_percent").get<double>()));
      lows.push_back(text_of(mean.at("low").get<double>()));
      highs.push_back(text_of(mean.at("high").get<double>()));
    }
  CHECK(attributes(svg, "data-value") == values);
  CHECK(attributes(svg, "data-low") == lows);
  CHECK(attributes(svg, "data-high") == highs);
}

TEST_CASE("figures: a shorter run's total stands at \"all\", not at a segment that only a longer one has", "[unit]") {
  const TempFolder folder;
  MadeRun shorter, longer;
  shorter.books = longer.books = 6;
  shorter.chunks = 6;  // 300 tokens: two segments
  shorter.context_tokens = 25;
  make_run(folder / "a", shorter);
  make_run(folder / "b", longer);
  const Report report =
      make_report(read_report_runs({{folder / "a", "a", {}}, {folder / "b", "b", {}}}, {}, false), {});
  const std::string& svg = figure_of(report, "segments").svg;
  CHECK(attributes(svg, "data-category") ==
        std::vector<std::string>{"0-200", "200-400", "all", "0-200", "200-400", "400+", "all"});
}

TEST_CASE("figures: a heat map's cells are the runs' changes in summary.json", "[unit]") {
  const TempFolder folder;
  const Report report = small_report(folder, 2);
  const std::string& svg = figure_of(report, "heat_1").svg;
  std::vector<std::string> values;
  for (const char* name : {"50-50", "50-100", "100-50", "100-100"})
    values.push_back(text_of(summary_of(folder / name).at("all").back().at("change_corpus_percent").get<double>()));
  CHECK(attributes(svg, "data-value") == values);
  CHECK(attributes(svg, "data-row") == std::vector<std::string>{"50", "50", "100", "100"});
}

TEST_CASE("figures: the curve's marks are the mean over books of each bin, computed anew from the NLLs", "[unit]") {
  const TempFolder folder;
  MadeRun made;
  made.books = 8;
  made.chunks = 24;
  made.chunk_tokens = 250;
  make_run(folder / "a", made);
  const RunData run = read_run(folder / "a");
  const std::string svg = position_figure(position_curves(position_bins(run)), "t");
  const auto ppl = attributes(svg, "data-ppl");
  REQUIRE(ppl.size() == 120);
  CHECK(attributes(svg, "data-low").size() == 60);  // Temp-LoRA's only
  // 6,000 tokens in 60 bins of 100; the first token of a book is not scored.
  for (const std::size_t bin : {0, 1, 37, 59}) {
    double sum = 0;
    for (std::int64_t b = 0; b < made.books; ++b) {
      const std::vector<float>& nll = run.nll.at(b).at(Arm::lora);
      double mean = 0;
      const std::size_t first = bin == 0 ? 0 : 100 * bin - 1, end = 100 * bin + 99;
      for (std::size_t i = first; i < end; ++i) mean += nll[i];
      sum += mean / static_cast<double>(end - first);
    }
    CHECK(std::stod(ppl[60 + bin]) == Approx(std::exp(sum / 8)).epsilon(1e-12));
    CHECK(std::stod(attributes(svg, "data-low")[bin]) <= std::stod(ppl[60 + bin]));
    CHECK(std::stod(attributes(svg, "data-high")[bin]) >= std::stod(ppl[60 + bin]));
  }
}

TEST_CASE("figures: curves by position are called by what differs, over what they share", "[unit]") {
  const TempFolder folder;
  const Report report = small_report(folder, 2);
  CHECK(figure_of(report, "position_1").title == "Δ 50, L_X 50: perplexity by position");
  CHECK(figure_of(report, "position_4").title == "Δ 100, L_X 100: perplexity by position");
  CHECK_FALSE(has(figure_of(report, "position_1").svg, "small &amp; &lt;fine&gt;, Δ"));
  make_run(folder / "alone", {});
  const Report one = make_report(read_report_runs({{folder / "alone", "alone", {}}}, {}, false), {});
  CHECK(figure_of(one, "position_1").title == "Perplexity by position");
}

TEST_CASE("figures: with several seeds a curve is their mean, and its band that of the books' means", "[unit]") {
  const TempFolder folder;
  std::vector<PositionBins> bins;
  for (const double gain : {0.1, 0.2}) {
    MadeRun made;
    made.books = 8;
    made.gain = gain;
    make_run(folder / std::to_string(gain), made);
    bins.push_back(position_bins(read_run(folder / std::to_string(gain))));
  }
  const auto one = position_curves(bins[0]), other = position_curves(bins[1]),
             both = position_curves({&bins[0], &bins[1]});
  REQUIRE(both.size() == 2);
  for (const std::size_t bin : {0, 3, 5}) {
    const CurvePoint &a = one[1].points[bin], &b = other[1].points[bin], &mean = both[1].points[bin];
    CHECK(mean.ppl == Approx(std::sqrt(a.ppl * b.ppl)).epsilon(1e-12));
    CHECK(*mean.seed_sd == Approx(std::abs(a.ppl - b.ppl) / std::sqrt(2)));
    CHECK((*mean.low < mean.ppl && *mean.high > mean.ppl));
    CHECK(*mean.high - *mean.low ==
          Approx(*a.high - *a.low).epsilon(0.2));  // books differ as before; seeds do not count
    CHECK(!a.seed_sd);
  }
}

TEST_CASE("figures: the Pareto front is what no other point beats", "[unit]") {
  const std::vector<CostPoint> points{{"dear", 10, 1},  {"cheap", 1, 5}, {"beaten", 5, 6},
                                      {"middle", 4, 2}, {"twin", 4, 2},  {"same cost, worse", 1, 7}};
  CHECK(pareto_front(points) == std::vector<std::size_t>{1, 3, 4, 0});
  CHECK(pareto_front({}).empty());
  const std::string svg = cost_figure(points, "t", "cost", "quality");
  CHECK(attributes(svg, "data-front") == std::vector<std::string>{"yes", "yes", "no", "yes", "yes", "no"});
}

TEST_CASE("figures: cost against quality has the plain model in each window, once, and names beside the front",
          "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  for (const std::int64_t chunk : {50, 100})
    for (const std::int64_t seed : {1, 2}) {
      const std::string name = std::to_string(chunk) + "-" + std::to_string(seed);
      make_run(folder / name,
               {.chunk_tokens = chunk, .seed = seed, .chunks = 600 / chunk, .gain = 0.002 * double(chunk)});
      Json summary = summary_of(folder / name);
      const auto plain = [](std::int64_t window, bool cached, double flops) {
        return Json{{"window", window}, {"cached", cached}, {"flops_per_token", flops}};
      };
      summary["cost"] = {{"method_flops_per_token", 4e9 * double(chunk)},
                         {"references", {plain(chunk + 50, true, 7e9), plain(chunk + 50, false, 1e7 * double(chunk)),
                                         plain(4096, false, 9e9)}}};
      write_file_atomically(folder / name / "summary.json", summary.dump());
      sources.push_back({folder / name, name, {}});
    }
  const auto figure = [&] {
    return figure_of(make_report(read_report_runs(sources, {}, false), {}), "cost_perplexity_1").svg;
  };
  std::string svg = figure();
  CHECK(attributes(svg, "data-name") ==
        std::vector<std::string>{"Δ 50", "plain, Δ 50, W 100", "Δ 100", "plain, Δ 100, W 150"});
  CHECK(attributes(svg, "data-cost") == std::vector<std::string>{"200", "0.5", "400", "1"});
  CHECK(attributes(svg, "data-front") == std::vector<std::string>{"yes", "yes", "yes", "no"});
  for (const char* name :
       {">Δ 50<", ">plain, Δ 50, W 100<", ">plain, Δ 100, W 150<", ">plain model<", ">perplexity<"})
    CHECK(has(svg, name));
  // One without an adapter is plain by its own cost.
  for (const char* name : {"100-1", "100-2"}) {
    change_record(folder / name, [](Json& record) { record["config"]["score"]["adapter"] = false; });
    std::string without;
    for_each_record(folder / name / "chunks.jsonl", [&](Json chunk) {
      chunk["lora_nll"] = nullptr;
      without += chunk.dump() + "\n";
    });
    write_file_atomically(folder / name / "chunks.jsonl", without);
    for (const int book : {0, 1}) fs::remove(folder / name / fmt::format("nll/{}-lora.f32", book));
  }
  svg = figure();
  CHECK(attributes(svg, "data-name") ==
        std::vector<std::string>{"Temp-LoRA", "plain, Δ 50, W 100", "plain, Δ 100, W 150"});
  CHECK(attributes(svg, "data-cost") == std::vector<std::string>{"200", "0.5", "400"});
}

TEST_CASE("figures: bars carry the seconds of each phase, for 1,000 tokens", "[unit]") {
  const TempFolder folder;
  const Report report = small_report(folder, 2);
  const auto values = attributes(figure_of(report, "phases_perplexity").svg, "data-value");
  REQUIRE(values.size() == 8);
  CHECK(std::stod(values[0]) == Approx(1000 * 0.25 / 50));  // 0.25 s a chunk of 50
  CHECK(std::stod(values[7]) == Approx(1000 * 0.5 / 100));
  const auto parts = attributes(figure_of(report, "phases_perplexity").svg, "data-part");
  CHECK(parts.front() == "scoring, Temp-LoRA");
  CHECK(parts.back() == "train");  // of no phase that is known
}

TEST_CASE("figures: nothing to draw, one point, equal points give pictures without NaN", "[unit]") {
  SweepSlice empty{"perplexity", {}, "a", "b", "change", {"1"}, {"2"}, {{Cell()}}};
  for (const std::string& svg :
       {position_figure({}, "t"), category_figure({}, {}, "t", "x", "y"), cost_figure({}, "t", "x", "y"),
        cost_figure({{"a", 1, 2}, {"b", 1, 2}}, "t", "x", "y"), bar_figure({}, "t", "x"),
        bar_figure({{"a", {{"p", 0.0}}}}, "t", "x"), heat_figure(empty),
        category_figure({"c"}, {{"s", {{0, 0, {}, {}, ""}}}}, "t", "x", "y")}) {
    CHECK(!has(svg, "nan"));
    CHECK(!has(svg, "inf"));
    CHECK(well_formed(svg));
  }
}

TEST_CASE("figures: a line of settings that has no room is cut into lines of about one length", "[unit]") {
  const Caption caption{"small-6m, Δ 256, L_X 256, L_T 128, rank 64, learning rate 0.0005, epochs 2", ""};
  const std::string svg = Svg(kFigureWidth, 300, "t", caption).inline_text();
  CHECK(has(svg, ">small-6m, Δ 256, L_X 256, L_T 128,<"));
  CHECK(has(svg, ">rank 64, learning rate 0.0005, epochs 2<"));
}

TEST_CASE("scale: ticks are round, inside, and end where the scale does", "[unit]") {
  CHECK(ticks(nice_scale(0.3, 9.7, 0, 100, 6), 6) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(ticks(nice_scale(3, 70, 0, 100, 6, true), 6) == std::vector<double>{2, 5, 10, 20, 50, 100});
  const Scale log = nice_scale(1, 100, 0, 10, 5, true);
  CHECK(log(10) == Approx(5));
  const Scale flat = nice_scale(40, 40, 0, 10, 5);
  CHECK(flat.high > flat.low);
}

TEST_CASE("labels: they keep their gap and stay inside", "[unit]") {
  const auto places = spread({10, 11, 12, 99}, 5, 0, 100);
  CHECK(places == std::vector<double>{10, 15, 20, 99});
  const auto low = spread({98, 99, 100}, 5, 0, 100);
  CHECK(low == std::vector<double>{90, 95, 100});
}

TEST_CASE("report_page: one file that needs nothing, well formed, every number with its runs", "[unit]") {
  const TempFolder folder;
  const std::string page = report_page(small_report(folder, 8));
  CHECK(well_formed(page.substr(page.find("<html"))));
  CHECK(!has(page, "<script"));
  CHECK(!has(page, "src="));
  CHECK(!has(page, "url("));
  std::size_t links = 0;  // the name of SVG is the only address
  for (std::size_t at = page.find("http"); at != std::string::npos; at = page.find("http", at + 1))
    links += page.compare(at, 26, "http://www.w3.org/2000/svg") != 0;
  CHECK(links == 0);
  CHECK(has(page, "prefers-color-scheme:dark"));
  CHECK(has(page, "small &amp; &lt;fine&gt;"));
  CHECK(has(page, "(config 0123456789ab)"));
  CHECK(has(page, "95 % interval over books of the paired change"));
}
