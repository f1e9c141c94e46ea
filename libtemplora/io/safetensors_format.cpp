#include "io/safetensors_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

#include "core/error.h"
#include "core/git_lfs.h"

namespace templora {

namespace {

static_assert(std::endian::native == std::endian::little, "stored numbers are little-endian and used in place");

struct TypeRow {
  StorageType type;
  const char* name;
  std::size_t bytes;
};

constexpr TypeRow kTypes[] = {
    {StorageType::f64, "F64", 8},      {StorageType::f32, "F32", 4}, {StorageType::f16, "F16", 2},
    {StorageType::bf16, "BF16", 2},    {StorageType::i64, "I64", 8}, {StorageType::i32, "I32", 4},
    {StorageType::i16, "I16", 2},      {StorageType::i8, "I8", 1},   {StorageType::u8, "U8", 1},
    {StorageType::boolean, "BOOL", 1},
};

constexpr std::size_t kMaxDimensions = 64;  // as many as torch takes

const TypeRow& row(StorageType type) { return kTypes[static_cast<std::size_t>(type)]; }

/// Reads the fields of one tensor; every message starts "file: tensor: ".
class EntryReader {
 public:
  EntryReader(const std::string& where, const std::string& name, std::uint64_t header_end, std::uint64_t file_bytes)
      : where_(where), name_(name), header_end_(header_end), data_bytes_(file_bytes - header_end) {}

  HeaderEntry read(const Json& info) const {
    if (!info.is_object()) refuse("got no JSON object, wanted one with dtype, shape and data_offsets");
    HeaderEntry entry{name_, type(field(info, "dtype")), shape(field(info, "shape")), 0, 0};
    const auto [begin, end] = offsets(field(info, "data_offsets"));
    std::uint64_t wanted = 0;
    if (!tensor_bytes(entry.type, entry.shape, wanted)) {
      refuse(
          fmt::format("shape {}: the number of bytes overflows 64 bits; the file is damaged", info.at("shape").dump()));
    }
    if (end - begin != wanted) {
      refuse(fmt::format("data_offsets [{}, {}]: got {} bytes, {} of shape {} wants {}; the file is damaged", begin,
                         end, end - begin, storage_type_name(entry.type), info.at("shape").dump(), wanted));
    }
    if (end > data_bytes_) {
      refuse(
          fmt::format("data_offsets [{}, {}]: the file holds only {} bytes of tensors; it is cut off, fetch it again",
                      begin, end, data_bytes_));
    }
    entry.begin = header_end_ + begin;
    entry.bytes = wanted;
    return entry;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(Exit::bad_input, fmt::format("{}: {}: {}", where_, printable(name_), what));
  }

  const Json& field(const Json& info, const char* key) const {
    const auto found = info.find(key);
    if (found == info.end()) refuse(fmt::format("{}: is missing; the file is damaged", key));
    return *found;
  }

  StorageType type(const Json& value) const {
    if (!value.is_string()) refuse("dtype: got no string, wanted the name of a dtype");
    const auto& text = value.get_ref<const std::string&>();
    for (const TypeRow& known : kTypes) {
      if (text == known.name) return known.type;
    }
    refuse(
        fmt::format("dtype: got {}, wanted F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL; convert the file first",
                    printable(text, 40)));
  }

  std::uint64_t size(const Json& value, const char* key) const {
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0) {
      const auto dumped = [&] { return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace), 40); };
      const std::string got = value.is_structured() ? value.type_name() : dumped();
      refuse(fmt::format("{}: got {}, wanted integers that are not negative", key, got));
    }
    return static_cast<std::uint64_t>(value.get<std::int64_t>());
  }

  std::vector<std::int64_t> shape(const Json& value) const {
    if (!value.is_array()) refuse("shape: got no array, wanted one of sizes");
    if (value.size() > kMaxDimensions)
      refuse(fmt::format("shape: got {} sizes, wanted at most {}", value.size(), kMaxDimensions));
    std::vector<std::int64_t> out;
    for (const Json& item : value) out.push_back(static_cast<std::int64_t>(size(item, "shape")));
    return out;
  }

  std::pair<std::uint64_t, std::uint64_t> offsets(const Json& value) const {
    if (!value.is_array() || value.size() != 2) refuse("data_offsets: wanted an array of two integers, begin and end");
    const std::uint64_t begin = size(value[0], "data_offsets"), end = size(value[1], "data_offsets");
    if (end < begin)
      refuse(fmt::format("data_offsets [{}, {}]: the end is before the begin; the file is damaged", begin, end));
    return {begin, end};
  }

  const std::string& where_;
  const std::string& name_;
  std::uint64_t header_end_;
  std::uint64_t data_bytes_;
};

