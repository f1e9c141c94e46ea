#include "io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "core/check.h"
#include "core/error.h"
#include "core/hub_cache.h"
#include "io/safetensors_format.h"

namespace templora {

namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

/// The path as it stands in messages.
/// A link whose target is missing counts as being there: opening it then says what is wrong.
bool has_name(const fs::path& path) { return fs::symlink_status(path).type() != fs::file_type::not_found; }

/// A shard's path below its folder, without "./"; nothing where it names no file there. The file itself may be a link
/// out of the folder, as in those of a hub's cache.
std::optional<std::string> path_inside(const std::string& name) {
  if (name.find_first_of(std::string_view("\\\0", 2)) != std::string::npos) return {};
  const fs::path path(name);
  if (path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end()) return {};
  const fs::path normal = path.lexically_normal();
  if (!normal.has_filename() || normal == ".") return {};
  return normal.string();
}

/// `weight_map` of an index: which shard holds which tensor.
std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const std::string where = shown_path(index);
  const auto refuse = [&](const std::string& what) {
    throw Error(Exit::bad_input, fmt::format("{}: {}", where, what));
  };
  const Json json = parse_foreign_json(read_file(index), where);
  if (!json.is_object() || !json.contains("weight_map"))
    refuse("weight_map: is missing, wanted an object of tensor and shard names");
  const Json& map = json.at("weight_map");
  if (!map.is_object()) refuse(fmt::format("weight_map: got a value of type {}, wanted an object", map.type_name()));
  if (map.empty()) refuse("weight_map: is empty, wanted at least one tensor");
  std::map<std::string, std::string> out;
  for (const auto& [name, shard] : map.items()) {
    if (!shard.is_string())
      refuse(fmt::format("weight_map: {}: got a value of type {}, wanted a file name", printable(name),
                         shard.type_name()));
    const auto& file = shard.get_ref<const std::string&>();
    const std::optional<std::string> path = path_inside(file);
    if (!path)
      refuse(fmt::format("weight_map: {}: got shard \"{}\", wanted the name of a file in the same folder or below it",
                         printable(name), printable(file)));
    out[name] = *path;
  }
  return out;
}

/// What a folder without safetensors has, and what to do with it.
[[noreturn]] void refuse_other_weights(const fs::path& folder) {
  const std::string wanted = fmt::format("wanted {} or {}", kSingleFile, kIndexFile);
  for (const char* pickle : {"pytorch_model.bin", "pytorch_model.bin.index.json"})
    if (has_name(folder / pickle))
      throw Error(
          Exit::bad_input,
          fmt::format(
              "{}: got weights in {}, a Python pickle, which is not read; {}; convert them in that folder: python3 -c "
              "\"from transformers import AutoModelForCausalLM as M; M.from_pretrained('.').save_pretrained('.')\"",
              shown_path(folder), pickle, wanted));
  const std::string command = how_to_fetch(folder);
  throw Error(Exit::bad_input,
              fmt::format("{}: holds neither {} nor {}, wanted one of them{}", shown_path(folder), kSingleFile,
                          kIndexFile, command.empty() ? "; convert other weights to safetensors first" : command));
}

}  // namespace

SafetensorsFiles SafetensorsFiles::open_file(const fs::path& file) {
  SafetensorsFiles out;
  out.path_ = file;
  out.add_file(file);
  return out;
}

