#include "core/git_lfs.h"

#include <fmt/format.h>

#include "core/error.h"

namespace templora {

void refuse_lfs_pointer(std::string_view text, const std::string& where) {
  if (!text.starts_with("version https://git-lfs")) return;
  throw Error(Exit::bad_input,
              fmt::format("{}: got a git-lfs pointer, a short text that stands for the file, wanted the file itself; "
                          "run \"git lfs pull\" in that folder",
                          where));
}

}  // namespace templora
