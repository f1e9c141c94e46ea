#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

// What a run's folder says about its result; times differ between runs, nothing else may.
std::string nlls_and_table(const World& world, const std::string& out) {
  return world.content(out + "/nll/0-base.f32") + world.content(out + "/nll/0-lora.f32") +
         world.content(out + "/table.md");
}

}  // namespace

TEST_CASE("templora run: a run's folder holds the table and what it was made of", "[cli]") {
  const World world;
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("Temp-LoRA"));
  const Json summary = Json::parse(world.content("out/summary.json"));
  CHECK(summary.at("weights_hash_before") == summary.at("weights_hash_after"));
  std::istringstream lines(world.content("out/chunks.jsonl"));
  std::string line;
  std::int64_t scored = 0, index = 0;
  double base = 0, lora = 0;
  while (std::getline(lines, line)) {
    const Json chunk = Json::parse(line);
    CHECK(chunk.at("chunk") == index);
    CHECK(chunk.at("adapter_version") == index);
    CHECK(chunk.at("train_loss").size() == 2);
    CHECK(chunk.at("seconds").is_object());
    const auto count = chunk.at("scored_tokens").get<std::int64_t>();
    scored += count;
    base += double(count) * chunk.at("base_nll").get<double>();
    lora += double(count) * chunk.at("lora_nll").get<double>();
    ++index;
  }
  CHECK(fs::file_size(world.folder / "out/nll/0-lora.f32") == std::size_t(scored) * 4);
  CHECK(lora < base - 0.05 * double(scored));  // it learnt something
  const Json& all = summary.at("all").back();
  CHECK(all.at("lora").at("corpus").get<double>() == Approx(std::exp(lora / double(scored))).epsilon(1e-6));
}

TEST_CASE("templora run: it prints what is run, the answer and where the rest is; all tables with --verbose", "[cli]") {
  const World world;
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(std::count(ended.text.begin(), ended.text.end(), '\n') < 20);
  CHECK(ended.says("1 text, "));
  CHECK(ended.says("Δ 24 behind L_X 40; learnt behind L_T 40, 2 steps each\n"));
  const Json all = Json::parse(world.content("out/summary.json")).at("all").back();
  char sentence[200];
  std::snprintf(sentence, sizeof sentence, "Temp-LoRA changes perplexity by %+.2f %%, from %.3f to %.3f, over ",
                all.at("change_corpus_percent").get<double>(), all.at("base").at("corpus").get<double>(),
                all.at("lora").at("corpus").get<double>());
  CHECK(ended.says(sentence));
  CHECK(ended.says("one book: no interval"));
  CHECK(ended.says("tokens a second"));
  CHECK(ended.says("out/table.md"));
  CHECK_FALSE(ended.says("# Perplexity"));
  const Ended again = world.run({"run", "config.json", "--out", "out", "--resume"});
  CHECK(again.says(sentence));
  CHECK_FALSE(again.says("tokens a second"));
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--out", "out", "--resume"}, {"--out", "verbose"}}) {
    std::vector<std::string> arguments{"run", "config.json", "--verbose"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Ended verbose = world.run(arguments);
    CHECK(verbose.says("# Perplexity with and without Temp-LoRA"));
    CHECK(verbose.says("## What the numbers are"));
    CHECK(verbose.says("## Cost") == (more.back() == "verbose"));
  }
}

TEST_CASE("templora run: the same run gives the same bits", "[cli]") {
  const World world;
  REQUIRE(world.run_config("a").code == 0);
  REQUIRE(world.run_config("b").code == 0);
  CHECK(nlls_and_table(world, "a") == nlls_and_table(world, "b"));
}

TEST_CASE("templora run: stopped by signals and resumed, it gives the bits of an undisturbed run", "[cli]") {
  const World world;
  REQUIRE(world.run_config("whole").code == 0);
  int stops = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    std::vector<std::string> arguments{"run", "config.json", "--out", "parts"};
    if (attempt > 0) arguments.push_back("--resume");
    const std::string records = attempt == 0 ? "" : world.content("parts/chunks.jsonl");
    const int before = int(std::count(records.begin(), records.end(), '\n'));
    const Ended ended = world.run(arguments, {}, [&](pid_t child) {
      if (attempt == 4) return;  // the last one runs to the end
      world.wait_for_chunks("parts", before + 2);
      ::kill(child, attempt % 2 == 0 ? SIGTERM : SIGINT);
    });
    if (ended.code == 0) break;
    INFO(ended.text);
    REQUIRE(ended.code == 75);
    CHECK(ended.says("--resume"));
    ++stops;
  }
  CHECK(stops >= 2);
  CHECK(nlls_and_table(world, "whole") == nlls_and_table(world, "parts"));
}

