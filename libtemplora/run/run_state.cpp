#include "run/run_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/hash.h"

namespace templora {
namespace {

std::string json_name(std::int64_t number) { return fmt::format("state-{}.json", number); }

/// The number in "state-<n><suffix>".
std::optional<std::int64_t> number_in(const std::string& name, const std::string& suffix) {
  const std::string prefix = "state-";
  if (name.size() <= prefix.size() + suffix.size() || name.rfind(prefix, 0) != 0 ||
      name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0)
    return std::nullopt;
  const char* const first = name.data() + prefix.size();
  const char* const last = name.data() + name.size() - suffix.size();
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(first, last, number);
  if (failure != std::errc() || end != last || number < 0) return std::nullopt;
  return number;
}

std::string hash_of_file(const fs::path& path) {
  const MappedFile file(path);
  Hasher hasher;
  hasher.update(file.bytes());
  return hasher.hex();
}

void force_to_disk(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool good = fd >= 0 && ::fsync(fd) == 0;
  const int failure = errno;
  if (fd >= 0) ::close(fd);
  if (!good)
    throw Error(Exit::resources,
                fmt::format("{}: cannot be forced to disk: {}", path.string(), std::strerror(failure)));
}

/// Over everything in a state's JSON part but the hash itself.
std::string hash_of_state(Json json) {
  json.erase("hash");
  return hash_hex(dump_json(json, "state"));
}

std::optional<StateFile> parse_state(const fs::path& run_folder, std::int64_t number, std::string& why) {
  const std::string where = (run_folder / "state" / json_name(number)).string();
  const Json json = parse_json(read_file(where), where);
  if (!json.is_object() || json.value("hash", "") != hash_of_state(json)) {
    why = json_name(number) + " is not as it was saved";
    return std::nullopt;
  }
  StateFile state;
  state.number = number;
  state.state = json.at("state");
  const std::string tensors = json.at("tensors").get<std::string>();
  const std::string hash = json.at("tensors_hash").get<std::string>();
  state.tensors = run_folder / "state" / fs::path(tensors).filename();
  if (hash_of_file(state.tensors) != hash) {
    why = tensors + " is not the file that was saved with it";
    return std::nullopt;
  }
  for (const auto& item : json.at("files").items()) {
    const auto bytes = item.value().get<std::uint64_t>();
    if (fs::file_size(run_folder / item.key()) < bytes) {
      why = item.key() + " is shorter than when the state was saved";
      return std::nullopt;
    }
    state.sizes[item.key()] = bytes;
  }
  return state;
}

}  // namespace

std::string state_tensors_name(std::int64_t number) { return fmt::format("state-{}.safetensors", number); }

std::vector<std::int64_t> state_numbers(const fs::path& states) {
  std::vector<std::int64_t> numbers;
  for (const fs::directory_entry& entry : fs::directory_iterator(states))
    if (const auto number = number_in(entry.path().filename().string(), ".json")) numbers.push_back(*number);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::optional<StateFile> read_state(const fs::path& run_folder, std::int64_t number, std::string& why) {
  try {
    return parse_state(run_folder, number, why);
  } catch (const Error& error) {
    why = error.what();
  } catch (const nlohmann::json::exception& error) {
    why = error.what();
  } catch (const fs::filesystem_error& error) {
    why = error.what();
  }
  return std::nullopt;
}

void write_state(const fs::path& run_folder, const StateFile& state) {
  force_to_disk(state.tensors);
  Json files = Json::object();
  for (const auto& [name, bytes] : state.sizes) files[name] = bytes;
  Json json = {{"state", state.state},
               {"tensors", state.tensors.filename().string()},
               {"tensors_hash", hash_of_file(state.tensors)},
               {"files", files}};
  json["hash"] = hash_of_state(json);
  write_file_atomically(run_folder / "state" / json_name(state.number), dump_json_pretty(json, "state"));
}

void remove_states(const fs::path& states, const std::function<bool(std::int64_t)>& drop) {
  for (const std::int64_t number : state_numbers(states))
    if (drop(number)) fs::remove(states / json_name(number));
  const std::vector<std::int64_t> kept = state_numbers(states);
  std::vector<fs::path> orphans;
  for (const fs::directory_entry& entry : fs::directory_iterator(states)) {
    const std::string name = entry.path().filename().string();
    auto number = number_in(name, ".json");
    if (!number) number = number_in(name, ".safetensors");
    const bool needed = number && std::find(kept.begin(), kept.end(), *number) != kept.end();
    if (!needed && entry.is_regular_file()) orphans.push_back(entry.path());
  }
  for (const fs::path& orphan : orphans) fs::remove(orphan);
}

void remove_leftovers(const fs::path& folder, const std::string& pattern) {
  std::vector<fs::path> leftovers;
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, missing))
    if (name_matches(entry.path(), pattern)) leftovers.push_back(entry.path());
  for (const fs::path& leftover : leftovers) fs::remove(leftover);
}

}  // namespace templora
