#include "config/first_config.h"

#include <fmt/format.h>

#include "config/config_fields.h"
#include "config/windows.h"

namespace templora {
namespace {

/// What was found good: docs/small-model.md, docs/real-models.md, the paper.
struct Advice {
  double learning_rate, dropout;
  const char* from;
};

Advice advice_for(double parameters) {
  if (parameters < 5e7) return {5e-4, 0, "found good for a model of 6 M weights"};
  if (parameters < 2.5e8) return {4e-4, 0, "found good for a model of 135 M weights"};
  if (parameters < 1e9) return {1e-4, 0, "used for a model of 494 M weights; others were not tried"};
  return {5e-5, 0.05, "the paper's, for 6 B weights and more"};
}

/// The key that a model needs whose projections have other names than the default.
std::string targets_of(const ModelShape& shape) {
  const std::vector<std::string> names = shape.layer(0).projections();
  if (names == LoraConfig().targets) return "";
  return fmt::format(",\n    \"targets\": {}  // all that this model has", Json(names).dump());
}

std::string list_of(const std::vector<std::string>& books) {
  std::string list;
  for (const std::string& book : books)
    list += fmt::format("{}{}", list.empty() ? "" : ",\n              ", dump_json(Json(book), "--books"));
  return list;
}

}  // namespace

std::string first_config(const FirstConfig& first) {
  const Windows windows = windows_for(first.shape.max_positions);
  const Advice advice = advice_for(first.shape.parameters());
  return fmt::format(
      R"({{
  // Books are read chunk by chunk and scored twice: by the model as it is, and with a temporary LoRA that learns each
  // chunk after it was scored. docs/config.md has all keys; what is not here has the paper's value.
  //   templora run FILE --dry-run   says what it would take
  //   templora run FILE             does it
  "experiment": "perplexity",
  "seed": 42,
  "model": {{
    "path": {model},  // {layers} layers, hidden {hidden}, {parameters:.3g} M weights, {positions} positions
    "dtype": "{dtype}"  // "float32" is exact; "bfloat16" takes half the memory, and is faster on a GPU or with AVX-512
  }},
  "data": {{
    "books": [{books}],  // UTF-8, one book a file; patterns such as "books/*.txt" too
    "max_tokens": 20000  // of each book, for a first look; 0 reads whole books
  }},
  "window": {{
    "chunk_tokens": {chunk},  // Δ: the adapter learns after each of these
    "context_tokens": {context}  // L_X, seen before a chunk; with Δ at most the model's {positions} positions
  }},
  "lora": {{
    "rank": 64,
    "alpha": 64,
    "dropout": {dropout}{targets}
  }},
  "train": {{
    "prefix_tokens": {context},  // L_T, put before a chunk when it is learnt
    "epochs": 2,
    "learning_rate": {rate}  // {from}; the first key to vary
  }},
  "score": {{
    "segment_edges": [0, 5000, 10000]  // the table has a row for each part of the books that begins here
  }}
}}
)",
      fmt::arg("model", dump_json(Json(first.model), "--model")), fmt::arg("layers", first.shape.layers),
      fmt::arg("hidden", first.shape.hidden), fmt::arg("parameters", first.shape.parameters() / 1e6),
      fmt::arg("positions", first.shape.max_positions), fmt::arg("dtype", enum_name(first.dtype)),
      fmt::arg("books", list_of(first.books)), fmt::arg("chunk", windows.chunk_tokens),
      fmt::arg("context", windows.context_tokens), fmt::arg("dropout", advice.dropout),
      fmt::arg("rate", advice.learning_rate), fmt::arg("from", advice.from),
      fmt::arg("targets", targets_of(first.shape)));
}

}  // namespace templora
