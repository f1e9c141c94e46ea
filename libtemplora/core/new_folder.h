#pragma once

#include "core/file.h"

namespace templora {

/// A folder that is there whole or not at all: it is filled beside its place, under another name, and gets its own at
/// the end. What is destroyed before that leaves nothing; a process that is killed leaves `<path>.tmp-<process id>`.
class NewFolder {
 public:
  /// Throws Error(usage) where something has that name already, Error(resources) where the folder cannot be made.
  explicit NewFolder(const fs::path& path);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  /// Where its files are written.
  const fs::path& filling() const { return filling_; }
  /// Gives it its name. Throws Error(resources).
  void commit();

 private:
  fs::path path_, filling_;
};

}  // namespace templora
