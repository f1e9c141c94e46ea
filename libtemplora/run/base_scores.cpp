#include "run/base_scores.h"

#include <fmt/format.h>

#include <cstring>

#include "config/config_fields.h"
#include "core/hash.h"
#include "core/log.h"
#include "run/text_hash_name.h"

namespace templora {
namespace {

constexpr std::size_t kHashDigits = 32;

std::string_view bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

BaseScores::BaseScores(fs::path folder, const Json& effective, const Json& identity, const std::string& processor)
    : folder_(std::move(folder)) {
  Json settings = effective;
  for (const auto& [key, info] : config_keys())
    if (!info.decides_base || info.role != Role::number) erase_key(settings, key);
  Json machine = identity;
  for (const auto& item : identity.items()) {
    const std::string& name = item.key();
    const bool other =
        name == "config_hash" || name == "init_from_hash" || is_text_hash(name) || name.starts_with("control_");
    if (other) machine.erase(name);
  }
  key_ = Json{{"version", TEMPLORA_VERSION}, {"settings", settings}, {"identity", machine}, {"processor", processor}};
}

fs::path BaseScores::file(const std::string& text_hash, std::int64_t tokens) const {
  Json key = key_;
  key["text"] = text_hash;
  key["tokens"] = tokens;
  return folder_ / (hash_hex(dump_json(key, "base scores")) + ".f32");
}

std::optional<std::vector<float>> BaseScores::find(const std::string& text_hash, std::int64_t tokens,
                                                   std::int64_t count) const {
  const fs::path path = file(text_hash, tokens);
  if (count == 0 || !fs::exists(path)) return std::nullopt;
  std::string content;
  try {
    content = read_file(path);
  } catch (const Error& error) {
    log_line(fmt::format("{}; the base model's scores are computed", error.what()));
    return std::nullopt;
  }
  const std::size_t bytes = std::size_t(count) * sizeof(float);
  if (content.size() != bytes + kHashDigits || content.substr(bytes) != hash_hex(content.substr(0, bytes))) {
    log_line(fmt::format("{}: damaged; the base model's scores are computed", path.string()));
    return std::nullopt;
  }
  std::vector<float> nll(static_cast<std::size_t>(count));
  std::memcpy(nll.data(), content.data(), bytes);
  return nll;
}

void BaseScores::keep(const std::string& text_hash, std::int64_t tokens, std::span<const float> nll) const {
  try {
    std::error_code failure;
    fs::create_directories(folder_, failure);
    write_file_atomically(file(text_hash, tokens), std::string(bytes_of(nll)) + hash_hex(bytes_of(nll)));
  } catch (const Error& error) {
    log_line(fmt::format("score.base_scores: not kept: {}", error.what()));
  }
}

}  // namespace templora
