#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors.h"

namespace templora {

/// One tensor as a header describes it, checked against the file's size.
struct HeaderEntry {
  std::string name;
  StorageType type;
  std::vector<std::int64_t> shape;
  std::size_t begin;  ///< in bytes from the start of the file
  std::size_t bytes;
};

struct SafetensorsHeader {
  std::vector<HeaderEntry> entries;  ///< in the order of their bytes; they fill the file without gap or overlap
  std::map<std::string, std::string> metadata;
};

/// Largest header that is read, the limit of the reference implementation.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

/// Elements of a shape times the bytes of one, false where that overflows. A 0 in the shape does not
/// excuse the other sizes, because strides are made from them.
bool tensor_bytes(StorageType type, const std::vector<std::int64_t>& shape, std::uint64_t& bytes);

/// Reads and checks the header of a whole file's bytes. `where` names the file in messages.
/// Throws Error(bad_input) naming the tensor.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& where);

}  // namespace templora
