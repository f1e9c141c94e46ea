#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "core/file.h"
#include "core/json.h"
#include "model/tensors.h"

// Committed results of transformers and PEFT, made by scripts/make_goldens.py.
namespace templora::goldens {

inline fs::path folder(const std::string& name = "") {
  return fs::path(TEMPLORA_SOURCE_DIR) / "tests" / "goldens" / name;
}

inline Json json(const std::string& name) { return parse_json(read_file(folder(name)), name); }

inline at::Tensor tensor(const std::string& file, const std::string& name) {
  const SafetensorsFiles files = SafetensorsFiles::open_file(folder(file));
  return view_of(files.at(name)).clone();
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace templora::goldens
