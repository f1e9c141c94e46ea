#include "config/model_folder.h"

#include <fmt/format.h>

#include "core/data_manifest.h"
#include "core/error.h"

namespace templora {

fs::path find_model(const std::string& text, const fs::path& base) {
  const fs::path folder = normal_path(base / text);
  if (fs::exists(folder)) return folder;
  const std::optional<RepositoryName> name = repository_name(text);
  const std::optional<fs::path> snapshot = name ? cached_snapshot(*name) : std::nullopt;
  return snapshot.value_or(folder);
}

void require_model_folder(const fs::path& folder, const std::string& written) {
  if (fs::exists(folder / "config.json")) return;
  const std::string missing = fmt::format("{}: no such file", shown_path(folder / "config.json"));
  if (const std::string command = how_to_get(folder); !command.empty()) throw Error(Exit::bad_input, missing + command);
  const std::optional<RepositoryName> hub = repository_name(written);
  if (hub && !fs::exists(folder))  // surer than how_to_fetch(), which sees the path alone
    throw Error(Exit::bad_input, fmt::format("{}: no folder {}, and not in the Hugging Face cache {}; {}", written,
                                             folder.string(), hub_cache().string(), fetching_line(*hub)));
  const std::string what =
      fs::exists(folder) ? missing : fmt::format("{}: no such folder", shown_path(folder));
  throw Error(Exit::bad_input, fmt::format("{}; model.path must name a Hugging Face model folder, or a repository in "
                                           "the local Hugging Face cache (org/name){}", what, how_to_fetch(folder)));
}

}  // namespace templora
