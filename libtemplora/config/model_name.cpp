#include "config/model_name.h"

#include "config/model_folder.h"

namespace templora {

std::string model_name(const std::string& path) {
  const fs::path folder = normal_path(path);
  const std::optional<Snapshot> snapshot = snapshot_of(folder);
  return snapshot && !snapshot->repository.empty() ? snapshot->repository : folder.filename().string();
}

}  // namespace templora
