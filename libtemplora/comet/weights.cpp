#include "comet/weights.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "core/error.h"
#include "io/safetensors.h"

namespace templora {
namespace {

constexpr std::size_t kNamedInError = 6;  // tensors listed of each kind; the rest is counted

std::optional<at::ScalarType> float_type(StorageType type) {
  switch (type) {
    case StorageType::f64: return at::kDouble;
    case StorageType::f32: return at::kFloat;
    case StorageType::f16: return at::kHalf;
    case StorageType::bf16: return at::kBFloat16;
    default: return {};
  }
}

void add_problem(std::string& message, const std::vector<std::string>& names, const char* what) {
  if (names.empty()) return;
  const std::size_t shown = std::min(names.size(), kNamedInError);
  message += fmt::format("; {} {}: {}{}", names.size(), what, fmt::join(names.begin(), names.begin() + shown, ", "),
                         names.size() > shown ? ", ..." : "");
}

void check_tensors(const SafetensorsFiles& files, const CometConfig& config) {
  // A network on the meta device has names and shapes but no memory.
  CometNetImpl shapes(config, at::TensorOptions(at::kFloat).device(at::kMeta));
  std::vector<std::string> missing, extra, misshapen;
  std::set<std::string> known;
  for (const auto& item : shapes.named_parameters()) {
    known.insert(item.key());
    const auto found = files.tensors().find(item.key());
    if (found == files.tensors().end()) {
      missing.push_back(item.key());
    } else if (const auto wanted = item.value().sizes().vec(); found->second.shape != wanted) {
      misshapen.push_back(fmt::format("{} has [{}], config.json wants [{}]", item.key(),
                                      fmt::join(found->second.shape, ", "), fmt::join(wanted, ", ")));
    } else if (!float_type(found->second.type)) {
      misshapen.push_back(fmt::format("{} has dtype {}, a floating-point one is wanted", item.key(),
                                      storage_type_name(found->second.type)));
    }
  }
  for (const auto& [name, span] : files.tensors())
    if (!known.contains(name)) extra.push_back(printable(name));
  std::string problems;
  add_problem(problems, missing, "missing");
  add_problem(problems, misshapen, "of the wrong shape or dtype");
  add_problem(problems, extra, "that this model has no place for");
  if (!problems.empty())
    throw Error(Exit::bad_input, fmt::format("{}: tensors do not fit config.json{}; convert the weights again with scripts/convert_comet.py",
                                             files.path().string(), problems));
}

// The format promises no alignment, so the bytes pass through a tensor of their own.
void copy_from(const TensorSpan& span, at::Tensor target) {
  const at::Tensor stored = at::empty(span.shape, at::TensorOptions(*float_type(span.type)));
  std::memcpy(stored.data_ptr(), span.bytes.data(), span.bytes.size());
  target.copy_(stored);
  span.file->release(std::size_t(span.bytes.data() - span.file->bytes().data()), span.bytes.size());
}

}  // namespace

CometNet load_comet_net(const std::filesystem::path& folder, const CometConfig& config, const at::Device& device) {
  const SafetensorsFiles files = SafetensorsFiles::open_folder(folder);
  check_tensors(files, config);
  try {
    CometNet net(config, at::TensorOptions(at::kFloat).device(device));
    const at::NoGradGuard no_grad;
    for (auto& item : net->named_parameters()) copy_from(files.at(item.key()), item.value());
    return net;
  } catch (const c10::Error& error) {
    throw Error(Exit::resources, fmt::format("{}: no memory for the weights on {} ({}); use another device", files.path().string(),
                                             device.str(), error.what_without_backtrace()));
  }
}

}  // namespace templora