TEST_CASE("templora run: killed and resumed, it gives the bits of an undisturbed run", "[cli]") {
  const World world;
  REQUIRE(world.run_config("whole").code == 0);
  CHECK(world.run({"run", "config.json", "--out", "parts"}, {}, [&](pid_t child) {
          world.wait_for_chunks("parts", 8);
          ::kill(child, SIGKILL);
        }).code == -SIGKILL);
  const Ended resumed = world.run({"run", "config.json", "--out", "parts", "--resume"});
  INFO(resumed.text);
  REQUIRE(resumed.code == 0);
  CHECK(nlls_and_table(world, "whole") == nlls_and_table(world, "parts"));
}

TEST_CASE("templora run: resume refuses another config, thread count or text, by name", "[cli]") {
  const World world;
  REQUIRE(world.run({"run", "config.json", "--out", "out"}, {}, [&](pid_t child) {
            world.wait_for_chunks("out", 2);
            ::kill(child, SIGTERM);
          }).code == 75);
  const Ended threads = world.run({"run", "config.json", "--out", "out", "--resume", "--set", "run.threads=2"});
  CHECK(threads.code == 2);
  CHECK(threads.says("threads"));
  const std::string model = world.content("model/config.json");
  Json changed = Json::parse(model);
  changed["rope_theta"] = 5000.0;
  world.write("model/config.json", changed.dump());
  const Ended theta = world.run({"run", "config.json", "--out", "out", "--resume"});
  CHECK(theta.code == 2);
  CHECK(theta.says("model_config_hash"));
  world.write("model/config.json", model);
  world.write(
      "book.txt",
      "Another text altogether, long enough for a chunk or two of some twenty tokens each, and then some more.");
  const Ended text = world.run({"run", "config.json", "--out", "out", "--resume"});
  CHECK(text.code == 2);
  CHECK(text.says("text_0_hash"));
}

