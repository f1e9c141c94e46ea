#include "sweep/cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "core/error.h"
#include "core/log.h"
#include "sweep/claim.h"

namespace templora {
namespace {

fs::path beside(const fs::path& folder, const char* ending) {
  fs::path path = folder;
  path += ending;
  return path;
}

}  // namespace

fs::path config_file(const fs::path& folder) { return beside(folder, ".json"); }
fs::path log_file(const fs::path& folder) { return beside(folder, ".log"); }
fs::path failure_file(const fs::path& folder) { return beside(folder, ".failed.json"); }
fs::path claims_folder(const fs::path& folder) { return beside(folder, ".claims"); }

bool is_done(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "summary.json", ignored);
}

std::optional<RunFailure> read_failure(const fs::path& folder) { return read_failure_file(failure_file(folder)); }

void write_failure(const fs::path& folder, const RunFailure& failure) {
  write_failure_file(failure_file(folder), failure);
}

void clear_failure(const fs::path& folder) {
  if (!read_failure(folder)) return;
  // Another sweep may have cleared it and be at work already.
  ClaimWatch watch(this_process());
  const std::optional<Claim> claim =
      Claim::take(claims_folder(folder), watch.me(), watch.look(claims_folder(folder), 0));
  if (!claim)
    return log_line(fmt::format("{}: somebody works on this cell, its failure stays", claims_folder(folder).string()));
  const std::optional<RunFailure> failure = read_failure(folder);
  if (!failure) return;
  const bool never = failure->line.find("cannot be resumed") != std::string::npos ||
                     failure->line.find("none of the saved states can be used") != std::string::npos;
  std::error_code problem;
  for (int i = 1; never && fs::exists(folder) && !problem; ++i) {
    const fs::path aside = beside(folder, fmt::format(".aside-{}", i).c_str());
    if (!fs::exists(aside)) fs::rename(folder, aside, problem);
  }
  if (!problem) fs::remove(failure_file(folder), problem);
  if (problem)
    throw Error(Exit::resources,
                fmt::format("{}: cannot be removed: {}", failure_file(folder).string(), problem.message()));
}

std::string last_line(const fs::path& log) {
  constexpr std::streamoff kTail = 8192;
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const std::streamoff size = file.tellg(), begin = std::max<std::streamoff>(0, size - kTail);
  file.seekg(begin);
  std::string tail(std::size_t(size - begin), '\0');
  file.read(tail.data(), std::streamsize(tail.size()));
  const std::size_t end = tail.find_last_not_of(" \r\n\t");
  if (end == std::string::npos) return "";
  const std::size_t start = tail.find_last_of("\r\n", end);
  return printable(
      tail.substr(start == std::string::npos ? 0 : start + 1, end - (start == std::string::npos ? 0 : start + 1) + 1),
      500);
}

}  // namespace templora
