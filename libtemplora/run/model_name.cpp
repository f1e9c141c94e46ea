#include "run/model_name.h"

#include <filesystem>

#include "run/model_folder.h"

namespace templora {

std::string model_name(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "folder/" means "folder"
  const std::optional<Snapshot> snapshot = snapshot_of(folder);
  return snapshot && !snapshot->repository.empty() ? snapshot->repository : folder.filename().string();
}

}  // namespace templora
