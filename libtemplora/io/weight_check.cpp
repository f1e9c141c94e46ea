#include "io/weight_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"

namespace templora {
namespace {

constexpr std::size_t kNamedInError = 6;  // tensors listed of each kind; the rest is counted

bool is_float(StorageType type) {
  return type == StorageType::f32 || type == StorageType::bf16 || type == StorageType::f16 || type == StorageType::f64;
}

void add_problem(std::string& message, const std::vector<std::string>& names, const char* what) {
  if (names.empty()) return;
  const std::size_t shown = std::min(names.size(), kNamedInError);
  message += fmt::format("; {} {}: {}{}", names.size(), what, fmt::join(names.begin(), names.begin() + shown, ", "),
                         names.size() > shown ? ", ..." : "");
}

}  // namespace

void check_weights(const SafetensorsFiles& files, const WantedTensors& wanted, const std::string& advice,
                   const std::function<bool(const std::string&)>& is_redundant) {
  std::vector<std::string> missing, extra, misshapen;
  for (const auto& [name, shape] : wanted) {
    const auto found = files.tensors().find(name);
    if (found == files.tensors().end()) {
      const auto named = files.absent().find(name);
      const bool promised = named != files.absent().end();
      missing.push_back(promised ? fmt::format("{} (the index names {})", name, printable(named->second)) : name);
    } else if (found->second.shape != shape) {
      misshapen.push_back(fmt::format("{} has [{}], config.json wants [{}]", name, fmt::join(found->second.shape, ", "),
                                      fmt::join(shape, ", ")));
    } else if (!is_float(found->second.type)) {
      misshapen.push_back(
          fmt::format("{} has dtype {}, a floating-point one is wanted", name, storage_type_name(found->second.type)));
    }
  }
  for (const auto& [name, span] : files.tensors())
    if (!wanted.contains(name) && !(is_redundant && is_redundant(name))) extra.push_back(printable(name));
  std::string problems;
  add_problem(problems, missing, "missing");
  add_problem(problems, misshapen, "of the wrong shape or dtype");
  add_problem(problems, extra, "that this model has no place for");
  if (!problems.empty())
    throw Error(Exit::bad_input,
                fmt::format("{}: tensors do not fit config.json{}; {}", files.path().string(), problems, advice));
}

}  // namespace templora
