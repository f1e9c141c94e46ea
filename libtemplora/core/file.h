#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

namespace fs = std::filesystem;

/// Whole content of a regular file. Throws Error(bad_input) naming the path where it cannot be read.
std::string read_file(const fs::path& path);

/// Replaces a file so that a reader, or a crash, sees either the old or the new content: temporary
/// name in the same folder, fsync, rename, fsync of the folder. Throws Error(resources); the
/// temporary file is removed and the old content stays.
void write_file_atomically(const fs::path& path, std::string_view content);

/// Same for content that is produced piece by piece (checkpoints): write pieces, then commit().
/// Destroyed without commit(), it removes its temporary file.
class AtomicFile {
 public:
  explicit AtomicFile(fs::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  fs::path path_;
  fs::path temporary_;
  int fd_ = -1;
};

/// A file that only grows: records of a run. Every append reaches the kernel before it returns; one
/// that fails (disk full) throws Error(resources) and leaves the file as it was before.
class AppendFile {
 public:
  /// Opens or creates `path` and cuts it to `keep_bytes` (what a saved state says was valid).
  /// Throws Error(bad_input) if the file is shorter than that.
  AppendFile(fs::path path, std::uint64_t keep_bytes);
  ~AppendFile();
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  void append(std::string_view text);
  void append(std::span<const float> values);
  /// Forces everything appended to disk.
  void sync();
  std::uint64_t size() const { return size_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// Read-only mapping of a whole regular file, which nobody may shorten meanwhile. Throws Error(bad_input).
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Tells the kernel that these bytes were copied out and need not stay resident.
  void release(std::size_t offset, std::size_t bytes) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Lexically normal and without a slash at its end: "folder/" means "folder".
fs::path normal_path(const fs::path& path);

/// Expands paths and globs (`*`, `?`, `[...]` in any component; a backslash takes the next character
/// as it is), relative ones against `base`; each pattern's matches sorted by name, patterns in order,
/// duplicates dropped. A pattern that is itself the name of something that exists stands for that.
/// Throws Error(bad_input) naming a pattern that matches nothing.
std::vector<fs::path> expand_globs(const std::vector<std::string>& patterns, const fs::path& base);

/// Whether a file's name fits a pattern of such a kind.
bool name_matches(const fs::path& file, const std::string& pattern);

/// `text` as a pattern that stands for itself only.
std::string glob_escaped(const std::string& text);

}  // namespace templora
