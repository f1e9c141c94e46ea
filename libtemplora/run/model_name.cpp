#include "run/model_name.h"

#include <filesystem>

namespace templora {

std::string model_name(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "folder/" means "folder"
  const std::string name = folder.filename().string();
  const std::filesystem::path snapshots = folder.parent_path();
  const std::string repository = snapshots.parent_path().filename().string(), prefix = "models--";
  const bool commit = name.size() == 40 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!commit || snapshots.filename() != "snapshots" || !repository.starts_with(prefix) ||
      repository.size() == prefix.size())
    return name;
  std::string out = repository.substr(prefix.size());
  if (const std::size_t dashes = out.find("--"); dashes != std::string::npos) out.replace(dashes, 2, "/");
  return out;
}

}  // namespace templora
