#pragma once

#include <fstream>
#include <string>

#include "../core/fixtures.h"
#include "core/json.h"

namespace templora_test {

using namespace templora;

/// A folder with a base config, a model folder and a text: what a sweep names. Nothing in it is ever computed with.
struct SweepFiles {
  SweepFiles() {
    fs::create_directories(folder / "model");
    write(
        "model/config.json",
        R"({"model_type": "llama", "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
                                   "num_attention_heads": 2, "max_position_embeddings": 128})");
    write("model/model.safetensors", "weights");
    write("model/tokenizer.model", "pieces");
    write("book.txt", std::string(4000, 'a'));
    write("base.json", Json{{"model", {{"path", "model"}}},
                            {"data", {{"books", {"book.txt"}}}},
                            {"window", {{"chunk_tokens", 16}, {"context_tokens", 48}}},
                            {"train", {{"prefix_tokens", 48}}}}.dump());
  }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder / name, std::ios::binary) << content;
  }
  /// A sweep file of this base and these further keys.
  fs::path sweep(Json keys, const std::string& name = "sweep.json") const {
    if (!keys.contains("base")) keys["base"] = "base.json";
    write(name, keys.dump());
    return folder / name;
  }
  TempFolder folder;
};

}  // namespace templora_test
