#include "comet/weights.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <cstring>

#include "core/error.h"
#include "core/memory_words.h"
#include "io/weight_check.h"

namespace templora {
namespace {

at::ScalarType float_type(StorageType type) {
  switch (type) {
    case StorageType::f64: return at::kDouble;
    case StorageType::f16: return at::kHalf;
    case StorageType::bf16: return at::kBFloat16;
    default: return at::kFloat;  // check_weights lets no other pass
  }
}

// A network on the meta device has names and shapes but no memory.
WantedTensors wanted_tensors(const CometConfig& config) {
  WantedTensors wanted;
  CometNetImpl shapes(config, at::TensorOptions(at::kFloat).device(at::kMeta));
  for (const auto& item : shapes.named_parameters()) wanted[item.key()] = item.value().sizes().vec();
  return wanted;
}

// The format promises no alignment, so the bytes pass through a tensor of their own.
void copy_from(const TensorSpan& span, at::Tensor target) {
  const at::Tensor stored = at::empty(span.shape, at::TensorOptions(float_type(span.type)));
  std::memcpy(stored.data_ptr(), span.bytes.data(), span.bytes.size());
  target.copy_(stored);
  span.file->release(std::size_t(span.bytes.data() - span.file->bytes().data()), span.bytes.size());
}

}  // namespace

CometNet load_comet_net(const std::filesystem::path& folder, const CometConfig& config, const at::Device& device) {
  const SafetensorsFiles files = SafetensorsFiles::open_folder(folder);
  check_weights(files, wanted_tensors(config), "convert the weights again with scripts/convert_comet.py");
  try {
    CometNet net(config, at::TensorOptions(at::kFloat).device(device));
    const at::NoGradGuard no_grad;
    for (auto& item : net->named_parameters()) copy_from(files.at(item.key()), item.value());
    return net;
  } catch (const c10::Error& error) {
    if (dynamic_cast<const c10::OutOfMemoryError*>(&error) == nullptr &&
        !says_out_of_memory(error.what_without_backtrace()))
      throw;
    throw Error(Exit::resources, fmt::format("{}: no memory for the weights on {} ({}); use another device",
                                             files.path().string(), device.str(), error.what_without_backtrace()));
  }
}

}  // namespace templora
