#include "catch.h"
#include "program.h"
#include "run/record.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Whether every text is a line of its own.
bool one_line(const std::vector<std::string>& texts) {
  for (const std::string& text : texts)
    for (const char c : text)
      if (c == '\n' || c == '\r') return false;
  return true;
}

void write_lines(const World& world, const std::string& name, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  world.write(name, text);
}

}  // namespace

TEST_CASE("templora bleu: sacreBLEU's numbers and signatures for its options", "[cli]") {
  const World world;
  const Json cases = Json::parse(read_file(fs::path(TEMPLORA_SOURCE_DIR) / "tests/goldens/bleu/cases.json"));
  int corpora = 0, pluses = 0;
  for (const Json& one : cases) {
    const auto hypotheses = one.at("hyp").get<std::vector<std::string>>();
    const auto references = one.at("refs").get<std::vector<std::vector<std::string>>>();  // of each hypothesis
    const std::size_t each = references.front().size();
    bool plain = one_line(hypotheses);
    for (const auto& refs : references) plain = plain && refs.size() == each && one_line(refs);
    if (!plain || ++corpora > 12) continue;
    write_lines(world, "hyp", hypotheses);
    std::vector<std::string> files{"bleu", "hyp"};
    for (std::size_t r = 0; r < each; ++r) {
      std::vector<std::string> lines;
      for (const auto& refs : references) lines.push_back(refs[r]);
      files.push_back("ref" + std::to_string(r));
      write_lines(world, files.back(), lines);
    }
    const auto check = [&](std::vector<std::string> options, const Json& score, const Json& signature) {
      std::vector<std::string> arguments = files;
      options.push_back("--json");
      arguments.insert(arguments.end(), options.begin(), options.end());
      const Ended ended = world.run(arguments);
      INFO(ended.text << " wanted " << signature);
      REQUIRE(ended.code == 0);
      const Json line = Json::parse(ended.text);
      CHECK(line.at("score").get<double>() == Approx(score.get<double>()).margin(1e-9));
      CHECK(line.at("signature") == signature);
    };
    for (const Json& b : one.at("bleu")) {
      if (b[4].get<bool>()) continue;  // effective order is for sentences
      std::vector<std::string> options{"-m", "bleu",        "--tokenize", b[0], "--smooth-method",
                                       b[1], "--max-order", b[3].dump()};
      if (!b[2].is_null()) options.insert(options.end(), {"--smooth-value", b[2].dump()});
      if (b[5].get<bool>()) options.push_back("--lowercase");
      check(options, b[6], b[13]);
    }
    for (const Json& c : one.at("chrf")) {
      std::vector<std::string> options{
          "-m", "chrf", "--chrf-char-order", c[0].dump(), "--chrf-word-order", c[1].dump(), "--chrf-beta", c[2].dump()};
      if (c[3].get<bool>()) options.push_back("--lowercase");
      if (c[4].get<bool>()) options.push_back("--chrf-whitespace");
      if (c[5].get<bool>()) options.push_back("--chrf-eps-smoothing");
      check(options, c[6], c[8]);
      pluses += c[1] == 2 ? 1 : 0;
    }
  }
  CHECK(corpora >= 12);
  CHECK(pluses > 0);
}

TEST_CASE("templora bleu: prints what sacreBLEU prints, for a corpus or each sentence", "[cli]") {
  const World world;
  world.write("hyp", "the cat sat on the mat\r\na dog\n");
  world.write("ref", "the cat sat on the mat\na cat\n");
  const Ended corpus = world.run({"bleu", "hyp", "ref", "--chrf-word-order", "2"});
  CHECK(corpus.code == 0);
  CHECK(
      corpus.says("BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0 = 92.4 87.5/83.3/100.0/100.0 (BP = "
                  "1.000 ratio = 1.000 hyp_len = 8 ref_len = 8)\n"));
  CHECK(corpus.says("chrF2++|nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0 = "));
  const Ended sentences = world.run({"bleu", "hyp", "ref", "-m", "bleu", "--sentence-level", "-w", "2"});
  CHECK(sentences.says("eff:yes|tok:13a|smooth:exp|version:2.6.0 = 100.00 100.0/100.0/100.0/100.0 "));
  CHECK(std::count(sentences.text.begin(), sentences.text.end(), '\n') == 2);
  world.refuses({"bleu", "hyp"}, 2, "hyp: got no references");
  world.refuses({"bleu", "hyp", "ref", "--tokenize", "ja"}, 2, "ja");
  world.refuses({"bleu", "hyp", "missing"}, 3, "missing");
  world.write("short", "one line\n");
  world.refuses({"bleu", "hyp", "short"}, 3, "short: got 1 lines, wanted 2");
  CHECK(world.run({"bleu", "hyp", "ref", "--max-order", "999999999"}).code == 2);
  world.write("latin", "caf\xe9\nx\n");
  world.refuses({"bleu", "latin", "ref"}, 3, "UTF-8");
}

