#include "commands.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>

#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/utf8.h"

namespace templora {

std::vector<Override> parse_overrides(const std::vector<std::string>& sets) {
  std::vector<Override> overrides;
  for (const std::string& set : sets) {
    const std::size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(Exit::usage, fmt::format("--set: got \"{}\", wanted key=value, such as train.epochs=1", set));
    if (utf8_error(set) != kValidUtf8)
      throw Error(Exit::usage, fmt::format("--set: got \"{}\", wanted UTF-8", printable(set)));
    overrides.push_back({set.substr(0, equals), set.substr(equals + 1)});
  }
  return overrides;
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(Exit::resources, fmt::format("{}: cannot be created: {}", folder.string(), error.message()));
}

void show_result(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_out(const std::string& text) {
  show_result(text);
  if (std::ferror(stdout) != 0)
    throw Error(Exit::resources, fmt::format("standard output: cannot be written: {}", errno_text(errno)));
}

}  // namespace templora
