#include "model/tensors.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include "core/check.h"

namespace templora {
namespace {

constexpr std::pair<StorageType, at::ScalarType> kTypes[] = {
    {StorageType::f64, at::kDouble}, {StorageType::f32, at::kFloat}, {StorageType::f16, at::kHalf},
    {StorageType::bf16, at::kBFloat16}, {StorageType::i64, at::kLong}, {StorageType::i32, at::kInt},
    {StorageType::i16, at::kShort}, {StorageType::i8, at::kChar}, {StorageType::u8, at::kByte},
    {StorageType::boolean, at::kBool}};

at::ScalarType scalar_type(StorageType type) {
  for (const auto& [storage, scalar] : kTypes)
    if (storage == type) return scalar;
  TEMPLORA_CHECK(false, "unknown storage type");
  return at::kFloat;
}

StorageType storage_type(at::ScalarType type) {
  for (const auto& [storage, scalar] : kTypes)
    if (scalar == type) return storage;
  TEMPLORA_CHECK(false, "this dtype is never stored");
  return StorageType::f32;
}

}  // namespace

at::Tensor view_of(const TensorSpan& span) {
  // The format promises no alignment; an element that straddles one is copied first.
  const auto address = reinterpret_cast<std::uintptr_t>(span.bytes.data());
  void* data = const_cast<std::byte*>(span.bytes.data());
  if (span.bytes.empty() || address % element_bytes(span.type) == 0)
    return at::from_blob(data, span.shape, at::TensorOptions(scalar_type(span.type)));
  const at::Tensor copy = at::empty(span.shape, at::TensorOptions(scalar_type(span.type)));
  std::copy(span.bytes.begin(), span.bytes.end(), static_cast<std::byte*>(copy.data_ptr()));
  return copy;
}

void copy_stored(const SafetensorsFiles& files, const std::string& name, at::Tensor target) {
  const at::Tensor stored = view_of(files.at(name));
  if (stored.sizes() != target.sizes() || stored.scalar_type() != target.scalar_type())
    throw Error(Exit::bad_input,
                fmt::format("{}: {}: has another shape or dtype than this run's", files.path().string(), name));
  const at::NoGradGuard no_grad;
  target.copy_(stored);
}

void save_tensors(const fs::path& file, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> on_cpu;  // keeps the bytes alive until they are written
  std::vector<TensorToWrite> entries;
  for (const auto& [name, tensor] : tensors) {
    on_cpu.push_back(tensor.detach().cpu().contiguous());
    const at::Tensor& t = on_cpu.back();
    entries.push_back({name, storage_type(t.scalar_type()), t.sizes().vec(),
                       std::span(static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes())});
  }
  write_safetensors(file, entries, metadata);
}

}  // namespace templora
