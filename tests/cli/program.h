#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/file.h"
#include "core/json.h"
#include "model/load.h"
#include "text/tokenizer.h"

// A small world for the program: a random model with a tokenizer, a book, a config.
namespace templora_test {

using namespace templora;

struct Ended {
  int code = -1;     ///< exit code, or minus the signal
  std::string text;  ///< stdout and stderr
  bool says(const std::string& part) const { return text.find(part) != std::string::npos; }
  /// Lines of the program's own ("templora: …").
  int lines() const {
    int count = 0;
    for (std::size_t at = text.find("templora: "); at != std::string::npos; at = text.find("templora: ", at + 1))
      ++count;
    return count;
  }
};

class World {
 public:
  World() {
    const fs::path tokenizer = fs::path(TEMPLORA_SOURCE_DIR) / "tests/text/goldens/tokenizers/bare";
    fs::create_directories(folder / "model");
    fs::copy(tokenizer, folder / "model", fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    LlamaConfig config;
    config.vocab_size = Tokenizer(folder / "model").size();
    config.hidden_size = 32;
    config.ffn_size = 48;
    config.layers = 2;
    config.heads = config.kv_heads = 2;
    config.head_dim = 16;
    config.max_positions = 128;
    Llama model(config, at::TensorOptions(at::kFloat));
    init_random_weights(*model, 3, 0.1);
    save_llama(*model, folder / "model");
    std::string text;
    for (int i = 0; i < 60; ++i)
      text += "The quick brown fox, number " + std::to_string(i) + ", jumps over the lazy dog.\n";
    write("book.txt", text);
    write_config({});
  }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder / name, std::ios::binary) << content;
  }

  /// config.json with these keys ("train.epochs") changed.
  void write_config(const std::vector<std::pair<std::string, Json>>& changes) const {
    Json config{{"model", {{"path", "model"}}},
                {"data", {{"books", {"book.txt"}}}},
                {"window", {{"chunk_tokens", 24}, {"context_tokens", 40}}},
                {"lora", {{"rank", 4}, {"alpha", 8}, {"dropout", 0.1}}},
                {"train", {{"prefix_tokens", 40}, {"learning_rate", 0.003}}},
                {"run", {{"threads", 1}, {"save_every_chunks", 3}}}};
    for (const auto& [key, value] : changes) {
      std::string pointer = "/" + key;
      for (char& c : pointer) c = c == '.' ? '/' : c;
      config[Json::json_pointer(pointer)] = value;
    }
    write("config.json", config.dump());
  }

  /// Runs `templora ARGUMENTS…` in the folder; `in_child` runs before the program starts, `meanwhile` with its
  /// process id while it runs.
  Ended run(const std::vector<std::string>& arguments, const std::function<void()>& in_child = {},
            const std::function<void(pid_t)>& meanwhile = {}) const {
    const fs::path log = folder / "log";
    const pid_t child = ::fork();
    if (child == 0) {
      const int out = ::open(log.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
      ::dup2(out, 1);
      ::dup2(out, 2);
      if (::chdir(folder.path().c_str()) != 0) ::_exit(126);
      if (in_child) in_child();
      const std::string program = std::string(TEMPLORA_BINARY_DIR) + "/templora";
      std::vector<char*> argv{const_cast<char*>(program.c_str())};
      for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
      argv.push_back(nullptr);
      ::execv(program.c_str(), argv.data());
      ::_exit(127);
    }
    if (meanwhile) meanwhile(child);
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_file(log)};
  }

  Ended run_config(const std::string& out = "out") const { return run({"run", "config.json", "--out", out}); }

  /// Waits until the run in folder `out` has written `chunks` records.
  void wait_for_chunks(const std::string& out, int chunks) const {
    for (int i = 0; i < 20000; ++i) {
      std::ifstream records(folder / (out + "/chunks.jsonl"));
      int lines = 0;
      for (std::string line; std::getline(records, line);) ++lines;
      if (lines >= chunks) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  /// Runs what has to fail, with this code and one line that says `words`.
  void refuses(const std::vector<std::string>& arguments, int code, const std::string& words) const {
    const Ended ended = run(arguments);
    INFO(ended.text);
    CHECK(ended.code == code);
    CHECK(ended.says(words));
    CHECK(ended.lines() == 1);
  }

  std::string content(const std::string& name) const { return read_file(folder / name); }

  /// The records of a .jsonl file.
  std::vector<Json> records(const std::string& name) const {
    std::vector<Json> records;
    std::ifstream file(folder / name);
    for (std::string line; std::getline(file, line);) records.push_back(Json::parse(line));
    return records;
  }

  TempFolder folder;
};

/// Checks that config.json is refused: one clear line, this code, and nothing left behind.
inline void check_refused(const World& world, Exit code, const std::vector<std::string>& parts) {
  const Ended ended = world.run_config();
  INFO(ended.text);
  CHECK(ended.code == int(code));
  for (const std::string& part : parts) CHECK(ended.says(part));
  CHECK(ended.lines() <= 2);  // the run folder's name, and the error
  CHECK_FALSE(fs::exists(world.folder / "out"));
}

}  // namespace templora_test