TEST_CASE("templora bleu: a translation run's folder is scored with other words", "[cli]") {
  const World world;
  fs::create_directories(world.folder / "run");
  PairRecord pair;
  pair.novel = "a";
  pair.en = "a cat sat";
  pair.base_text = "a cat sat";
  pair.lora_text = "a dog sat";
  world.write("run/pairs.jsonl", to_json(pair).dump() + "\n");
  const Ended ended = world.run({"bleu", "run", "-m", "bleu", "--tokenize", "char", "--max-order", "2"});
  INFO(ended.text);
  CHECK(ended.code == 0);
  CHECK(ended.says("base: BLEU|nrefs:1|case:mixed|eff:no|tok:char|"));
  CHECK(ended.says(" = 100.0 "));
  CHECK(ended.says("lora: BLEU|"));
  world.refuses({"bleu", "run", "run/pairs.jsonl"}, 2, "got references beside a run's folder");

  const Ended tests = world.run({"bleu", "run", "--paired", "--paired-trials", "99"});
  INFO(tests.text);
  CHECK(tests.code == 0);
  CHECK(tests.says("lora against base: BLEU "));
  CHECK(tests.says("lora against base: chrF -"));
  CHECK(tests.says("p = 1.0000 (approximate randomisation, 99 trials)"));  // of BLEU, which is 0 on both sides
  world.refuses({"bleu", "run", "--baseline", "run/pairs.jsonl"}, 2, "wanted --paired");
  pair.lora_text.reset();
  world.write("run/pairs.jsonl", to_json(pair).dump() + "\n");
  world.refuses({"bleu", "run", "--paired"}, 2, "got one system in run");
}

TEST_CASE("report --unfinished: a translation that was stopped shows the scores of its pairs so far", "[cli]") {
  const World world;
  fs::create_directories(world.folder / "run");
  const Json config{{"experiment", "translation"},
                    {"seed", 42},
                    {"model", {{"path", "m"}}},
                    {"translation", {{"context", "k1"}, {"history", "reference"}}}};
  world.write("run/run.json", Json{{"config", config}, {"identity", Json::object()}}.dump());
  world.write("run/chunks.jsonl", "");
  PairRecord pair;
  pair.novel = "a";
  pair.en = "a cat sat on the mat";
  pair.base_text = pair.en;
  pair.lora_text = "a dog sat on the mat";
  pair.reference_tokens = 10;
  pair.base_nll = 2;
  pair.lora_nll = 2;
  world.write("run/pairs.jsonl", to_json(pair).dump() + "\n");
  const Ended ended = world.run({"report", "run", "--unfinished"});
  INFO(ended.text);
  CHECK(ended.code == 0);
  CHECK(ended.says("novels 1"));
  CHECK(ended.says("| PPL of the reference | 7.389 | 7.389 |"));
  CHECK(ended.says("| BLEU | 100.00 | 53.73 |"));
}

TEST_CASE("templora bleu: two files of translations are tested against each other", "[cli]") {
  const World world;
  std::vector<std::string> references, good, bad;
  for (int i = 0; i < 30; ++i) {
    const std::string n = std::to_string(i);
    references.push_back("the cat number " + n + " sat on the old mat");
    good.push_back("the cat number " + n + " sat on a old mat");
    bad.push_back("a cat number " + n + " sat at one old rug");
  }
  write_lines(world, "ref", references);
  write_lines(world, "good", good);
  write_lines(world, "bad", bad);
  const Ended ended = world.run({"bleu", "good", "ref", "--baseline", "bad", "-m", "bleu", "--json"});
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  const Json test = Json::parse(ended.text.substr(ended.text.rfind("{")));
  CHECK(test.at("baseline") == "bad");
  CHECK(test.at("difference").get<double>() > 5);
  CHECK(test.at("bootstrap_p").get<double>() < 0.01);
  CHECK(test.at("randomization_p").get<double>() < 0.01);
  world.refuses({"bleu", "good", "ref", "--paired"}, 2, "or --baseline FILE");
  world.refuses({"bleu", "good", "ref", "--baseline", "bad", "--sentence-level"}, 2, "--sentence-level");
  write_lines(world, "short", {"one"});
  world.refuses({"bleu", "good", "ref", "--baseline", "short"}, 3, "got 30 lines, wanted 1 as in short");
}