TEST_CASE("templora run: closed or broken standard streams and a file size limit do no harm", "[cli]") {
  const World world;
  REQUIRE(world.run_config("whole").code == 0);
  const Ended closed = world.run({"run", "config.json", "--out", "out"}, [] {
    for (int fd = 0; fd < 3; ++fd) ::close(fd);
  });
  CHECK(closed.code == 0);
  CHECK(nlls_and_table(world, "out") == nlls_and_table(world, "whole"));
  const Ended broken = world.run({"run", "config.json", "--out", "broken"}, [] {
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(126);
    ::close(ends[0]);
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
  });
  CHECK(broken.code == 0);
  CHECK(nlls_and_table(world, "broken") == nlls_and_table(world, "whole"));
  const Ended limited = world.run({"run", "config.json", "--out", "limited"}, [] {
    const rlimit limit{20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  });
  INFO(limited.text);
  CHECK(limited.code == int(Exit::resources));
}

TEST_CASE("templora run: a hang-up saves the state", "[cli]") {
  const World world;
  const Ended hung_up = world.run({"run", "config.json", "--out", "out"}, {}, [&](pid_t child) {
    world.wait_for_chunks("out", 2);
    ::kill(child, SIGHUP);
  });
  CHECK(hung_up.code == int(Exit::interrupted));
  CHECK(hung_up.says("SIGHUP"));
}

TEST_CASE("templora run: an existing folder is never overwritten", "[cli]") {
  const World world;
  REQUIRE(world.run_config().code == 0);
  const std::string before = nlls_and_table(world, "out");
  const Ended again = world.run_config();
  CHECK(again.code == 2);
  CHECK(again.says("out"));
  CHECK(nlls_and_table(world, "out") == before);
}

TEST_CASE("templora run: a text of one window is reported as such", "[cli]") {
  const World world;
  world.write("book.txt", "A short text.");
  const Ended ended = world.run_config();
  INFO(ended.text);
  CHECK(ended.code == 0);
  CHECK(ended.says("No longer than one window"));
  CHECK(ended.says(": 1 of 1 texts, book.txt\n"));
  CHECK(world.content("out/table.md").find("## Texts of one window") != std::string::npos);
}

TEST_CASE("templora run: the last module is saved as a PEFT folder and a run can start from it", "[cli]") {
  const World world;
  REQUIRE(world.run({"run", "config.json", "--out", "a", "--set", "lora.save_final=true"}).code == 0);
  CHECK(fs::exists(world.folder / "a/adapters/0/adapter_config.json"));
  REQUIRE(world.run({"run", "config.json", "--out", "b", "--set", "lora.init_from=a/adapters/0"}).code == 0);
  const auto first_nll = [&](const std::string& out) {
    return Json::parse(world.content(out + "/chunks.jsonl").substr(0, world.content(out + "/chunks.jsonl").find('\n')))
        .at("lora_nll")
        .get<double>();
  };
  CHECK(first_nll("b") < first_nll("a") - 0.05);
}

TEST_CASE("templora: help, version and schema", "[cli]") {
  const World world;
  CHECK(world.run({"--help"}).says("run"));
  CHECK(world.run({"--version"}).says("templora 0."));
  const Ended schema = world.run({"schema"});
  CHECK(schema.code == 0);
  CHECK(Json::parse(schema.text).at("properties").contains("window"));
  CHECK(world.run({"no-such-command"}).code == 2);
  CHECK(world.run({}).code == 2);
}

TEST_CASE("templora schema: docs/config.md is what the program prints", "[cli]") {
  const World world;
  const Ended reference = world.run({"schema", "--markdown"});
  CHECK(reference.code == 0);
  // Regenerate with: ./scripts/templora schema --markdown > docs/config.md
  CHECK(reference.text == read_file(fs::path(TEMPLORA_SOURCE_DIR) / "docs/config.md"));
}

TEST_CASE("templora run: controls are columns of their own, killed and resumed with the same result", "[cli]") {
  const World world;
  std::string other;
  for (int i = 0; i < 90; ++i) other += "A lazy dog sleeps, and fox " + std::to_string(3 * i) + " goes round it.\n";
  world.write("other.txt", other);
  const std::vector<std::pair<std::string, Json>> changes{{"control", {"other_book", "mixed_books"}},
                                                          {"data.books", {"book.txt", "other.txt"}},
                                                          {"data.control_books", {"*.txt"}}};
  world.write_config(changes);
  const Ended whole = world.run_config();
  INFO(whole.text);
  REQUIRE(whole.code == 0);
  CHECK(whole.says("mixed_books change %"));
  const Json all = Json::parse(world.content("out/summary.json")).at("all").back();
  CHECK(all.at("other_book").at("tokens") == all.at("lora").at("tokens"));
  CHECK(all.at("other_book").at("corpus") != all.at("mixed_books").at("corpus"));
  CHECK(all.at("lora").at("corpus").get<double>() < all.at("other_book").at("corpus").get<double>());

  const Ended stopped = world.run({"run", "config.json", "--out", "again"}, {}, [&](pid_t child) {
    world.wait_for_chunks("again", 5);
    ::kill(child, SIGKILL);
  });
  REQUIRE(stopped.code == -SIGKILL);
  const Ended resumed = world.run({"run", "config.json", "--out", "again", "--resume"});
  INFO(resumed.text);
  REQUIRE(resumed.code == 0);
  CHECK(nlls_and_table(world, "again") == nlls_and_table(world, "out"));
  for (const char* file : {"/nll/0-other_book.f32", "/nll/1-mixed_books.f32"})
    CHECK(world.content(std::string("again") + file) == world.content(std::string("out") + file));
}

TEST_CASE("templora run: a control without another text is refused before a folder is made", "[cli]") {
  const World world;
  world.write_config({{"control", "other_book"}});
  const Ended ended = world.run_config();
  CHECK(ended.code == 2);
  CHECK(ended.says("data.control_books"));
  CHECK_FALSE(fs::exists(world.folder / "out"));
}