SafetensorsFiles SafetensorsFiles::open_folder(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw Error(Exit::bad_input, fmt::format("{}: is no folder, wanted that of a model", shown_path(folder)));
  // Both may be there; transformers takes the single file too.
  if (has_name(folder / kSingleFile)) {
    SafetensorsFiles out = open_file(folder / kSingleFile);
    out.path_ = folder;
    return out;
  }
  const fs::path index = folder / kIndexFile;
  if (!has_name(index)) refuse_other_weights(folder);
  const std::map<std::string, std::string> weight_map = read_weight_map(index);
  std::map<std::string, std::string> first_of;  // shard -> a tensor that it should hold
  for (const auto& [name, shard] : weight_map) first_of.emplace(shard, name);

  SafetensorsFiles out;
  out.path_ = folder;
  std::map<const MappedFile*, std::string> shard_of;
  for (const auto& [shard, name] : first_of) {
    if (!has_name(folder / shard)) {
      const std::string command = how_to_fetch(folder);
      throw Error(Exit::bad_input, fmt::format("{}: is missing, {} wants it for {}{}", shown_path(folder / shard),
                                               kIndexFile, printable(name), command.empty() ? "; fetch it" : command));
    }
    out.add_file(folder / shard);
    shard_of[out.files_.back().get()] = shard;
  }
  for (const auto& [name, tensor] : out.tensors_) {
    const std::string& shard = shard_of.at(tensor.file);
    const auto wanted = weight_map.find(name);
    if (wanted != weight_map.end() && wanted->second != shard) {
      throw Error(Exit::bad_input,
                  fmt::format("{}: {}: got it in this shard, {} wants it in {}; do index and shards belong together?",
                              shown_path(folder / shard), printable(name), kIndexFile, printable(wanted->second)));
    }
  }
  // An index may name what no shard has: of tied weights only one is stored. Who wants such a tensor says so.
  for (const auto& [name, shard] : weight_map)
    if (!out.tensors_.contains(name)) out.absent_.emplace(name, shard);
  return out;
}

void SafetensorsFiles::add_file(const fs::path& file) {
  auto mapped = std::make_unique<MappedFile>(file);
  SafetensorsHeader header = parse_safetensors_header(mapped->bytes(), shown_path(file));
  if (files_.empty()) metadata_ = std::move(header.metadata);
  for (HeaderEntry& entry : header.entries) {
    const TensorSpan tensor{entry.type, std::move(entry.shape), mapped->bytes().subspan(entry.begin, entry.bytes),
                            mapped.get()};
    if (!tensors_.emplace(entry.name, tensor).second) {
      throw Error(
          Exit::bad_input,
          fmt::format("{}: {}: is in an earlier shard too, wanted it once; do index and shards belong together?",
                      shown_path(file), printable(entry.name)));
    }
  }
  files_.push_back(std::move(mapped));
}

const TensorSpan& SafetensorsFiles::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw Error(Exit::bad_input,
                fmt::format("{}: {}: is missing among its {} tensors", shown_path(path_), printable(name),
                            tensors_.size()));
  }
  return found->second;
}

void write_safetensors(const fs::path& file, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string where = shown_path(file);
  std::vector<const TensorToWrite*> order;
  std::set<std::string> names{"__metadata__"};
  for (const TensorToWrite& tensor : tensors) {
    std::uint64_t bytes = 0;
    TEMPLORA_CHECK(tensor_bytes(tensor.type, tensor.shape, bytes) && bytes == tensor.bytes.size(), tensor.name);
    TEMPLORA_CHECK(names.insert(tensor.name).second, tensor.name);
    order.push_back(&tensor);
  }
  // Wide elements first, so that each tensor starts at a multiple of its element's size.
  std::sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    const std::size_t a_bytes = element_bytes(a->type), b_bytes = element_bytes(b->type);
    return a_bytes != b_bytes ? a_bytes > b_bytes : a->name < b->name;
  });

  std::string header = "{";
  if (!metadata.empty()) header += "\"__metadata__\":" + dump_json(Json(metadata), where);
  std::uint64_t begin = 0;
  for (const TensorToWrite* tensor : order) {
    if (header.size() > 1) header += ',';
    header += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}",
                          dump_json(Json(tensor->name), where), storage_type_name(tensor->type),
                          Json(tensor->shape).dump(), begin, begin + tensor->bytes.size());
    begin += tensor->bytes.size();
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  TEMPLORA_CHECK(header.size() <= kMaxHeaderBytes, where);

  const std::uint64_t header_bytes = header.size();
  AtomicFile out(file);
  out.write(std::as_bytes(std::span(&header_bytes, 1)));
  out.write(header);
  for (const TensorToWrite* tensor : order) out.write(tensor->bytes);
  out.commit();
}

}  // namespace templora
