#include <cstdlib>
#include <sstream>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

/// What bash offers for the last of these words; "=" is a word of its own, as readline has it.
std::vector<std::string> offered(const World& world, const std::vector<std::string>& words) {
  std::string line = "templora";
  for (const std::string& word : words) line += " '" + word + "'";
  world.write("ask.sh", "source ./completion\nCOMP_WORDS=(" + line + ")\nCOMP_CWORD=" + std::to_string(words.size()) +
                            "\n_templora\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
  const std::string command = "cd '" + world.folder.path().string() + "' && bash ask.sh > answer 2> problems";
  REQUIRE(std::system(command.c_str()) == 0);
  CHECK(world.content("problems").empty());
  std::vector<std::string> answers;
  std::istringstream text(world.content("answer"));
  for (std::string answer; std::getline(text, answer);)
    if (!answer.empty()) answers.push_back(answer);
  return answers;
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("templora completion: bash completes commands, options, words, files, config keys and their words", "[cli]") {
  const World world;
  const Ended script = world.run({"completion", "bash"});
  REQUIRE(script.code == 0);
  world.write("completion", script.text);

  CHECK(offered(world, {"compl"}) == Words{"completion"});
  CHECK(offered(world, {"s"}) == Words{"schema", "sweep", "status"});
  CHECK(offered(world, {"run", "--dr"}) == Words{"--dry-run"});
  CHECK(offered(world, {"verify", "--re"}) == Words{"--replay"});
  CHECK(offered(world, {"report", "x", "--format", "ht"}) == Words{"html"});
  CHECK(offered(world, {"report", "--format", "=", "ht"}) == Words{"html"});
  CHECK(offered(world, {"completion", "z"}) == Words{"zsh"});
  CHECK(offered(world, {"run", "book"}) == Words{"book.txt"});
  CHECK(offered(world, {"run", "config.json", "--out", "mod"}) == Words{"model"});

  CHECK(offered(world, {"run", "config.json", "--set", "train.ep"}) == Words{"train.epochs="});
  CHECK(offered(world, {"cost", "config.json", "--set", "window.ch"}) == Words{"window.chunk_tokens="});
  CHECK(offered(world, {"run", "config.json", "--set", "model.dtype", "="}) == Words{"float32", "bfloat16"});
  CHECK(offered(world, {"run", "config.json", "--set", "model.dtype", "=", "b"}) == Words{"bfloat16"});
  CHECK(offered(world, {"run", "config.json", "--set", "cache.policy=re"}) ==
        Words{"cache.policy=rebuild", "cache.policy=refill"});
  CHECK(offered(world, {"run", "config.json", "--set", "score.base", "=", ""}) == Words{"true", "false"});
  CHECK(offered(world, {"run", "config.json", "--set", "model.path", "=", "mod"}) == Words{"model"});
  CHECK(offered(world, {"run", "config.json", "--set", "train.epochs=2", "--res"}) == Words{"--resume"});
  // Every key that a config can have.
  const std::size_t keys = offered(world, {"run", "config.json", "--set", ""}).size();
  const Json schema = Json::parse(world.run({"schema", "--sweep"}).text);
  CHECK(keys == schema.at("properties").at("axes").at("properties").size());
}

TEST_CASE("templora completion: what zsh reads is a script, with commands, options and config keys", "[cli]") {
  const World world;
  const Ended script = world.run({"completion", "zsh"});
  REQUIRE(script.code == 0);
  CHECK(script.text.starts_with("#compdef templora\n"));
  CHECK(script.says("'run:run the experiment of a config file'"));
  CHECK(script.says("'--dry-run:"));
  CHECK(script.says("(report:--format) compadd -- md csv"));
  CHECK(script.says(" train.learning_rate "));
  CHECK(script.says("(model.dtype) compadd -- float32 bfloat16 ;;"));
  world.write("_templora", script.text);
  if (std::system("command -v zsh > /dev/null") != 0) return;
  CHECK(std::system(("zsh -n '" + (world.folder / "_templora").string() + "'").c_str()) == 0);
}

TEST_CASE("templora completion: another shell is refused", "[cli]") {
  const World world;
  const Ended ended = world.run({"completion", "fish"});
  CHECK(ended.code != 0);
  CHECK(ended.says("bash"));
}

TEST_CASE("templora --help: each command has two examples with options that it knows", "[cli]") {
  const World world;
  const std::string all = world.run({"--help"}).text;
  std::istringstream list(all.substr(all.find("ubcommands:")));
  std::vector<std::string> commands;
  std::string line;
  std::getline(list, line);
  while (std::getline(list, line)) {
    std::istringstream words(line);
    std::string name;
    if (line.starts_with("  ") && line.size() > 2 && line[2] != ' ' && words >> name) commands.push_back(name);
  }
  CHECK(commands.size() >= 14);
  for (const std::string& command : commands) {
    INFO(command);
    const Ended help = world.run({command, "--help"});
    CHECK(help.code == 0);
    const std::size_t at = help.text.find("Examples:\n");
    REQUIRE(at != std::string::npos);
    const std::string options = help.text.substr(0, at);
    std::istringstream examples(help.text.substr(at + 10));
    int count = 0;
    while (std::getline(examples, line) && !line.empty()) {
      INFO(line);
      ++count;
      CHECK(line.find("templora " + command) != std::string::npos);
      std::istringstream words(line);
      for (std::string word; words >> word;)
        if (word.starts_with("--")) CHECK(options.find(word) != std::string::npos);
    }
    CHECK(count >= 2);
  }
}
