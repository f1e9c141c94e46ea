#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"

namespace templora {

enum class StorageType { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

/// Bytes per element.
std::size_t element_bytes(StorageType type);
/// The name in a safetensors header ("BF16").
const char* storage_type_name(StorageType type);

/// One stored tensor: a span over mapped bytes, row-major, valid while its SafetensorsFiles lives. The
/// bytes need not be aligned for their type: copy them, do not cast the pointer.
struct TensorSpan {
  StorageType type;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  const MappedFile* file;   ///< for MappedFile::release after copying
};

/// The tensors of a model folder: `model.safetensors`, or the shards of `model.safetensors.index.json`;
/// or of one named file. Everything is checked before anything is handed out: header length, JSON, dtype,
/// shape overflow, offsets (in range, not overlapping, no holes), shards inside the folder or below it, each stored
/// tensor in the shard that the index names. The file of a shard's name may be a link that leads elsewhere, as in a
/// hub's cache. An index may name tensors that no shard has (absent()). Only StorageType's dtypes are taken. Throws
/// Error(bad_input) naming file and tensor; where the folder has only Python pickles, with the command that converts
/// them.
class SafetensorsFiles {
 public:
  static SafetensorsFiles open_folder(const fs::path& folder);
  static SafetensorsFiles open_file(const fs::path& file);

  const std::map<std::string, TensorSpan>& tensors() const { return tensors_; }
  /// Throws Error(bad_input) if there is none of that name.
  const TensorSpan& at(const std::string& name) const;
  /// Tensors that the index names and the shard that it names for them has not: shard by tensor.
  const std::map<std::string, std::string>& absent() const { return absent_; }
  /// The header's `__metadata__` (of the first file), strings only.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Where the tensors came from, for messages.
  const fs::path& path() const { return path_; }

 private:
  void add_file(const fs::path& file);
  fs::path path_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, TensorSpan> tensors_;
  std::map<std::string, std::string> absent_, metadata_;
};

/// A tensor to be written: contiguous row-major bytes.
struct TensorToWrite {
  std::string name;
  StorageType type;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes one safetensors file atomically, header padded to 8 bytes as the reference implementation does.
/// Throws Error(resources); an existing file of that name then stays.
void write_safetensors(const fs::path& file, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace templora
