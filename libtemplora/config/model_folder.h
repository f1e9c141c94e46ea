#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/file.h"

namespace templora {

/// A repository of a model hub, as a config names it: "org/name" or "org/name@revision".
struct RepositoryName {
  std::string repository;
  std::string revision = "main";  ///< a branch, a tag, a commit, or the first digits of one (at least 7)
};

/// What `text` names, or nothing where it can only be a path.
std::optional<RepositoryName> repository_name(std::string_view text);

/// The folder in which Hugging Face's tools keep what they fetched: HF_HUB_CACHE, HF_HOME/hub, or the default in the
/// user's cache folder.
fs::path hub_cache();

/// The snapshot of a repository in hub_cache(), or nothing. Nothing is ever fetched. Throws Error(usage) where the
/// digits of a commit fit several.
std::optional<fs::path> cached_snapshot(const RepositoryName& name);

/// A snapshot's repository and commit, told by its path (…/models--org--name/snapshots/<commit>); nothing for others.
struct Snapshot {
  std::string repository;
  std::string commit;
};
std::optional<Snapshot> snapshot_of(const fs::path& folder);

/// The folder that a config or an option means with `text`: a path relative to `base` that exists; else the snapshot
/// of a repository of that name; else the path again.
fs::path find_model(const std::string& text, const fs::path& base);

/// Throws Error(bad_input) where `folder` holds no config.json, with the command that gets the model where one is
/// known. `written` is how a person named it, where that is known.
void require_model_folder(const fs::path& folder, const std::string& written = "");

}  // namespace templora
