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

/// The command that fetches a repository, as the end of a message.
std::string fetching_line(const RepositoryName& name);

/// What to do about a model's file or folder that is not there, as the end of a message: how_to_get(), or the command
/// that fetches a repository ("; … `hf download org/name` fetches it"), where the path lies in a snapshot or may be the
/// name of a repository that was not found in the cache. Else "".
std::string how_to_fetch(const fs::path& missing);

}  // namespace templora
