#include "sweep/inputs.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "config/model_folder.h"
#include "core/error.h"
#include "core/hash.h"

namespace templora {
namespace {

constexpr std::size_t kKeyDigits = 20;

/// Size and modification time; false where there is no such file.
bool examine(const std::string& path, std::int64_t& bytes, std::int64_t& mtime_ns) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return false;
  bytes = status.st_size;
  mtime_ns = std::int64_t(status.st_mtim.tv_sec) * 1000000000 + status.st_mtim.tv_nsec;
  return true;
}

std::string content_hash(const fs::path& file) {
  const MappedFile content(file);
  Hasher hasher;
  hasher.update(content.bytes());
  return hasher.hex();
}

}  // namespace

std::string InputFiles::hash_of(const fs::path& file) {
  File now;
  if (!examine(file.string(), now.bytes, now.mtime_ns))
    throw Error(Exit::bad_input,
                fmt::format("{}: no such file, wanted an input of the sweep", shown_path(file)));
  const auto found = files_.find(file.string());
  if (found != files_.end() && found->second.bytes == now.bytes && found->second.mtime_ns == now.mtime_ns)
    return found->second.hash;
  now.hash = now.bytes == 0 ? hash_hex("") : content_hash(file);
  files_[file.string()] = now;
  return now.hash;
}

// Every file of a folder by its name in it. Links are followed: a hub's cache is made of them.
std::string InputFiles::folder_hash(const fs::path& folder) {
  if (fs::is_regular_file(folder)) return hash_of(folder);
  if (!fs::is_directory(folder))
    throw Error(Exit::bad_input, fmt::format("{}: no such file or folder, wanted an input of the sweep",
                                             shown_path(folder)));
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::follow_directory_symlink))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::string all;
  for (const fs::path& file : files) all += file.lexically_relative(folder).string() + '\0' + hash_of(file) + '\n';
  return hash_hex(all);
}

// What a run reads of a model folder: its settings and weights. Cards and other formats may change freely.
std::string InputFiles::model_hash(const fs::path& folder) {
  require_model_folder(folder);
  std::string all = "config " + hash_of(folder / "config.json");
  std::vector<fs::path> weights;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")))
      weights.push_back(entry.path());
  }
  std::sort(weights.begin(), weights.end());
  for (const fs::path& file : weights) all += fmt::format("\n{} {}", file.filename().string(), hash_of(file));
  return hash_hex(all);
}

std::string InputFiles::tokenizer_hash(const fs::path& path) {
  if (!fs::is_directory(path)) return hash_of(path);
  std::string all;
  for (const char* name : kTokenizerFiles)
    if (fs::exists(path / name)) all += fmt::format("{} {}\n", name, hash_of(path / name));
  return hash_hex(all);
}

std::string InputFiles::texts_hash(const std::string& pattern) {
  std::string all;
  for (const fs::path& text : expand_globs({pattern}, ".")) all += hash_of(text) + "\n";
  return hash_hex(all);
}

std::string InputFiles::cell_key(const Config& config, HashForm form) {
  const auto once = [this](const char* kind, auto member) {
    return [this, kind, member](const std::string& path) {
      std::string& known = known_[fmt::format("{} {}", kind, path)];
      if (known.empty()) known = (this->*member)(path);
      return known;
    };
  };
  const InputHashes hashes{once("model", &InputFiles::model_hash), once("tokenizer", &InputFiles::tokenizer_hash),
                           once("texts", &InputFiles::texts_hash), once("path", &InputFiles::folder_hash)};
  return input_hash(config, hashes, form).substr(0, kKeyDigits);
}

Json InputFiles::to_json() const {
  Json json = Json::object();
  for (const auto& [path, file] : files_)
    json[path] = {{"bytes", file.bytes}, {"mtime_ns", file.mtime_ns}, {"hash", file.hash}};
  return json;
}

InputGuard::InputGuard(const Json& recorded, const std::string& where) {
  try {
    for (const auto& item : recorded.items())
      files_[item.key()] = {item.value().at("bytes").get<std::int64_t>(),
                            item.value().at("mtime_ns").get<std::int64_t>(),
                            item.value().at("hash").get<std::string>()};
  } catch (const Json::exception&) {
    throw Error(Exit::bad_input, fmt::format("{}: damaged; start the sweep again with its file", where));
  }
}

void InputGuard::check() {
  for (auto& [path, file] : files_) {
    InputFiles::File now;
    const bool there = examine(path, now.bytes, now.mtime_ns);
    if (there && now.bytes == file.bytes && now.mtime_ns == file.mtime_ns) continue;
    if (!there || content_hash(path) != file.hash)
      throw Error(Exit::bad_input,
                  fmt::format("{}: {} since the sweep was made; start the sweep again with its file, which gives its "
                              "cells new keys",
                              path, there ? "has changed" : "is gone"));
    file.mtime_ns = now.mtime_ns;
  }
}

}  // namespace templora