std::map<std::string, std::string> read_metadata(const Json& value, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw Error(Exit::bad_input, fmt::format("{}: __metadata__: {}", where, what));
  };
  if (!value.is_object()) refuse("got no JSON object, wanted one of strings");
  std::map<std::string, std::string> out;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      refuse(fmt::format("{}: got a value of type {}, wanted a string", printable(key), text.type_name()));
    out[key] = text.get<std::string>();
  }
  return out;
}

/// The tensors, sorted by their bytes, must fill what follows the header exactly.
void check_coverage(const std::vector<HeaderEntry>& entries, std::uint64_t header_end, std::uint64_t file_bytes,
                    const std::string& where) {
  std::uint64_t covered = header_end;
  const HeaderEntry* previous = nullptr;
  for (const HeaderEntry& entry : entries) {
    if (entry.begin < covered) {
      throw Error(Exit::bad_input,
                  fmt::format("{}: {}: its bytes overlap those of {}, wanted tensors side by side; the file is damaged",
                              where, printable(entry.name), printable(previous->name)));
    }
    if (entry.begin > covered) {
      throw Error(Exit::bad_input,
                  fmt::format("{}: {}: {} bytes before it belong to no tensor, wanted no holes; the file is damaged",
                              where, printable(entry.name), entry.begin - covered));
    }
    covered = entry.begin + entry.bytes;
    previous = &entry;
  }
  if (covered != file_bytes) {
    throw Error(Exit::bad_input,
                fmt::format("{}: {} bytes after {} belong to no tensor, wanted none; the file is damaged", where,
                            file_bytes - covered, previous == nullptr ? "the header" : printable(previous->name)));
  }
}

}  // namespace

std::size_t element_bytes(StorageType type) { return row(type).bytes; }

const char* storage_type_name(StorageType type) { return row(type).name; }

bool tensor_bytes(StorageType type, const std::vector<std::int64_t>& shape, std::uint64_t& bytes) {
  std::int64_t product = static_cast<std::int64_t>(element_bytes(type));
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size == 0) empty = true;
    if (__builtin_mul_overflow(product, std::max<std::int64_t>(size, 1), &product)) return false;
  }
  bytes = empty ? 0 : static_cast<std::uint64_t>(product);
  return true;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  refuse_lfs_pointer(text, where);
  const auto refuse = [&](const std::string& what) {
    throw Error(Exit::bad_input, fmt::format("{}: header: {}", where, what));
  };
  std::uint64_t header_bytes = 0;
  if (text.size() < sizeof header_bytes) {
    refuse(fmt::format("the file is {} bytes long, wanted at least the 8 of the header's length; fetch it again",
                       text.size()));
  }
  std::memcpy(&header_bytes, text.data(), sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes) {
    refuse(fmt::format("got a length of {} bytes, wanted at most {}; is this a safetensors file?", header_bytes,
                       kMaxHeaderBytes));
  }
  if (header_bytes > text.size() - sizeof header_bytes) {
    refuse(fmt::format("got a length of {} bytes, the file holds only {} more; it is cut off, fetch it again",
                       header_bytes, text.size() - sizeof header_bytes));
  }
  const std::uint64_t header_end = sizeof header_bytes + header_bytes;
  const Json header = parse_json(text.substr(sizeof header_bytes, header_bytes), where + ": header");
  if (!header.is_object()) refuse(fmt::format("got a JSON value of type {}, wanted an object", header.type_name()));

  SafetensorsHeader out;
  for (const auto& [name, info] : header.items()) {
    if (name == "__metadata__") {
      out.metadata = read_metadata(info, where);
    } else {
      out.entries.push_back(EntryReader(where, name, header_end, text.size()).read(info));
    }
  }
  std::sort(out.entries.begin(), out.entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.bytes, a.name) < std::tie(b.begin, b.bytes, b.name);
  });
  check_coverage(out.entries, header_end, text.size(), where);
  return out;
}

}  // namespace templora
