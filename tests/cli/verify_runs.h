#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/hash.h"
#include "program.h"

// Small honest runs of every kind, and ways to damage their folders.
namespace templora_test {

using Changes = std::vector<std::pair<std::string, Json>>;

inline Changes operator+(Changes a, const Changes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The program's world with a second book, a novel and a held-out text.
class VerifyWorld : public World {
 public:
  VerifyWorld() {
    LlamaConfig config = read_llama_config(folder / "model/config.json");
    config.max_positions = 1024;  // a translation's prompts are long
    Llama model(config, at::TensorOptions(at::kFloat));
    init_random_weights(*model, 3, 0.1);
    save_llama(*model, folder / "model");
    std::string other;
    for (int i = 0; i < 50; ++i) other += "A lazy dog sleeps, and fox " + std::to_string(3 * i) + " goes round it.\n";
    write("other.txt", other);
    std::filesystem::create_directory(folder / "more");
    write("more/book.txt", other);  // a book with another one's name
    write("held.txt",
          "A lazy fox and a quick dog sat down together, and neither of them jumped over anything that day.\n");
    Json novel = Json::array(), before = Json::array();
    for (int c = 0; c < 3; ++c) {
      Json pairs = Json::array();
      for (int i = 0; i < 2; ++i)
        pairs.push_back(
            {{"zh", "zh " + std::to_string(2 * c + i)}, {"en", "The voice of fox " + std::to_string(c) + "."}});
      novel.push_back({{"contexts", {{"k1", before}, {"k3", before}}}, {"inference", pairs}});
      before = pairs;
    }
    write("a.train", novel.dump());
  }

  /// Two books of 300 tokens, both controls, the adapters kept.
  static Changes books() {
    return {{"data.books", {"book.txt", "other.txt"}},
            {"data.max_tokens", 300},
            {"control", {"other_book", "mixed_books"}},
            {"data.control_books", {"book.txt", "other.txt", "held*.txt"}},
            {"lora.save_final", true},
            {"score.keep_tokens", true}};
  }
  static Changes generation() {
    return {{"experiment", "generation"},
            {"data", Json::object()},
            {"generate.prompt", "The quick brown fox"},
            {"generate.tokens", 150},
            {"generate.temperature", 1.0}};
  }
  static Changes translation() {
    return {{"experiment", "translation"}, {"data", {{"novels", {"a.train"}}}}, {"translation", {{"prompt", "plain"}}},
            {"generate", {{"max_new_tokens", 6}}}};
  }

  Ended make(const std::string& out, const Changes& changes) const {
    write_config(changes);
    return run_config(out);
  }
  Ended make_pretrain(const std::string& out) const {
    const Json config{{"experiment", "pretrain"},
                      {"model", {{"tokenizer", "model"}, {"device", "cpu"}}},
                      {"data", {{"books", {"book.txt", "other.txt"}}, {"validation", {"held.txt"}}}},
                      {"pretrain",
                       {{"layers", 1},
                        {"hidden", 16},
                        {"ffn", 16},
                        {"heads", 1},
                        {"sequence_tokens", 16},
                        {"batch_sequences", 4},
                        {"micro_sequences", 4},
                        {"tokens", 12 * 64},
                        {"warmup_steps", 4},
                        {"save_every_steps", 5},
                        {"validate_every_steps", 4}}},
                      {"run", {{"threads", 1}}}};
    write("config.json", config.dump());
    return run_config(out);
  }
};

/// A run's folder that is damaged, and put back as it was.
class Folder {
 public:
  explicit Folder(fs::path path) : path_(std::move(path)) {}
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

  std::string text(const std::string& name) const { return read_file(path_ / name); }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }

  void replace(const std::string& name, const std::string& from, const std::string& to) const {
    std::string content = text(name);
    const std::size_t at = content.find(from);
    if (at == std::string::npos) throw std::runtime_error(name + ": no " + from);
    write(name, content.replace(at, from.size(), to));
  }
  void set(const std::string& name, const std::string& pointer, const Json& value) const {
    Json json = Json::parse(text(name));
    json[Json::json_pointer(pointer)] = value;
    write(name, json.dump(2) + "\n");
  }
  void erase(const std::string& name, const std::string& parent, const std::string& key) const {
    Json json = Json::parse(text(name));
    json[Json::json_pointer(parent)].erase(key);
    write(name, json.dump(2) + "\n");
  }

  std::vector<std::string> lines(const std::string& name) const {
    std::istringstream stream(text(name));
    std::vector<std::string> found;
    for (std::string line; std::getline(stream, line);) found.push_back(line);
    return found;
  }
  void set_lines(const std::string& name, const std::vector<std::string>& all) const {
    std::string content;
    for (const std::string& line : all) content += line + "\n";
    write(name, content);
  }
  Json line(const std::string& name, std::size_t index) const { return Json::parse(lines(name).at(index)); }
  void set_line(const std::string& name, std::size_t index, const std::string& pointer, const Json& value) const {
    std::vector<std::string> all = lines(name);
    Json json = Json::parse(all.at(index));
    json[Json::json_pointer(pointer)] = value;
    all[index] = json.dump();
    set_lines(name, all);
  }
  void erase_key(const std::string& name, std::size_t index, const std::string& key) const {
    std::vector<std::string> all = lines(name);
    Json json = Json::parse(all.at(index));
    json.erase(key);
    all[index] = json.dump();
    set_lines(name, all);
  }
  void drop_line(const std::string& name, std::size_t index) const {
    std::vector<std::string> all = lines(name);
    all.erase(all.begin() + std::ptrdiff_t(index));
    set_lines(name, all);
  }

  void set_value(const std::string& name, std::size_t index, float value) const {
    std::string bytes = text(name);
    std::memcpy(bytes.data() + 4 * index, &value, 4);
    write(name, bytes);
  }
  float value(const std::string& name, std::size_t index) const {
    float value = 0;
    std::memcpy(&value, text(name).data() + 4 * index, 4);
    return value;
  }

  /// "state/state-3": the newest state without its suffix.
  std::string newest_state() const {
    int newest = -1;
    for (const fs::directory_entry& entry : fs::directory_iterator(path_ / "state"))
      if (entry.path().extension() == ".json")
        newest = std::max(newest, std::stoi(entry.path().stem().string().substr(6)));
    return "state/state-" + std::to_string(newest);
  }
  /// Changes a state and gives it the hash that fits, as no accident would.
  void set_state(const std::string& pointer, const Json& value) const {
    const std::string name = newest_state() + ".json";
    Json json = Json::parse(text(name));
    json[Json::json_pointer(pointer)] = value;
    json.erase("hash");
    json["hash"] = hash_hex(dump_json(json, "state"));
    write(name, dump_json_pretty(json, "state"));
  }

 private:
  fs::path path_;
};

struct Damage {
  const char* what;
  const char* finding;
  std::function<void(const Folder&)> make;
};

}  // namespace templora_test
