#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/file.h"

namespace templora {

/// "No space left on device" for ENOSPC.
std::string errno_text(int error_number);

/// Opens an existing regular file for reading and gives its size: a directory, a pipe or a device is
/// refused, and opening a pipe does not wait. Throws Error(bad_input). The caller closes.
int open_regular(const fs::path& path, std::uint64_t& bytes);

/// Writes all bytes at the descriptor's position. Returns 0, or the errno of the failure.
int write_all(int fd, const void* data, std::size_t bytes);

/// Makes a created or renamed name in `folder` survive a power cut. Returns 0 or the errno.
int sync_folder(const fs::path& folder);

/// The folder in which `path` lies, "." for a bare name.
fs::path folder_of(const fs::path& path);

}  // namespace templora
