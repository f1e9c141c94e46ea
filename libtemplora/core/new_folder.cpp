#include "core/new_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>

#include "core/error.h"

namespace templora {
namespace {

void require_absent(const fs::path& path) {
  if (fs::symlink_status(path).type() != fs::file_type::not_found)
    throw Error(Exit::usage,
                fmt::format("{}: is there already, wanted a new folder; name another one", shown_path(path)));
}

}  // namespace

NewFolder::NewFolder(const fs::path& path)
    : path_(normal_path(fs::absolute(path))), filling_(path_.string() + fmt::format(".tmp-{}", ::getpid())) {
  require_absent(path_);
  std::error_code failed;
  fs::create_directories(path_.parent_path(), failed);
  if (!failed) fs::remove_all(filling_, failed);  // of a killed process that had this one's id
  if (!failed) fs::create_directory(filling_, failed);
  if (failed)
    throw Error(Exit::resources, fmt::format("{}: cannot be created: {}", shown_path(path_), failed.message()));
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!filling_.empty()) fs::remove_all(filling_, ignored);
}

void NewFolder::commit() {
  require_absent(path_);  // an empty folder would give way without a word
  std::error_code failed;
  fs::rename(filling_, path_, failed);
  if (failed)
    throw Error(Exit::resources, fmt::format("{}: cannot be named so: {}", shown_path(path_), failed.message()));
  filling_.clear();
}

}  // namespace templora
